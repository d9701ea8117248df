"""Maps as memory that user space and programs share."""

from __future__ import annotations

import errno

from skep.errors import ClosedError, KernelError
from skep.kernel.constants import MapFlags, MapType
from skep.kernel.memory import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.fd import FD
    from skep.maps.spec import MapSpec

# EINVAL: mmap(2) makes no shared mapping of a file that is open for reading only, and
# bpf_map_mmap takes no other.
_FORBIDDEN = (errno.EPERM, errno.EACCES, errno.EINVAL)


def mapped(fd: FD, spec: MapSpec, frozen: bool) -> Mapping | None:
    """Map the values of an array, or an arena; None for other maps, and arrays not MMAPABLE.

    Writable where that is allowed: the kernel refuses it for a frozen map (EPERM) and for a
    descriptor that may only read (EACCES); a descriptor that may only write cannot be mapped
    (``bpf_map_mmap``).
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
