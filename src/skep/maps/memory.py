"""Maps as memory that user space and programs share."""

from __future__ import annotations

import errno

from skep.errors import ClosedError, KernelError
from skep.kernel import bpf
from skep.kernel.constants import MapFlags, MapType
from skep.kernel.memory import Mapping
from skep.maps.live import lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.fd import FD
    from skep.maps.live import LiveMap
    from skep.maps.spec import MapSpec

# EINVAL: mmap(2) makes no shared mapping of a file that is open for reading only, and
# bpf_map_mmap takes no other. ENOTSUPP (524): values with a lock, timer or the like are not shared.
_FORBIDDEN = (errno.EPERM, errno.EACCES, errno.EINVAL, 524)


def shared(map: LiveMap) -> Mapping | None:
    """Return the memory of *map*, which owns it, mapped when it is first asked for."""
    if map._parent is not None:  # noqa: SLF001 - of this room
        map.fileno()
        return map._parent.memory()  # noqa: SLF001
    with lock:
        found = map._memory  # noqa: SLF001
        if found is None:
            map.fileno()
            found = map._memory = mapped(map.fd, map.spec, map._frozen)  # noqa: SLF001
            if map.closed and found is not None:  # by a signal handler, meanwhile
                found.close()
                map.fileno()
        return found


def freeze(map: LiveMap) -> None:
    """Freeze *map*, and give up its memory before that if it may be written; see `Map.freeze`."""
    owner = map._parent or map  # noqa: SLF001 - of this room
    with lock:
        memory = owner._memory  # noqa: SLF001
        if memory is not None and not memory.view.readonly:
            owner._memory = None  # noqa: SLF001
            memory.close()
    try:
        bpf.map_freeze(map.fd)
    except KernelError as error:
        from skep.maps.refusal import not_frozen

        raise not_frozen(map, error) from error
    map._frozen = owner._frozen = True  # noqa: SLF001


def mapped(fd: FD, spec: MapSpec, frozen: bool) -> Mapping | None:
    """Map the values of an array, or an arena; None for other maps, and arrays not MMAPABLE.

    Writable where that is allowed: the kernel refuses it for a frozen map (EPERM) and for a
    descriptor that may only read (EACCES); a descriptor that may only write cannot be mapped, and
    neither can values that have a lock, a timer or the like (``bpf_map_mmap``).
    """
    if spec.type == MapType.ARENA:
        from skep.maps.types import arena

        return arena.mapped(fd, spec)
    flags = int(spec.flags)
    if spec.type != MapType.ARRAY or not flags & MapFlags.MMAPABLE:
        return None
    length = (spec.value_size + 7 & ~7) * spec.max_entries
    ways = (True, False) if not (frozen or flags & MapFlags.RDONLY) else (False,)
    for writable in ways:
        try:
            return Mapping(fd, length, writable=writable, what=f"map {spec.name!r} (array)")
        except KernelError as error:
            if error.errno == errno.EBADF and fd.closed:
                raise ClosedError(f"{fd.what} is closed") from error
            if error.errno not in _FORBIDDEN:
                raise
    return None
