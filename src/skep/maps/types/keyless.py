"""`Keyless`: what queues, stacks, bloom filters and arenas have in common: no entries by key."""

from __future__ import annotations

from skep.errors import UnsupportedError
from skep.generic import Generic, V
from skep.maps.map import Map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

    import numpy as np

    from skep.maps.cells import Cell, Cells

    Column = np.ndarray[Any, Any]


class NoKey:
    """The cell of keys that there are none of; using it is an `UnsupportedError`.

    *what* names the map, *instead* is what to use. Not the map itself: it owns its cells.
    """

    __slots__ = ("_instead", "_what")

    size = 0

    def __init__(self, what: str, instead: str) -> None:
        self._what = what
        self._instead = instead

    @property
    def dtype(self) -> np.dtype[Any]:
        """Raise `UnsupportedError`."""
        raise self._error()

    def pack(self, *_: Any) -> bytes:
        """Raise `UnsupportedError`."""
        raise self._error()

    def unpack(self, *_: Any) -> Any:
        """Raise `UnsupportedError`."""
        raise self._error()

    def _error(self) -> UnsupportedError:
        message = f"{self._what} has no keys: its items cannot be read or written by key"
        return UnsupportedError(message, hint=self._instead, feature="map items")


class Keyless(Map[None, V], Generic[V]):
    """Base of maps without keys. All that goes by key or over all entries is refused with a hint.

    `INSTEAD` of a subclass says what to use.
    """

    __slots__ = ()

    INSTEAD = ""

    def refuse(self, why: str) -> NoReturn:
        """Raise `UnsupportedError` naming the map, *why* not, and what to use instead."""
        message = f"{self._what()} {why}"
        raise UnsupportedError(message, hint=self.INSTEAD, feature="map items")

    def _make_cells(self) -> Cells:
        from skep.maps.cells import Cells

        return Cells(self.spec, key=NoKey(self._what(), self.INSTEAD))

    @property
    def _value(self) -> Cell:
        return self.cells.value

    def _store(self, key: Any, value: Any, flags: int) -> None:
        del key, value, flags
        self.refuse("has no keys: its items cannot be read or written by key")

    def __contains__(self, value: object) -> bool:
        self.refuse("cannot be searched")

    def __iter__(self) -> Iterator[None]:
        self.refuse("cannot be walked")

    def items(self) -> Iterator[tuple[None, V]]:
        """Raise `UnsupportedError`."""
        self.refuse("cannot be walked")

    def values(self) -> Iterator[V]:
        """Raise `UnsupportedError`."""
        self.refuse("cannot be walked")

    def count(self) -> int:
        """Raise `UnsupportedError`: the kernel does not tell how many values there are."""
        self.refuse("does not tell how many values it has")

    def clear(self) -> None:
        """Raise `UnsupportedError`."""
        self.refuse("cannot be emptied")

    def read(self, **_: Any) -> tuple[Column, Column]:
        """Raise `UnsupportedError`."""
        self.refuse("cannot be read as a whole")

    def drain(self, **_: Any) -> Any:
        """Raise `UnsupportedError`."""
        self.refuse("cannot be drained")

    def update(self, *_: Any, **__: Any) -> None:
        """Raise `UnsupportedError`."""
        self.refuse("has no keys to update")

    def delete(self, *_: Any) -> int:
        """Raise `UnsupportedError`."""
        self.refuse("has no keys to delete")
