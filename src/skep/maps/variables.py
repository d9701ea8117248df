"""`Variable`: a global variable of a loaded object, read and written in place."""

from __future__ import annotations

from sys import byteorder

from skep.errors import (
    KernelError,
    RangeError,
    SkepError,
    TypeMismatchError,
    UnsupportedError,
)
from skep.generic import Generic, V
from skep.kernel import bpf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    from skep.maps.cells import Cell
    from skep.maps.map import Map


_WORDS = {2: "H", 4: "I", 8: "Q"}  # one byte is one in any case
_SHOWN = 200  # characters of a value in a repr; arrays can be long


class Variable(Generic[V]):
    """One variable of a data section: `value` reads and writes it while programs run.

    *map* is the section's array map, *offset* and *codec*.size say which of its bytes. Through
    shared memory where the kernel maps arrays (Linux 5.5): no system call. Aligned variables of
    1, 2, 4 or 8 bytes are read and written in one machine access, so never torn; larger values
    may be, and a struct is as old as the moment each of its members is copied. Of two variables
    nothing says which is newer. Elsewhere the whole section is looked up, and stored for a
    write, which can undo what a program wrote to another variable in between: writing then is
    refused unless it is the section's only variable. Threads may share one.
    """

    __slots__ = ("_codec", "_map", "_offset", "name")

    def __init__(self, name: str, map: Map, offset: int, codec: Cell) -> None:
        contents = map.spec.contents
        room = map.spec.value_size if contents is None else len(contents)
        if offset < 0 or offset + codec.size > room:
            message = (
                f"variable {name!r} ({codec.size} bytes at {offset}) lies outside "
                f"map {map.name!r} of {room} bytes"
            )
            raise RangeError(message)
        self.name = name
        self._map = map
        self._offset = offset + map.contents_at
        self._codec = codec

    def __repr__(self) -> str:
        place = f"Variable {self.name!r} in {self._map.name!r}"
        try:
            shown = repr(self.value)
        except SkepError:  # closed, or out of reach: a repr tells what it can
            return f"<{place}{' (closed)' if self._map.closed else ''}>"
        return f"<{place} = {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '...'}>"

    @property
    def value(self) -> V:
        """The value now, typed by BTF; `ClosedError` once the object is closed."""
        self._map.fileno()
        cell = self._shared()
        if cell is not None:
            # One item: for 1, 2, 4 and 8 bytes that is one load (see `_shared`).
            return self._codec.unpack(_bytes_of(cell))  # type: ignore[no-any-return]
        section = bytearray(self._map.spec.value_size)
        bpf.map_lookup(self._map.fd, bytes(4), section)
        return self._codec.unpack(section, self._offset)  # type: ignore[no-any-return]

    @value.setter
    def value(self, value: Any) -> None:
        try:
            packed = self._codec.pack(value)
        except (TypeMismatchError, RangeError) as error:
            from skep.maps.failure import misfit_of_variable

            raise misfit_of_variable(error, self.name) from None
        self._map.fileno()
        if self._map.spec.frozen:
            message = f"variable {self.name!r} is constant: {self._map.name!r} is frozen"
            hint = "set it on the spec, before load()"
            raise UnsupportedError(message, hint=hint, feature="write to a constant")
        cell = self._shared()
        if cell is not None:
            if cell.readonly:
                message = f"variable {self.name!r} cannot be written: {self._map.name!r} is mapped"
                raise UnsupportedError(f"{message} read-only", feature="write to a constant")
            if cell.format == "B":
                cell[:] = packed
            else:
                cell[0] = int.from_bytes(packed, byteorder)
            return
        section = bytearray(self._map.spec.value_size)
        if len(packed) != len(section):
            raise UnsupportedError(
                f"variable {self.name!r} cannot be written alone: {self._map.name!r} is not mapped",
                hint="the kernel maps arrays since Linux 5.5",
                feature="array mmap",
            )
        try:
            bpf.map_update(self._map.fd, bytes(4), packed)
        except KernelError as error:
            error.evidence["variable"] = self.name
            raise

    def view(self) -> np.ndarray[Any, Any]:
        """Return the variable's memory as a live NumPy array, of its dtype and shape.

        For ``__u64 counts[8]`` an array of 8 u64 that changes as programs count; for a scalar or
        struct an array of no dimensions, read with ``[()]``. Read-only when the section is frozen.
        It stays valid when the object is closed. `UnsupportedError` where the section is not
        mapped, or the type has no dtype.
        """
        import numpy as np

        self._map.fileno()
        mapping = self._map.memory()
        if mapping is None:
            raise UnsupportedError(
                f"variable {self.name!r} has no view: {self._map.name!r} is not mapped",
                hint="the kernel maps arrays since Linux 5.5",
                feature="array mmap",
            )
        dtype = getattr(self._codec, "dtype", None)
        if dtype is None:
            message = f"variable {self.name!r} has no view: its type has no NumPy dtype"
            raise UnsupportedError(message, hint="read its value", feature="columns")
        end = self._offset + self._codec.size
        live: np.ndarray[Any, Any] = np.ndarray((), dtype, buffer=mapping.view[self._offset : end])
        return live

    def _shared(self) -> memoryview | None:
        """Return the bytes in shared memory, None where there is none.

        Aligned bytes of one machine word are one item of that size: a memoryview copies an item
        with a memcpy of constant size (``unpack_single``, ``pack_single`` in CPython's
        Objects/memoryobject.c), which compilers make one load or store of, where a slice is
        copied by a call that may go byte by byte.
        """
        mapping = self._map.memory()
        if mapping is None:
            return None
        size, at = self._codec.size, self._offset
        cell = mapping.view[at : at + size]
        if size in _WORDS and at % size == 0:
            return cell.cast(_WORDS[size])  # type: ignore[call-overload, no-any-return]
        return cell


def _bytes_of(cell: memoryview) -> bytes:
    """Return the content of `Variable._shared`, read with one load where it is one item."""
    if cell.format == "B":
        return bytes(cell)
    number: int = cell[0]
    return number.to_bytes(cell.itemsize, byteorder)
