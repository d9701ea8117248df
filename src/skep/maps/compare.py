"""Whether a map that exists already is the one that a spec describes: every difference."""

from __future__ import annotations

import errno

from skep.btf import types as t
from skep.errors import LoadError, PrivilegeError
from skep.kernel import bpf
from skep.kernel.constants import MapFlags, MapType
from skep.maps import kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.btf.btf import Btf
    from skep.kernel.bpf.info import MapInfo
    from skep.kernel.fd import FD
    from skep.maps.spec import MapSpec

# Flags of the descriptor, not of the map: the kernel forgets them (bpf_map_flags_retain_permanent
# in include/linux/bpf.h). TOKEN_FD says how it was allowed.
_NOT_KEPT = int(MapFlags.RDONLY | MapFlags.WRONLY | MapFlags.TOKEN_FD)
_DEVICES = (MapType.DEVMAP, MapType.DEVMAP_HASH)


def check(fd: FD, spec: MapSpec, where: str) -> None:
    """Raise `LoadError` when the map *fd*, which is at *where*, is not what *spec* describes.

    Its `differences` are sentences, one for each of type, sizes, entries, flags, extra, and the
    layouts of keys and values; `expected_layout` and `given_layout` are the first of these that
    differ. Types are compared where both sides have them and this process may read them
    (CAP_SYS_ADMIN), by the names, offsets, sizes and kinds of all members; names of types do not
    matter.
    """
    info = bpf.map_info(fd)
    found = [
        f"{what} {there}, expected {here}" for what, here, there in shape_differences(spec, info)
    ]
    layouts: dict[str, Any] = {}
    text = ""
    for role, differing in _layout_differences(spec, info):
        found.append(f"the layout of its {role}s")
        text += f"\n{role}:\n{differing[2]}"
        if not layouts:
            layouts = {"expected_layout": differing[0], "given_layout": differing[1]}
    if not found:
        return
    raise LoadError(
        f"the map {where} (id {info.id}) is another than {spec.name!r}: {'; '.join(found)}{text}",
        errno=errno.EEXIST,
        hint="unpin it, pin this map elsewhere, or change its declaration to that of the pinned",
        call="BPF_OBJ_GET",
        name=spec.name,
        kind="map",
        differences=found,
        **layouts,
    )


def shape_differences(spec: MapSpec, info: MapInfo) -> list[tuple[str, Any, Any]]:
    """Return (what, expected, found) of all that *info* has otherwise than *spec*."""
    from skep.maps.complete import complete

    spec = complete(spec)
    ring = spec.type in kinds.RINGS
    flags = int(spec.flags) & ~_NOT_KEPT
    if spec.type in _DEVICES:
        flags |= MapFlags.RDONLY_PROG  # added by the kernel (dev_map_alloc_check)
    wanted: list[tuple[str, Any, Any]] = [
        ("type", kinds.type_name(spec.type), kinds.type_name(info.type)),
        ("key size", 0 if ring else spec.key_size, info.key_size),
        ("value size", 0 if ring else spec.value_size, info.value_size),
        ("max_entries", _entries(spec, info), info.max_entries),
        ("flags", kinds.flag_names(flags), kinds.flag_names(info.flags & ~_NOT_KEPT)),
        ("map_extra", spec.extra, info.extra),
    ]
    return [one for one in wanted if one[1] != one[2]]


def _entries(spec: MapSpec, info: MapInfo) -> int:
    """Return the entries that the kernel would give a map of *spec*."""
    if not spec.max_entries:
        return info.max_entries  # the kernel's choice, or one for each CPU
    if spec.type in kinds.HASHES and spec.flags & MapFlags.NO_COMMON_LRU:
        from skep.kernel.cpus import possible_cpus

        cpus = possible_cpus()  # htab_map_alloc: every CPU has a list of its own
        return -(-spec.max_entries // cpus) * cpus
    return spec.max_entries


def _layout_differences(spec: MapSpec, info: MapInfo) -> list[tuple[str, tuple[Any, Any, str]]]:
    if spec.btf is None or not info.btf_id:
        return []
    from skep.maps.pins import btf_of

    try:
        btf = btf_of(info)
    except PrivilegeError:  # who may open the pin may use the map: its shape is known
        return []
    pairs = (
        ("key", spec.key_type_id, info.btf_key_type_id),
        ("value", spec.value_type_id, info.btf_value_type_id),
    )
    found = []
    for role, here, there in pairs:
        if not here or not there or shape(spec.btf, here) == shape(btf, there):
            continue
        found.append((role, _both(spec.btf, here, btf, there)))
    return found


def _both(here: Btf, id: int, there: Btf, other: int) -> tuple[Any, Any, str]:
    """Return both layouts, and both as text."""
    from skep.btf.layout import layout, side_by_side

    if isinstance(here.strip(id), t.DataSec) or isinstance(there.strip(other), t.DataSec):
        return None, None, "other variables, or others in between"
    expected, given = layout(here, id), layout(there, other)
    return expected, given, side_by_side(expected, given, titles=("expected", "pinned"))


def shape(btf: Btf, id: int) -> Any:
    """Return the type *id* without the names of types, so that equal bytes mean equal things."""
    found = btf.strip(id)
    if isinstance(found, t.Composite):
        members = [(m.name, m.bit_offset, m.bit_size, shape(btf, m.type_id)) for m in found.members]
        return type(found).__name__, found.size, tuple(members)
    if isinstance(found, t.Array):
        return "array", found.length, shape(btf, found.type_id)
    if isinstance(found, t.Int | t.Enum):
        return "signed" if found.signed else "unsigned", found.size
    if isinstance(found, t.DataSec):
        return tuple((btf.type(v[0]).name, *v[1:]) for v in found.variables)
    size = getattr(found, "size", None)
    return type(found).__name__, size
