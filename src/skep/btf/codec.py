"""Values to and from bytes, as their BTF type says.

| BTF | Python |
|---|---|
| integer, enum, pointer | `int` (pack also takes an enumerator's name) |
| `bool`; `float`, `double` | `bool`; `float` |
| `char[N]` | `str` up to the first NUL, UTF-8 with surrogateescape |
| `unsigned char[N]` (`u8[N]`) | `bytes` |
| other arrays | `tuple` |
| struct, union | `Record` |
| `__be16/32/64`, `__le16/32/64` | `int`, in that byte order whatever the machine's |

Everything else is in the byte order of the BTF it comes from. Padding is written as zero. A codec
never changes once made, is cached with its `Btf` and may be shared between threads.
"""

from __future__ import annotations

from skep.btf import types as t
from skep.btf._composite import Composite, Field
from skep.btf._values import (
    Array,
    BigInteger,
    BitField,
    Bool,
    Codec,
    Enumeration,
    Numbers,
    Raw,
    Scalar,
    String,
)
from skep.btf.btf import MAX_DEPTH
from skep.errors import BtfError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.btf.btf import Btf

_UNSIGNED = {1: "B", 2: "H", 4: "I", 8: "Q"}
_FLOATS = {2: "e", 4: "f", 8: "d"}
_ORDERED = {
    f"__{order}{bits}": sign for order, sign in (("be", ">"), ("le", "<")) for bits in (16, 32, 64)
}
# A hostile blob can describe few bytes as very many values; honest types stay far below.
_MAX_VALUES = 1 << 20
MAX_PARTS = 1 << 17
"""Members and enumerators in all codecs of one blob together, or an eighth of the blob's bytes if
that is more. Members of anonymous structs count wherever they are dissolved: a few kilobytes can
describe a thousand structs of 65 000 members. The largest kernels need a quarter of it."""
_PER_CLASS = 16  # what a record's class costs, in members
_MAX_NAME = 255  # characters of a type's name in messages


__all__ = ["Codec", "codec", "is_byte", "is_char", "raw_codec"]


def codec(btf: Btf, type_id: int) -> Codec:
    """Return the codec of type *type_id* of *btf*, made at first use and kept with the `Btf`.

    Raises `BtfError` for a type without a size (void, a function, a forward declaration) or
    one that contains itself, `UnsupportedError` for `long double`.
    """
    found: Codec | None = btf.codecs.get(type_id)
    if found is None:
        # What cannot be made is noted under a number that no type has: it is not tried again.
        failed = btf.codecs.get(~type_id)
        if failed is not None:
            kind, message, evidence = failed
            raise kind(message, **evidence)
        try:
            found = _make(btf, type_id, MAX_DEPTH)
        except (BtfError, UnsupportedError) as error:
            # Not the error itself, whose traceback holds on to a lot.
            btf.codecs[~type_id] = type(error), error.message, error.evidence
            raise
    return found


def _charge(btf: Btf, parts: int) -> None:
    """Count *parts* of a codec about to be made."""
    btf.parts += parts
    if btf.parts > MAX_PARTS and btf.parts > len(btf.memory) // 8:
        raise BtfError(
            f"BTF of {btf.name}: its types have more than {MAX_PARTS} members when all anonymous"
            " structs are dissolved"
        )


def raw_codec(size: int) -> Codec:
    """Return the codec of *size* bytes nothing more is known of: `bytes` in, `bytes` out."""
    return Raw(f"{size} bytes", size)


def _make(btf: Btf, type_id: int, depth: int) -> Codec:
    found: Codec | None = btf.codecs.get(type_id)
    if found is not None:
        return found
    if not depth:
        raise BtfError(f"BTF of {btf.name}: type {type_id} is nested more than {MAX_DEPTH} deep")
    name, order, target = _resolve(btf, type_id)
    made = _make_target(btf, name, order, target, depth)
    if made.weight > _MAX_VALUES and made.weight > 16 * made.size:
        raise BtfError(f"BTF of {btf.name}: {name} makes {made.weight} values of {made.size} bytes")
    if isinstance(made, Scalar) and order != _native(btf):
        made.foreign()
    btf.codecs[type_id] = made
    return made


def _native(btf: Btf) -> str:
    return "<" if btf.byteorder == "little" else ">"


def _resolve(btf: Btf, type_id: int) -> tuple[str, str, t.Type]:
    """Return C's name of the type, its struct-module byte order, and the type itself."""
    target = btf.strip(type_id)
    order = _native(btf)
    name = ""
    found = btf.type(type_id)
    while found is not target:
        if isinstance(found, t.Typedef):
            name = name or found.name
            order = _ORDERED.get(found.name, order)
        if isinstance(found, t.Modifier):
            found = btf.type(found.type_id)
    if not name:
        tag = {4: "struct ", 5: "union ", 6: "enum ", 19: "enum "}.get(target.kind, "")
        name = f"{tag}{target.name or '(anonymous)'}"
    if len(name) > _MAX_NAME:
        name = f"{name[: _MAX_NAME - 3]}..."  # every type made of this one repeats it
    return name, order, target


def _make_target(btf: Btf, name: str, order: str, target: t.Type, depth: int) -> Codec:
    byteorder = "little" if order == "<" else "big"
    if isinstance(target, t.Int):
        if target.is_bool and target.size == 1:
            return Bool(name, order)
        char = _UNSIGNED.get(target.size)
        if char is None:
            return BigInteger(name, byteorder, target.size, target.signed)
        return Scalar(name, order, char.lower() if target.signed else char)
    if isinstance(target, t.Enum):
        if not target.size:
            raise BtfError(f"BTF of {btf.name}: {name} is only declared and has no size")
        char = _UNSIGNED[target.size]
        _charge(btf, len(target.values))
        values = dict(target.values)
        return Enumeration(name, order, char.lower() if target.signed else char, values)
    if isinstance(target, t.Pointer):
        return Scalar("pointer", order, "Q")
    if isinstance(target, t.Float):
        char = _FLOATS.get(target.size)
        if char is None:
            raise UnsupportedError(
                f"{name} ({target.size} bytes) has no Python equivalent", feature=name
            )
        return Scalar(name, order, char)
    if isinstance(target, t.Array):
        return _make_array(btf, target, depth)
    if isinstance(target, t.Composite):
        _charge(btf, _PER_CLASS)
        fields = tuple(_fields(btf, target, depth))
        for field in fields:
            if field.offset + field.codec.size > target.size:
                raise BtfError(
                    f"BTF of {btf.name}: member {field.name} of {name} ends past its"
                    f" {target.size} bytes"
                )
        return Composite(name, order, target.size, fields)
    if isinstance(target, t.Var):
        return _make(btf, target.type_id, depth - 1)
    btf.size_of(target.id)  # raises: nothing else has a size except a data section
    raise BtfError(f"BTF of {btf.name}: data section {name} is read variable by variable")


def is_char(target: t.Type) -> bool:
    """Tell whether *target* is C's plain `char`, whose arrays are text."""
    # clang and pahole describe char as a signed int called "char", without the CHAR flag.
    return (
        isinstance(target, t.Int) and target.size == 1 and (target.name == "char" or target.is_char)
    )


def is_byte(target: t.Type) -> bool:
    """Tell whether *target* is C's `unsigned char`, whose arrays are bytes."""
    return (
        isinstance(target, t.Int) and target.size == 1 and not target.signed and not target.is_bool
    )


def _make_array(btf: Btf, target: t.Array, depth: int) -> Codec:
    element = btf.strip(target.type_id)
    length = target.length
    btf.size_of(target.id)  # refuses absurd sizes
    if is_char(element):
        return String(f"char[{length}]", length)
    if is_byte(element):
        return Raw(f"unsigned char[{length}]", length)
    inner = _make(btf, target.type_id, depth - 1)
    base, bracket, rest = inner.type_name.partition("[")
    name = f"{base}[{length}]{bracket}{rest}"
    if not inner.size:
        length = 0  # elements of no size hold nothing, however many
    if isinstance(inner, Scalar):
        return Numbers(name, inner, length)
    return Array(name, inner, length)


def _fields(btf: Btf, target: t.Composite, depth: int) -> Iterator[Field]:
    """Yield the members of a struct or union, those of anonymous ones inside it included."""
    count = 0
    unions = 0
    # An explicit stack keeps the order of the source: (composite, byte offset, group).
    stack: list[Iterator[tuple[t.Member, int, tuple[tuple[int, int], ...]]]]

    def members(
        owner: t.Composite, base: int, group: tuple[tuple[int, int], ...]
    ) -> Iterator[tuple[t.Member, int, tuple[tuple[int, int], ...]]]:
        nonlocal unions
        if isinstance(owner, t.Union):
            unions += 1
            number = unions
            for index, member in enumerate(owner.members):
                yield member, base, (*group, (number, index))
        else:
            for member in owner.members:
                yield member, base, group

    stack = [members(target, 0, ())]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            continue
        member, base, group = entry
        _charge(btf, 1)
        count += 1
        if count > 1 << 16 or len(stack) > depth:
            raise BtfError(f"BTF of {btf.name}: {target.name or 'a struct'} nests too many members")
        bit = 8 * base + member.bit_offset
        inner = btf.strip(member.type_id)
        if member.name:
            yield _field(btf, member, bit, inner, group, depth)
        elif isinstance(inner, t.Composite):
            stack.append(members(inner, bit // 8, group))


def _field(
    btf: Btf,
    member: t.Member,
    bit: int,
    inner: t.Type,
    group: tuple[tuple[int, int], ...],
    depth: int,
) -> Field:
    bits = member.bit_size
    if not bits and isinstance(inner, t.Int) and inner.bits != 8 * inner.size:
        # Before kind_flag (Linux 5.0, "bpf: btf: fix struct/union/fwd types with kind_flag")
        # the int type itself said how many bits a bit-field has.
        bits = inner.bits
        bit += inner.bit_offset
    if not bits and not bit % 8:
        return Field(member.name, bit // 8, _make(btf, member.type_id, depth - 1), group)
    if not isinstance(inner, (t.Int, t.Enum)) or not 0 < bits <= 8 * inner.size:
        raise BtfError(
            f"BTF of {btf.name}: member {member.name} has {bits or 'its'} bits at bit {bit},"
            f" which {inner.kind.name.lower()} {inner.name!r} cannot have"
        )
    name, _, _ = _resolve(btf, member.type_id)
    made = BitField(name, btf.byteorder, bit % 8, bits, inner.signed)
    return Field(member.name, bit // 8, made, group)
