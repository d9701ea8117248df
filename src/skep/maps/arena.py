"""Arenas: a region of memory that programs and user space share, pointers and all (Linux 6.9).

The kernel translates nothing: a pointer that a program stores is the address at which user space
has the page. So the region must be mapped before programs are loaded, and where the map says,
when it says (`map_extra`).
"""

from __future__ import annotations

from skep.errors import KernelError, LoadError, RangeError
from skep.kernel.memory import Mapping
from skep.kernel.syscall import page_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.fd import FD
    from skep.maps.map import Map
    from skep.maps.spec import MapSpec


def mapped(fd: FD, spec: MapSpec) -> Mapping:
    """Map the whole arena *fd*, at its address where it has one.

    Raises `LoadError` when that is impossible, for one because something is there already.
    """
    length = spec.max_entries * page_size
    what = f"map {spec.name!r} (arena)"
    try:
        return Mapping(fd, length, writable=True, address=spec.extra, what=what)
    except KernelError as error:
        place = f" at {spec.extra:#x}, its map_extra" if spec.extra else ""
        raise LoadError(
            f"{what} cannot be mapped{place}: {error.message}",
            errno=error.errno or 0,
            hint="leave map_extra out, and the kernel finds a place" if spec.extra else error.hint,
            call="mmap",
            name=spec.name,
            kind="map",
        ) from error


def contents_at(spec: MapSpec) -> int:
    """Return at which byte the variables of an arena begin: they are its last pages."""
    assert spec.contents is not None
    pages = -(-len(spec.contents) // page_size)
    return (spec.max_entries - pages) * page_size


def store(map: Map, data: bytes) -> None:
    """Store the initial values of the variables; `RangeError` when they do not fit in."""
    mapping = map.memory()
    assert mapping is not None
    start = contents_at(map.spec)
    if start < 0:
        message = (
            f"map {map.name!r} (arena) has {mapping.length} bytes, and its variables {len(data)}"
        )
        raise RangeError(message, hint="raise max_entries, its pages")
    mapping.view[start : start + len(data)] = data
