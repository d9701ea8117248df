"""`Variable`: a global variable of a loaded object, read and written in place."""

from __future__ import annotations

from skep.errors import (
    KernelError,
    RangeError,
    SkepError,
    TypeMismatchError,
    UnsupportedError,
)
from skep.kernel import bpf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.maps.cells import Cell
    from skep.maps.map import Map


_SHOWN = 200  # characters of a value in a repr; arrays can be long


class Variable:
    """One variable of a data section: `value` reads and writes it while programs run.

    *map* is the section's array map, *offset* and *codec*.size say which of its bytes. Through
    shared memory where the kernel maps arrays (Linux 5.5): no system call, and aligned integers
    of 1, 2, 4 or 8 bytes are read and written in one machine access, so never torn; larger
    values may be. Elsewhere the whole section is looked up, and stored for a write, which can
    undo what a program wrote to another variable in between: writing then is refused unless
    it is the section's only variable. Threads may share one.
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
    def value(self) -> Any:
        """The value now, typed by BTF; `ClosedError` once the object is closed."""
        self._map.fileno()
        mapping = self._map.memory()
        if mapping is not None:
            # bytes() copies 1, 2, 4 and 8 bytes with one load each (memcpy of both C libraries
            # does), where struct would read byte by byte.
            end = self._offset + self._codec.size
            return self._codec.unpack(bytes(mapping.view[self._offset : end]))
        section = bytearray(self._map.spec.value_size)
        bpf.map_lookup(self._map.fd, bytes(4), section)
        return self._codec.unpack(section, self._offset)

    @value.setter
    def value(self, value: Any) -> None:
        try:
            packed = self._codec.pack(value)
        except (TypeMismatchError, RangeError) as error:
            from skep.maps.failure import misfit_of_variable

            raise misfit_of_variable(error, self.name) from None
        self._map.fileno()
        end = self._offset + len(packed)
        if self._map.spec.frozen:
            message = f"variable {self.name!r} is constant: {self._map.name!r} is frozen"
            hint = "set it on the spec, before load()"
            raise UnsupportedError(message, hint=hint, feature="write to a constant")
        mapping = self._map.memory()
        if mapping is not None:
            mapping.view[self._offset : end] = packed
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
