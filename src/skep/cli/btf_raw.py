"""BTF as one line for each type, in the manner of ``bpftool btf dump format raw``."""

from __future__ import annotations

from skep.btf.types import (
    Array,
    Composite,
    DataSec,
    DeclTag,
    Enum,
    Float,
    Forward,
    Func,
    FuncProto,
    Int,
    Kind,
    Reference,
    Type,
    Var,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.btf.btf import Btf

LINKAGE = ("static", "global", "extern")


def lines(types: Btf) -> Iterator[str]:
    """Yield the lines: ``[id] KIND 'name' facts``, and an indented one for each member.

    Of split BTF only its own types.
    """
    for number in range(types.first_id, len(types)):
        kind = types.type(number)
        name = f"'{kind.name}'" if kind.name else "'(anon)'"
        yield " ".join((f"[{number}]", kind.kind.name, name, facts(kind))).rstrip()
        yield from members(kind)


def facts(kind: Type) -> str:
    """Return what follows the name."""
    match kind:
        case Int():
            encoding = "SIGNED" if kind.signed else "BOOL" if kind.is_bool else "(none)"
            return (
                f"size={kind.size} bits_offset={kind.bit_offset} nr_bits={kind.bits} "
                f"encoding={encoding}"
            )
        case Float():
            return f"size={kind.size}"
        case Composite():
            return f"size={kind.size} vlen={len(kind.members)}"
        case Enum():
            encoding = "SIGNED" if kind.signed else "UNSIGNED"
            return f"encoding={encoding} size={kind.size} vlen={len(kind.values)}"
        case Array():
            return (
                f"type_id={kind.type_id} index_type_id={kind.index_type_id} nr_elems={kind.length}"
            )
        case Forward():
            return f"fwd_kind={'union' if kind.is_union else 'struct'}"
        case FuncProto():
            return f"ret_type_id={kind.type_id} vlen={len(kind.params)}"
        case Func() | Var():
            linkage = LINKAGE[kind.linkage] if kind.linkage < len(LINKAGE) else kind.linkage
            # The comma is bpftool's: scripts that read its output read this.
            comma = "," if isinstance(kind, Var) else ""
            return f"type_id={kind.type_id}{comma} linkage={linkage}"
        case DataSec():
            return f"size={kind.size} vlen={len(kind.variables)}"
        case DeclTag():
            return f"type_id={kind.type_id} component_idx={kind.component_index}"
        case Reference():
            return f"type_id={kind.type_id}"
    return ""


def members(kind: Type) -> Iterator[str]:
    """Yield the lines of what a type contains."""
    match kind:
        case Composite():
            for one in kind.members:
                bits = f" bitfield_size={one.bit_size}" if one.bit_size else ""
                name = f"'{one.name}'" if one.name else "'(anon)'"
                yield f"\t{name} type_id={one.type_id} bits_offset={one.bit_offset}{bits}"
        case Enum():
            suffix = "" if kind.kind is Kind.ENUM else "LL" if kind.signed else "ULL"
            for name, value in kind.values:
                yield f"\t'{name}' val={value}{suffix}"
        case FuncProto():
            for name, type_id in kind.params:
                shown = f"'{name}'" if name else "'(anon)'"
                yield f"\t{shown} type_id={type_id}"
        case DataSec():
            for type_id, offset, size in kind.variables:
                inner = kind.btf.type(type_id)
                what = f"({inner.kind.name} '{inner.name}')"
                yield f"\ttype_id={type_id} offset={offset} size={size} {what}"
