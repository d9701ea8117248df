"""How a spec becomes a live map: with or without types, from a pin or anew."""

from __future__ import annotations

import errno

from skep.errors import KernelError, PrivilegeError, RangeError
from skep.kernel import bpf
from skep.kernel.constants import MapType
from skep.maps import kinds
from skep.maps.spec import kernel_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.kernel.fd import FD
    from skep.maps.map import Map
    from skep.maps.spec import MapSpec

_TRIES = 16  # while others pin and unpin a map of the same name
_UNKEYED = (MapType.QUEUE, MapType.STACK)
# Types are an extra: a kernel that refuses these (EINVAL, ENOTSUPP) or this user (EPERM from an
# older kernel) may well take the map without them.
_WITHOUT_TYPES = (errno.EINVAL, errno.EPERM, errno.ENOTSUP, 524)


def create(spec: MapSpec, btf_fd: FD | None, pin_root: str, token: FD | None) -> Map:
    """Create the map, or open its pin; see `MapSpec.create`."""
    if spec.type in kinds.COMPLETED or (spec.type in kinds.ARRAYS and not spec.key_size):
        from skep.maps.complete import complete

        completed = complete(spec)
        if completed.btf is not spec.btf:
            btf_fd = None  # it lacks the type of the key that was filled in
        spec = completed
    contents = spec.contents
    if contents is not None and len(contents) != spec.value_size and spec.type != MapType.ARENA:
        raise RangeError(
            f"map {spec.name!r} has {len(contents)} bytes of contents, "
            f"expected its value size, {spec.value_size}"
        )
    if spec.pinning != "by_name":
        return _made(spec, btf_fd, token)
    from skep.maps.pins import open_compatible

    path = f"{pin_root}/{spec.name}"
    tries = _TRIES
    while True:
        tries -= 1
        pinned = open_compatible(path, spec)
        if pinned is not None:
            if not spec.max_entries:
                spec = spec.copy(max_entries=bpf.map_info(pinned).max_entries)
            return kinds.map_class(spec.type)(pinned, spec)
        live = _made(spec, btf_fd, token)
        try:
            live.pin(path)
        except BaseException as error:
            live.close()
            # Another process pinned its map since we looked: share that one. A link to nothing
            # is there for ever, too.
            if getattr(error, "errno", 0) != errno.EEXIST or not tries:
                raise
        else:
            return live


def _made(spec: MapSpec, btf_fd: FD | None, token: FD | None) -> Map:
    own = None
    if btf_fd is None and spec.btf is not None and _typed(spec):
        own = _loaded(spec, token)
    try:
        if not spec.max_entries:
            spec = spec.copy(max_entries=_default_entries(spec))
        live = kinds.map_class(spec.type)(create_bare(spec, btf_fd or own, token), spec)
    finally:
        if own is not None:
            own.close()
    try:
        if spec.type == MapType.ARENA:
            live.memory()  # the kernel wants to know its address before it loads programs
        if spec.contents is not None and spec.contents.strip(b"\0"):
            live.write_contents(bytes(spec.contents))
        if spec.frozen:
            bpf.map_freeze(live.fd)  # nobody has it mapped yet, which `freeze` would see to
    except BaseException:
        live.close()
        raise
    return live


def _typed(spec: MapSpec) -> bool:
    return bool(spec.key_type_id or spec.value_type_id) and spec.type not in kinds.NO_TYPES


def _loaded(spec: MapSpec, token: FD | None) -> FD | None:
    """Load the spec's own BTF; None when the kernel does not take it."""
    assert spec.btf is not None
    try:
        return bpf.btf_load(bytes(spec.btf.raw), token_fd=token)
    except KernelError:
        return None


def create_bare(spec: MapSpec, btf_fd: FD | None, token: FD | None) -> FD:
    """Create the map and nothing more; types only where the kernel takes them."""
    if spec.type in kinds.STORAGES:
        from skep.maps.complete import create_storage

        return create_storage(spec, btf_fd, token)
    inner = create_bare(spec.inner, btf_fd, token) if spec.inner is not None else None
    ring = spec.type in kinds.RINGS
    plain: dict[str, Any] = {
        "type": spec.type,
        "key_size": 0 if ring else spec.key_size,
        "value_size": 0 if ring else spec.value_size,
        "max_entries": spec.max_entries or _default_entries(spec),
        "flags": int(spec.flags),
        "name": kernel_name(spec.name),
        "inner_map_fd": inner,
        "numa_node": spec.numa_node,
        "map_extra": spec.extra,
        "token_fd": token,
    }
    types: dict[str, Any] = {
        "btf_fd": btf_fd,
        "btf_key_type_id": spec.key_type_id,
        "btf_value_type_id": spec.value_type_id,
    }
    unkeyed = None
    try:
        if btf_fd is not None and _typed(spec):
            if spec.type in _UNKEYED and not spec.key_type_id and spec.btf is not None:
                from skep.maps.types.unkeyed import load

                unkeyed = load(spec, token)
                if unkeyed is not None:
                    types = dict(zip(types, unkeyed, strict=True))
            try:
                return bpf.map_create(**plain, **types)
            except KernelError as error:
                if error.errno not in _WITHOUT_TYPES:
                    raise
        try:
            return bpf.map_create(**plain)
        except KernelError as error:
            if error.errno not in (errno.EINVAL, errno.E2BIG) or _takes_names():
                raise
            return bpf.map_create(**{**plain, "name": ""})
    except PrivilegeError:
        raise
    except KernelError as error:
        from skep.maps.failure import refused

        raise refused(spec, error) from error
    finally:
        if unkeyed is not None:
            unkeyed[0].close()
        if inner is not None:
            inner.close()


def _default_entries(spec: MapSpec) -> int:
    """Return the entries that ``max_entries`` 0 stands for."""
    if spec.type not in kinds.PER_CPU_ENTRIES:
        return 0
    from skep.kernel.cpus import possible_cpus

    return possible_cpus()


def _takes_names() -> bool:
    """Whether the kernel knows names of maps (Linux 4.15)."""
    from skep.kernel.features import available

    return available("object_names")
