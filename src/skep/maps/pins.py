"""Maps that exist already: opened by pin or id, typed by the kernel's copy of their BTF."""

from __future__ import annotations

import errno
import os

from skep.errors import KernelError, PrivilegeError, TypeMismatchError
from skep.kernel import bpf
from skep.maps import kinds
from skep.maps.spec import MapSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from skep.btf.btf import Btf
    from skep.kernel.bpf.info import MapInfo
    from skep.kernel.fd import FD
    from skep.maps.live import LiveMap

    M = TypeVar("M", bound=LiveMap)

_ROOM = "skep.maps."


def opened(cls: type[M], path: str, expect: MapSpec | None, flags: int) -> M:
    """Open the map pinned at *path*; see `Map.from_pin`."""
    try:
        fd = bpf.obj_get(path, flags)
    except KernelError as error:
        from skep.maps.pin_failure import no_pin

        raise no_pin(path, error) from error
    made = taken_over(cls, fd)
    made.fd.what = f"map {made.name!r} pinned at {path}"
    if expect is None:
        return made
    from skep.maps.compare import check

    try:
        check(made.fd, expect, f"pinned at {path}")
    except BaseException:
        made.close()
        raise
    made.spec = typed(made.spec, expect)
    return made


def by_id(cls: type[M], id: int, flags: int) -> M:
    """Open the map *id*; see `Map.from_id`."""
    return taken_over(cls, bpf.fd_by_id("map", id, flags=flags))


def taken_over(cls: type[M], fd: FD) -> M:
    """Make the live map of *fd*, which is closed when that fails; see `Map.from_fd`."""
    try:
        _check_is_map(fd)
        spec = spec_of(fd)
        fd.what = f"map {spec.name!r}" if spec.name else "an unnamed map"
        return class_for(cls, spec)(fd, spec)
    except BaseException:
        fd.close()
        raise


def _check_is_map(fd: FD) -> None:
    """Raise `TypeMismatchError` for the descriptor of something else, where /proc tells.

    The kernel describes any object to who asks about it, and a program is no map.
    """
    try:
        link = os.readlink(f"/proc/self/fd/{fd.fileno()}")
    except OSError:
        return
    if link == "anon_inode:bpf-map":
        return
    what = {"anon_inode:bpf-prog": "a program", "anon_inode:bpf_link": "a link"}.get(link, link)
    raise TypeMismatchError(
        f"{fd.what.replace('object', 'what is', 1)} is {what}, not a map",
        expected="a map",
        given=what,
    )


def class_for(cls: type[M], spec: MapSpec) -> type[M]:
    """Return the class for *spec*: *cls*, or the one under it that its type has."""
    kind: type[Any] = kinds.map_class(spec.type)
    if issubclass(kind, cls):
        return kind
    # A class of somebody else, made from that of this room for the type, is as good.
    if next(each for each in cls.__mro__ if each.__module__.startswith(_ROOM)) is kind:
        return cls
    raise TypeMismatchError(
        f"map {spec.name!r} is a {kinds.type_name(spec.type)}, which is a {kind.__name__},"
        f" not a {cls.__name__}",
        hint="Map.from_fd(), from_id() and from_pin() open maps of any type",
        expected=cls.__name__,
        given=kind.__name__,
        map=spec.name,
    )


def typed(found: MapSpec, expect: MapSpec) -> MapSpec:
    """Return the spec of a map as it was *found*, with the name and the types of *expect*."""
    return found.copy(
        name=expect.name,
        btf=expect.btf,
        key_type_id=expect.key_type_id,
        value_type_id=expect.value_type_id,
        untyped=found.untyped if expect.btf is None else None,
    )


def spec_of(fd: FD) -> MapSpec:
    """Describe a live map: its shape, and its types when it was created with BTF.

    Without the right to read them there are none, and `untyped` says so.
    """
    info = bpf.map_info(fd)
    btf, untyped = None, None
    if info.btf_id:
        try:
            btf = btf_of(info)
        except PrivilegeError as error:  # opening BTF by its id needs more than opening a pin
            untyped = error
    return MapSpec(
        name=info.name,
        type=info.type,
        key_size=info.key_size,
        value_size=info.value_size,
        max_entries=info.max_entries,
        flags=info.flags,
        extra=info.extra,
        btf=btf,
        key_type_id=info.btf_key_type_id if btf is not None else 0,
        value_type_id=info.btf_value_type_id if btf is not None else 0,
        untyped=untyped,
    )


def btf_of(info: MapInfo) -> Btf:
    """Return the BTF that a map was created with; `PrivilegeError` without CAP_SYS_ADMIN."""
    from skep.btf.btf import Btf
    from skep.kernel.bpf.info import btf_data

    with bpf.fd_by_id("btf", info.btf_id) as fd:
        return Btf.from_bytes(btf_data(fd), name=f"map {info.name!r}")


def open_compatible(path: str, spec: MapSpec) -> FD | None:
    """Open the map pinned at *path* if there is one; `LoadError` listing how it differs."""
    try:
        fd = bpf.obj_get(path)
    except KernelError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    from skep.maps.compare import check

    try:
        check(fd, spec, f"pinned at {path}")
    except BaseException:
        fd.close()
        raise
    fd.what = f"map {spec.name!r} pinned at {path}"
    return fd


def pin(map: LiveMap, path: str) -> None:
    """Pin *map* at *path*; see `Map.pin`."""
    try:
        bpf.obj_pin(map.fd, path)
    except KernelError as error:
        from skep.maps.pin_failure import not_pinned

        raise not_pinned(map, path, error) from error


def unpin(map: LiveMap, path: str) -> None:
    """Remove the pin *path* if it is one of *map*; see `Map.unpin`."""
    from skep.maps import pin_failure

    own = map.info.id
    try:
        with bpf.obj_get(path) as fd:
            there = bpf.map_info(fd)
    except KernelError as error:
        raise pin_failure.no_pin(path, error) from error
    if there.id != own:
        raise pin_failure.pin_of_another(map, path, there)
    os.unlink(path)
