"""Maps that exist already: opened by pin or id, typed by the kernel's copy of their BTF."""

from __future__ import annotations

import errno

from skep.errors import KernelError, LoadError
from skep.kernel import bpf
from skep.maps import kinds
from skep.maps.spec import MapSpec, kernel_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf.btf import Btf
    from skep.kernel.bpf.info import MapInfo
    from skep.kernel.fd import FD


def spec_of(fd: FD) -> MapSpec:
    """Describe a live map: its shape, and its types when it was created with BTF."""
    info = bpf.map_info(fd)
    return MapSpec(
        name=info.name,
        type=info.type,
        key_size=info.key_size,
        value_size=info.value_size,
        max_entries=info.max_entries,
        flags=info.flags,
        extra=info.extra,
        btf=_btf(info.btf_id, info.name) if info.btf_id else None,
        key_type_id=info.btf_key_type_id,
        value_type_id=info.btf_value_type_id,
    )


def _btf(id: int, name: str) -> Btf:
    from skep.btf.btf import Btf
    from skep.kernel.bpf.info import btf_data

    with bpf.fd_by_id("btf", id) as fd:
        return Btf.from_bytes(btf_data(fd), name=f"map {name!r}")


def open_compatible(path: str, spec: MapSpec) -> FD | None:
    """Open the map pinned at *path* if there is one; `LoadError` listing how it differs.

    Type, sizes, entries and flags must agree, as for libbpf. Maps that the kernel gives more
    entries than asked for (LRU, rounded up to the CPUs) are not compared in that.
    """
    try:
        fd = bpf.obj_get(path)
    except KernelError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    try:
        _compare(path, spec, bpf.map_info(fd))
    except BaseException:
        fd.close()
        raise
    return fd


def _compare(path: str, spec: MapSpec, info: MapInfo) -> None:
    ring = spec.type in kinds.RINGS
    wanted = {
        "type": (kinds.type_name(spec.type), kinds.type_name(info.type)),
        "key size": (0 if ring else spec.key_size, info.key_size),
        "value size": (0 if ring else spec.value_size, info.value_size),
        "entries": (spec.max_entries or info.max_entries, info.max_entries),
        "flags": (hex(spec.flags), hex(info.flags)),
    }
    differences = [
        f"{what} {there}, expected {here}"
        for what, (here, there) in wanted.items()
        if here != there
    ]
    if differences:
        message = f"the map pinned at {path} is another than {spec.name!r}: "
        raise LoadError(
            message + "; ".join(differences),
            errno=errno.EEXIST,
            hint="unpin it, or rename this map",
            call="BPF_OBJ_GET",
            name=kernel_name(spec.name),
            kind="map",
            differences=differences,
        )
