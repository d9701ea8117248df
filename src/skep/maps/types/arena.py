"""Arenas: a region of memory that programs and user space share, pointers and all (Linux 6.9).

The kernel translates nothing: a pointer that a program stores is the address at which user space
has the page. So the region must be mapped before programs are loaded, and where the map says,
when it says (`map_extra`).
"""

from __future__ import annotations

from _operator import index as to_index  # operator without its Python part

from skep.errors import KernelError, LoadError, RangeError, TypeMismatchError
from skep.kernel.memory import Mapping
from skep.kernel.syscall import page_size
from skep.maps.types.keyless import Keyless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    from skep.kernel.fd import FD
    from skep.maps.map import Map
    from skep.maps.spec import MapSpec

    View = np.ndarray[Any, Any]

_ONCE = "without map_extra, an address of its own, an arena can be mapped once and no more"
_THERE = "something is there: a process has an arena once; a new one may leave map_extra out"


class Arena(Keyless):
    """A live arena: `max_entries` pages that programs and this process both have in memory.

    A page comes into being, full of zeros, when either side first touches it; with the flag
    SEGV_ON_FAULT only programs make pages (`bpf_arena_alloc_pages`), and touching any other ends
    this process with SIGSEGV. Pointers that programs store are addresses in this process
    (`offset_of` makes offsets of them). No lock guards the memory: aligned numbers of up to 8 bytes
    are never torn, anything else has to be agreed on with the programs.
    """

    __slots__ = ()

    INSTEAD = "its memory is there: data, view(), or global variables of the object"

    def __len__(self) -> int:
        """Return its size in bytes."""
        return self.spec.max_entries * page_size

    @property
    def address(self) -> int:
        """Where it begins, in this process and any other that maps it.

        Only an arena that was made with an address, `map_extra`, can be mapped a second time, by
        another process.
        """
        return self._region().address

    @property
    def data(self) -> memoryview:
        """All its bytes, writable; valid as long as somebody holds the view."""
        return self._region().view

    def view(self, dtype: Any = "u1", offset: int = 0, count: int | None = None) -> View:
        """Return *count* items of a NumPy *dtype* from byte *offset* on, live and writable.

        Without *count* as many as there is room for. `RangeError` when they do not fit in.
        """
        import numpy as np

        try:
            of = np.dtype(dtype)
        except (TypeError, ValueError):
            raise self._no_items(dtype) from None
        if of.hasobject or not of.itemsize:
            raise self._no_items(dtype)
        offset = self._integer(offset, "offset")
        count = None if count is None else self._integer(count, "count")
        room = (len(self) - offset) // of.itemsize if 0 <= offset <= len(self) else -1
        if count is None:
            count = room
        if not 0 <= count <= room:
            raise RangeError(
                f"{self._what()} has {len(self)} bytes: {max(count, 0)} items of {of.itemsize}"
                f" bytes from byte {offset} do not lie inside",
                given=(offset, count),
            )
        return np.ndarray((count,), of, buffer=self.data, offset=offset)

    def offset_of(self, pointer: int) -> int:
        """Return at which byte the address *pointer* is that a program stored.

        `RangeError` when it is not in the arena.
        """
        pointer = self._integer(pointer, "pointer")
        offset = pointer - self.address
        if not 0 <= offset < len(self):
            end = self.address + len(self)
            message = f"{pointer:#x} is not in {self._what()}, {self.address:#x} to {end:#x}"
            raise RangeError(message, given=pointer)
        return offset

    def _integer(self, given: Any, what: str) -> int:
        try:
            return to_index(given)
        except TypeError:
            message = f"{self._what()}: {what} is an integer, not {type(given).__name__}"
            raise TypeMismatchError(message, expected="an integer", given=given) from None

    def _no_items(self, dtype: Any) -> TypeMismatchError:
        message = f"{self._what()}: {dtype!r:.60} is no NumPy dtype of items that memory can hold"
        return TypeMismatchError(message, expected="a dtype", given=dtype)

    def _region(self) -> Mapping:
        self.fileno()
        mapping = self.memory()
        assert mapping is not None
        return mapping


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
            hint=_THERE if spec.extra else _ONCE,
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
