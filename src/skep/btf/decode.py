"""One BTF record, as 32-bit words in native order, to one type object.

Sans-IO and private to the room: `skep.btf.btf.Btf` owns the words and the cache. The layout of
each record is that of linux/btf.h. A record starts with three words,

    name_off                 offset into the string section
    info                     bits 0-15 vlen, 24-28 kind, 31 kind_flag, the rest zero
    size or type             depends on the kind

followed by `vlen` items of a size that depends on the kind.
"""

from __future__ import annotations

from skep.btf import types as t
from skep.errors import BtfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.btf.btf import Btf

# Words after the first three: (fixed, per item), indexed by kind.
EXTRA: tuple[tuple[int, int], ...] = (
    (0, 0),  # VOID never appears as a record
    (1, 0),  # INT: encoding
    (0, 0),  # PTR
    (3, 0),  # ARRAY: type, index type, length
    (0, 3),  # STRUCT: name, type, offset
    (0, 3),  # UNION
    (0, 2),  # ENUM: name, value
    (0, 0),  # FWD
    (0, 0),  # TYPEDEF
    (0, 0),  # VOLATILE
    (0, 0),  # CONST
    (0, 0),  # RESTRICT
    (0, 0),  # FUNC: vlen is the linkage, not a count
    (0, 2),  # FUNC_PROTO: name, type
    (1, 0),  # VAR: linkage
    (0, 3),  # DATASEC: type, offset, size
    (0, 0),  # FLOAT
    (1, 0),  # DECL_TAG: component index
    (0, 0),  # TYPE_TAG
    (0, 3),  # ENUM64: name, low half, high half
)

# Bits of `info` that mean nothing; the kernel refuses them (kernel/bpf/btf.c, BTF_INFO_MASK).
RESERVED = 0x60FF0000

_MODIFIERS: dict[int, type[t.Modifier]] = {
    8: t.Typedef,
    9: t.Volatile,
    10: t.Const,
    11: t.Restrict,
}


def record_words(info: int) -> int:
    """Return how many words a record with this *info* takes.

    Raises `BtfError` with the end of a sentence: whose record it is the caller knows.
    """
    kind = info >> 24 & 0x1F
    if not 0 < kind < len(EXTRA):
        raise BtfError(f"is of unknown kind {kind}; this version knows 1 to {len(EXTRA) - 1}")
    if info & RESERVED:
        raise BtfError(f"has reserved bits set in its info word {info:#010x}")
    fixed, item = EXTRA[kind]
    return 3 + fixed + item * (info & 0xFFFF)


def decode(
    btf: Btf, id: int, words: memoryview[int], at: int, string: Callable[[int], str]
) -> t.Type:
    """Decode the record whose first word is ``words[at]``; the caller has checked its extent."""
    name = string(words[at]) if words[at] else ""
    info = words[at + 1]
    third = words[at + 2]
    kind = info >> 24 & 0x1F
    vlen = info & 0xFFFF
    flag = info >> 31
    item = at + 3
    if kind == 2:
        return t.Pointer(btf, id, name, third)
    if kind in {4, 5}:
        members = []
        for i in range(item, item + 3 * vlen, 3):
            offset = words[i + 2]
            width = 0
            if flag:
                width = offset >> 24
                offset &= 0xFFFFFF
            n = words[i]
            members.append(t.Member(string(n) if n else "", words[i + 1], offset, width))
        composite = t.Struct if kind == 4 else t.Union
        return composite(btf, id, name, third, tuple(members))
    if kind == 13:
        params = tuple((string(words[i]), words[i + 1]) for i in range(item, item + 2 * vlen, 2))
        return t.FuncProto(btf, id, third, params)
    if kind == 12:
        return t.Func(btf, id, name, third, vlen)
    if kind in _MODIFIERS:
        return _MODIFIERS[kind](btf, id, name, third)
    if kind == 3:
        return t.Array(btf, id, words[item], words[item + 1], words[item + 2])
    if kind == 1:
        return _int(btf, id, name, third, words[item])
    if kind in {6, 19}:
        return _enum(btf, id, name, third, bool(flag), words, item, vlen, string)
    if kind == 7:
        return t.Forward(btf, id, name, bool(flag))
    if kind == 14:
        return t.Var(btf, id, name, third, words[item])
    if kind == 15:
        variables = tuple(
            (words[i], words[i + 1], words[i + 2]) for i in range(item, item + 3 * vlen, 3)
        )
        return t.DataSec(btf, id, name, third, variables)
    if kind == 16:
        if third not in {2, 4, 8, 12, 16}:
            raise BtfError(f"BTF float {name!r} (type {id}) is {third} bytes long")
        return t.Float(btf, id, name, third)
    if kind == 17:
        index = words[item]
        if index >= 1 << 31:
            index -= 1 << 32
        return t.DeclTag(btf, id, name, third, index, bool(flag))
    return t.TypeTag(btf, id, name, third, bool(flag))


def _int(btf: Btf, id: int, name: str, size: int, encoding: int) -> t.Int:
    bits = encoding & 0xFF
    offset = encoding >> 16 & 0xFF
    if size not in {1, 2, 4, 8, 16} or not bits or bits + offset > size * 8:
        raise BtfError(
            f"BTF int {name!r} (type {id}) claims {bits} bits at bit {offset} of {size} bytes"
        )
    flags = encoding >> 24
    return t.Int(
        btf, id, name, size, bits, offset, bool(flags & 1), bool(flags & 2), bool(flags & 4)
    )


def _enum(
    btf: Btf,
    id: int,
    name: str,
    size: int,
    signed: bool,
    words: memoryview[int],
    item: int,
    vlen: int,
    string: Callable[[int], str],
) -> t.Enum:
    # clang writes an enum that is only declared as one of no size and no values.
    if size not in {1, 2, 4, 8} and (size or vlen):
        raise BtfError(f"BTF enum {name!r} (type {id}) is {size} bytes long")
    values = []
    if words[item - 2] >> 24 & 0x1F == 6:
        kind = t.Kind.ENUM
        for i in range(item, item + 2 * vlen, 2):
            value = words[i + 1]
            # Before kind_flag had a meaning here (Linux 6.0, "bpf: Add btf enum64 support")
            # compilers left it 0 for signed enums too, so 32-bit values are ambiguous then;
            # the flag is taken at its word, as the kernel does.
            if signed and value >= 1 << 31:
                value -= 1 << 32
            values.append((string(words[i]), value))
    else:
        kind = t.Kind.ENUM64
        for i in range(item, item + 3 * vlen, 3):
            value = words[i + 1] | words[i + 2] << 32
            if signed and value >= 1 << 63:
                value -= 1 << 64
            values.append((string(words[i]), value))
    return t.Enum(btf, id, name, kind, size, signed, tuple(values))
