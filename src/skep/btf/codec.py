"""Values to and from bytes, as their BTF type says.

| BTF | Python |
|---|---|
| integer, pointer | `int` |
| enum | `int`, or the enumerator's name when asked; pack takes both |
| `bool`; `float`, `double` | `bool`; `float` |
| `char[N]` | `str` up to the first NUL, UTF-8 with surrogateescape |
| `unsigned char[N]` (`u8[N]`) | `bytes` |
| other arrays | `tuple` |
| struct, union | `Record` |
| `__be16/32/64`, `__le16/32/64` | `int`, in that byte order whatever the machine's |
| `struct in_addr`, `in6_addr`; `__be32`, `__u8[16]` tagged or named as an address | `ipaddress` |

Everything else is in the byte order of the BTF it comes from. Padding is written as zero. A codec
never changes once made, is cached with its `Btf` and may be shared between threads. `Options` say
what is to be read otherwise.
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
    Opaque,
    Raw,
    Scalar,
    String,
)
from skep.btf.btf import MAX_DEPTH
from skep.btf.members import (
    address_size,
    by_name,
    charge,
    dissolved,
    is_byte,
    is_char,
    is_special,
    make_room,
)
from skep.btf.options import DEFAULT, PREFIX, Options
from skep.btf.tags import tags_of
from skep.errors import BtfError, TypeMismatchError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from skep.btf.btf import Btf


_UNSIGNED = {1: "B", 2: "H", 4: "I", 8: "Q"}
_FLOATS = {2: "e", 4: "f", 8: "d"}
_ORDERED = {
    f"__{order}{bits}": sign for order, sign in (("be", ">"), ("le", "<")) for bits in (16, 32, 64)
}
# A hostile blob can describe few bytes as very many values; honest types stay far below.
_MAX_VALUES = 1 << 20
_PER_CLASS = 16  # what a record's class costs, in members
_MAX_NAME = 255  # characters of a type's name in messages


__all__ = ["DEFAULT", "Codec", "Options", "codec", "is_byte", "is_char", "raw_codec"]


def codec(btf: Btf, type_id: int, options: Options = DEFAULT) -> Codec:
    """Return the codec of type *type_id* of *btf*, made at first use and kept with the `Btf`.

    Raises `BtfError` for a type without a size (void, a function, a forward declaration) or
    one that contains itself, `UnsupportedError` for `long double`, `TypeMismatchError` for
    *options* that do not fit the type.
    """
    found: Codec | None
    if options is not DEFAULT and not options.plain:
        found = btf.views.get((type_id, options))
        if found is None:
            make_room(btf)
            found = make(btf, type_id, MAX_DEPTH, options)
        return found
    found = btf.codecs.get(type_id)
    if found is None:
        # What cannot be made is noted under a number that no type has: it is not tried again.
        failed = btf.codecs.get(~type_id)
        if failed is not None:
            kind, message, evidence = failed
            raise kind(message, **evidence)
        try:
            found = make(btf, type_id, MAX_DEPTH, DEFAULT)
        except (BtfError, UnsupportedError) as error:
            # Not the error itself, whose traceback holds on to a lot.
            btf.codecs[~type_id] = type(error), error.message, error.evidence
            raise
    return found


def raw_codec(size: int) -> Codec:
    """Return the codec of *size* bytes nothing more is known of: `bytes` in, `bytes` out."""
    return Opaque(f"{size} bytes", size)


def make(btf: Btf, type_id: int, depth: int, options: Options) -> Codec:
    # The codecs that all share are kept for good, others by what was asked for and for some time.
    shared = options is DEFAULT
    place: Any = type_id if shared else (type_id, options)
    kept: dict[Any, Codec] = btf.codecs if shared else btf.views
    found = kept.get(place)
    if found is not None:
        return found
    if not depth:
        raise BtfError(f"BTF of {btf.name}: type {type_id} is nested more than {MAX_DEPTH} deep")
    name, order, target, options = resolve(btf, type_id, options)
    if options.want is not None:
        from skep.btf.views import view

        made = view(btf, type_id, name, target, depth, options)
    else:
        made = _make_target(btf, name, order, target, depth, options)
    if made.weight > _MAX_VALUES and made.weight > 16 * made.size:
        raise BtfError(f"BTF of {btf.name}: {name} makes {made.weight} values of {made.size} bytes")
    if isinstance(made, Scalar) and made.order != _native(btf):
        made.foreign()
    return kept.setdefault(place, made)  # of two threads that made one, the first has it


def _native(btf: Btf) -> str:
    return "<" if btf.byteorder == "little" else ">"


def resolve(btf: Btf, type_id: int, options: Options) -> tuple[str, str, t.Type, Options]:
    """Return C's name of the type, its struct-module byte order, the type itself, and options."""
    target = btf.strip(type_id)
    order = ""
    name = ""
    found = btf.type(type_id)
    tags = tags_of(btf)
    while found is not target:
        if isinstance(found, t.Typedef):
            name = name or found.name
            order = order or _ORDERED.get(found.name, "")
            if tags and (found.id, -1) in tags:
                options = options.tagged(tags[found.id, -1])
        if isinstance(found, t.Modifier):
            found = btf.type(found.type_id)
    if not name:
        tag = {4: "struct ", 5: "union ", 6: "enum ", 19: "enum "}.get(target.kind, "")
        name = f"{tag}{target.name or '(anonymous)'}"
    if len(name) > _MAX_NAME:
        name = f"{name[: _MAX_NAME - 3]}..."  # every type made of this one repeats it
    return name, options.order or order or _native(btf), target, options


def _make_target(
    btf: Btf, name: str, order: str, target: t.Type, depth: int, options: Options
) -> Codec:
    byteorder = "little" if order == "<" else "big"
    if isinstance(target, t.Composite):
        return _make_composite(btf, name, target, depth, options)
    if isinstance(target, t.Array):
        return make_array(btf, name, target, depth, options)
    if options.orders:
        raise _refused(name, f"has no member {options.orders[0][0]!r}", options)
    form = options.form
    if form in {"ipv4", "ipv6"}:
        return _make_address(btf, name, target, options)
    if isinstance(target, t.Int):
        if target.is_bool and target.size == 1:
            return Bool(name, order)
        char = _UNSIGNED.get(target.size)
        if char is None:
            return BigInteger(name, byteorder, target.size, target.signed)
        char = char.lower() if target.signed else char
        if form.startswith("enum "):
            return Enumeration(name, order, char, _values_named(btf, form[5:]), names=True)
        return Scalar(name, order, char)
    if isinstance(target, t.Enum):
        if not target.size:
            raise BtfError(f"BTF of {btf.name}: {name} is only declared and has no size")
        char = _UNSIGNED[target.size]
        charge(btf, len(target.values), shared=options is DEFAULT)
        values = dict(target.values)
        names = form == "names" or (options.names and form != "numbers")
        char = char.lower() if target.signed else char
        return Enumeration(name, order, char, values, names=names)
    if isinstance(target, t.Pointer):
        return Scalar("pointer", order, "Q")
    if isinstance(target, t.Float):
        char = _FLOATS.get(target.size)
        if char is None:
            raise UnsupportedError(
                f"{name} ({target.size} bytes) has no Python equivalent", feature=name
            )
        return Scalar(name, order, char)
    if isinstance(target, t.Var):
        tags = tags_of(btf).get((target.id, -1), ())
        inner = by_name(btf, target, btf.strip(target.type_id), options.tagged(tags))
        return make(btf, target.type_id, depth - 1, inner)
    btf.size_of(target.id)  # raises: nothing else has a size except a data section
    raise BtfError(f"BTF of {btf.name}: data section {name} is read variable by variable")


def _make_composite(
    btf: Btf, name: str, target: t.Composite, depth: int, options: Options
) -> Codec:
    if options.form in {"ipv4", "ipv6"} or (options.addresses and address_size(target)):
        return _make_address(btf, name, target, options)
    if options.order:
        raise _refused(name, "is not one number", options)
    fields = fields_of(btf, target, depth, options)
    made = Composite(name, _native(btf), target.size, fields)
    if target.id in btf.records:
        made.make(btf.records[target.id])
    return made


def fields_of(
    btf: Btf,
    target: t.Composite,
    depth: int,
    options: Options,
    wants: Mapping[str, Any] = {},
    problems: list[tuple[str, TypeMismatchError]] | None = None,
) -> tuple[Field, ...]:
    """Return the members of a struct or union, checked to lie inside it.

    *wants* is a mapping of member to the Python type to make of it; what cannot be made is noted
    in *problems* with the member's name.
    """
    charge(btf, _PER_CLASS, shared=options is DEFAULT and problems is None)
    fields = tuple(_fields(btf, target, depth, options, wants, problems))
    for field in fields:
        if field.offset + field.codec.size > target.size:
            raise BtfError(
                f"BTF of {btf.name}: member {field.name} of {target.name or 'a struct'} ends past"
                f" its {target.size} bytes"
            )
    if options.orders:
        names = dict.fromkeys(field.name for field in fields)
        for path, _ in options.orders:
            if path.partition(".")[0] not in names:
                kind = f"{target.kind.name.lower()} {target.name or '(anonymous)'}"
                hint = f"its members are {', '.join(names)}"
                raise _refused(kind, f"has no member {path.partition('.')[0]!r}", options, hint)
    return fields


def _make_address(btf: Btf, name: str, target: t.Type, options: Options) -> Codec:
    from skep.btf.addresses import Address

    size = btf.size_of(target.id)
    wanted = {"ipv4": 4, "ipv6": 16}.get(options.form, size)
    if size != wanted or isinstance(target, (t.Float, t.Pointer)):
        raise BtfError(
            f"BTF of {btf.name}: {name} is tagged {PREFIX}{options.form}, an address of {wanted}"
            f" bytes, and has {size}"
        )
    return Address(name, size, options.order or ">")


def _values_named(btf: Btf, enum: str) -> dict[str, int]:
    """Return the enumerators of the enum that a tag names."""
    for kind in (t.Kind.ENUM, t.Kind.ENUM64):
        for id_ in btf.find(enum, kind):
            found = btf.type(id_)
            assert isinstance(found, t.Enum)
            if found.values:
                charge(btf, len(found.values), shared=False)
                return dict(found.values)
    raise BtfError(
        f"BTF of {btf.name} has the tag '{PREFIX}enum {enum}', and no enum {enum}",
        hint="the compiler leaves out an enum that nothing uses: use one of its enumerators",
    )


def _refused(name: str, why: str, options: Options, hint: str = "") -> TypeMismatchError:
    """Make the error for a byte order that a type cannot have."""
    hint = hint or "give the byte order of numbers: byteorder={'member': 'big'}"
    return TypeMismatchError(
        f"byteorder= does not fit {name}: it {why}",
        hint=hint,
        expected=name,
        given=dict(options.orders) or options.order,
    )


def make_array(
    btf: Btf, name: str, target: t.Array, depth: int, options: Options, want: Any = None
) -> Codec:
    element = btf.strip(target.type_id)
    length = target.length
    size = btf.size_of(target.id)  # refuses absurd sizes
    if options.form in {"ipv4", "ipv6"} and isinstance(element, t.Int):
        whole = 4 if options.form == "ipv4" else 16
        if size == whole != element.size:
            return _make_address(btf, f"{options.form} address", target, options)
    if is_char(element) or is_byte(element):
        if options.order or options.orders:
            raise _refused(f"{element.name}[{length}]", "is not made of numbers", options)
        if is_char(element):
            return String(f"char[{length}]", length)
        return Raw(f"unsigned char[{length}]", length)
    if options is not DEFAULT or want is not None:
        options = options.but(
            order=options.order, orders=options.orders, form=options.form, want=want
        )
    inner = make(btf, target.type_id, depth - 1, options)
    base, bracket, rest = inner.type_name.partition("[")
    name = f"{base}[{length}]{bracket}{rest}"
    if not inner.size:
        length = 0  # elements of no size hold nothing, however many
    if isinstance(inner, Scalar) and not getattr(inner, "names", None):
        return Numbers(name, inner, length)
    return Array(name, inner, length)


def _fields(
    btf: Btf,
    target: t.Composite,
    depth: int,
    options: Options,
    wants: Mapping[str, Any],
    problems: list[tuple[str, TypeMismatchError]] | None,
) -> Iterator[Field]:
    for member, bit, group, words in dissolved(
        btf, target, depth, shared=options is DEFAULT and problems is None
    ):
        inner = btf.strip(member.type_id)
        own = options.member(member.name, wants.get(member.name))
        own = by_name(btf, member, inner, own.tagged(words) if words else own)
        try:
            yield _field(btf, member, bit, inner, group, depth, own)
        except TypeMismatchError as error:
            if problems is None:
                raise
            problems.append((member.name, error))
            yield _field(btf, member, bit, inner, group, depth, DEFAULT)


def _field(
    btf: Btf,
    member: t.Member,
    bit: int,
    inner: t.Type,
    group: tuple[tuple[int, int], ...],
    depth: int,
    options: Options,
) -> Field:
    bits = member.bit_size
    if not bits and isinstance(inner, t.Int) and inner.bits != 8 * inner.size:
        # Before kind_flag (Linux 5.0, "bpf: btf: fix struct/union/fwd types with kind_flag")
        # the int type itself said how many bits a bit-field has.
        bits = inner.bits
        bit += inner.bit_offset
    if not bits and not bit % 8:
        made = make(btf, member.type_id, depth - 1, options)
        blank = is_special(btf, inner)
        return Field(member.name, bit // 8, made, group, optional=blank)
    if not isinstance(inner, (t.Int, t.Enum)) or not 0 < bits <= 8 * inner.size:
        raise BtfError(
            f"BTF of {btf.name}: member {member.name} has {bits or 'its'} bits at bit {bit},"
            f" which {inner.kind.name.lower()} {inner.name!r} cannot have"
        )
    name, _, _, options = resolve(btf, member.type_id, options)
    if options.order:
        raise _refused(f"bit-field {member.name}", "has no bytes of its own", options)
    return Field(member.name, bit // 8, _bit_field(btf, name, bit, bits, inner, options), group)


def _bit_field(
    btf: Btf, name: str, bit: int, bits: int, inner: t.Int | t.Enum, options: Options
) -> BitField:
    values: dict[str, int] | None = None
    of: Any = None
    form = options.form
    if isinstance(inner, t.Enum):
        values = dict(inner.values)
        named = form == "names" or (options.names and form != "numbers")
    elif named := form.startswith("enum "):
        values = _values_named(btf, form[5:])
    elif inner.is_bool and bits == 1:
        of = bool
    if options.want is not None:
        from skep.btf.views import of_bits

        of = of_bits(name, inner, values, options)
    elif named and values:
        names = {number: label for label, number in reversed(values.items())}
        of = _Names(names)
    return BitField(name, btf.byteorder, bit % 8, bits, inner.signed, values=values, of=of)


class _Names(dict[int, str]):
    """The names of numbers; a number that has none is its own."""

    def __call__(self, number: int) -> Any:
        return self.get(number, number)
