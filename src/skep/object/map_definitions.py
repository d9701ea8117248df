"""`.maps`: maps declared as C structs whose member *types* carry the numbers.

Each variable of the BTF data section `.maps` is a map. `__uint(name, N)` is a pointer to an array
of N ints, `__type(name, T)` a pointer to T, `__array(values, T)` an array of pointers to T,
`__ulong(name, N)` an enum with the one value N (libbpf's bpf_helpers.h; skep/macros.h).
"""

from __future__ import annotations

from skep.btf import types as t
from skep.errors import BtfError
from skep.kernel.constants import MapType
from skep.maps.spec import MapSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.btf.btf import Btf

_NUMBERS = {
    "type": "type",
    "key_size": "key_size",
    "value_size": "value_size",
    "max_entries": "max_entries",
    "map_flags": "flags",
    "map_extra": "extra",
    "numa_node": "numa_node",
    "pinning": "pinning",
}
_PINNING = {0: "none", 1: "by_name"}  # enum libbpf_pin_type
_REGIONS = frozenset({MapType.RINGBUF, MapType.USER_RINGBUF, MapType.ARENA})
_DESCRIPTORS = frozenset(
    {
        MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS, MapType.PROG_ARRAY,
        MapType.PERF_EVENT_ARRAY, MapType.CGROUP_ARRAY,
    }
)  # fmt: skip


def read_definition(btf: Btf, name: str, type_id: int, *, inner: bool = False) -> MapSpec:
    """Make the spec of the map variable *name* of type *type_id*.

    Raises `BtfError` naming the map and the member that is not understood.
    """
    definition = btf.strip(type_id)
    if not isinstance(definition, t.Struct):
        raise _refused(name, f"is declared as {definition.kind.name.lower()}, expected a struct")
    values: dict[str, Any] = {"name": name, "btf": btf}
    seen: set[str] = set()
    for member in definition.members:
        if member.name in seen:
            raise _refused(name, f"has two members {member.name!r}")
        seen.add(member.name)
        attribute = _NUMBERS.get(member.name)
        if attribute is not None:
            number = _number(btf, name, member)
            if attribute == "pinning":
                if number not in _PINNING:
                    raise _refused(name, f"has the unknown pinning {number}")
                values["pinning"] = _PINNING[number]
            elif attribute.endswith("_size") and values.get(attribute, number) != number:
                raise _refused(name, f"has a {attribute} of {number} and a type of another size")
            else:
                values[attribute] = number
        elif member.name in ("key", "value"):
            pointer = btf.strip(member.type_id)
            if not isinstance(pointer, t.Pointer):
                raise _refused(name, f"has a member {member.name!r} that is no pointer")
            try:
                size = btf.size_of(pointer.type_id)
            except BtfError:
                size = values.get(f"{member.name}_size", 0)
                if not size:
                    raise _unsized(btf, name, member.name, pointer.type_id) from None
            if values.get(f"{member.name}_size", size) != size:
                raise _refused(name, f"has a {member.name}_size and a type of another size")
            values[f"{member.name}_size"] = size
            values[f"{member.name}_type_id"] = pointer.type_id
        elif member.name == "values":
            if inner:
                raise _refused(name, "holds maps itself, and maps in maps nest only once")
            inner_id = _inner(btf, name, member)
            if inner_id:
                values["inner"] = read_definition(btf, f"{name}.inner", inner_id, inner=True)
        else:
            raise _refused(name, f"has an unknown member {member.name!r}")
    if not values.get("type"):
        raise _refused(name, "has no type")
    spec = MapSpec(**values)
    complete_sizes(spec)
    if spec.type in _REGIONS:
        if spec.key_type_id:
            what = "an arena" if spec.type == MapType.ARENA else "a ring buffer"
            raise _refused(name, f"is {what} and has a key")
        spec.value_size = 0  # a value type names the records; the kernel wants no size
    return spec


def complete_sizes(spec: MapSpec) -> None:
    """Fill in the sizes of a map of descriptors, whose declaration may leave them out.

    Descriptors go in, ids come out: 4 bytes each.
    """
    if spec.type in _DESCRIPTORS:
        spec.key_size = spec.key_size or 4
        if spec.type == MapType.PERF_EVENT_ARRAY and spec.value_type_id:
            spec.value_size = 4  # the type names what programs send
        spec.value_size = spec.value_size or 4


def _unsized(btf: Btf, name: str, role: str, type_id: int) -> BtfError:
    declared = btf.strip(type_id).name or "void"
    return BtfError(
        f"map {name!r} has the {role} type {declared!r}, whose size the object's BTF does not have",
        hint="the compiler leaves out structs that nothing uses: declare a variable of that type"
        f" somewhere, or give {role}_size",
    )


def _number(btf: Btf, name: str, member: t.Member) -> int:
    found = btf.strip(member.type_id)
    if isinstance(found, t.Pointer):
        array = btf.strip(found.type_id)
        if isinstance(array, t.Array):
            return array.length
    if isinstance(found, t.Enum) and len(found.values) == 1:
        return found.values[0][1]
    raise _refused(name, f"has a member {member.name!r} that carries no number")


def _inner(btf: Btf, name: str, member: t.Member) -> int:
    """Return the type of the maps in a map, 0 when its values are programs."""
    array = btf.strip(member.type_id)
    if isinstance(array, t.Array):
        pointer = btf.strip(array.type_id)
        if isinstance(pointer, t.Pointer):
            target = btf.strip(pointer.type_id)
            if isinstance(target, t.Struct):
                return target.id
            if isinstance(target, t.FuncProto):
                return 0
    raise _refused(name, "has 'values' that are neither maps nor functions")


def _refused(name: str, what: str) -> BtfError:
    return BtfError(f"map {name!r} {what}")
