"""`WriteOnly`: what maps have in common that user space fills and cannot look into."""

from __future__ import annotations

from skep.errors import UnsupportedError
from skep.maps.map import Map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

    import numpy as np

    Column = np.ndarray[Any, Any]


class WriteOnly(Map):
    """Base of maps without lookups: all that reads is an `UnsupportedError` saying so.

    `INSTEAD` of a subclass is its hint. Keys are the indices below `max_entries`.
    """

    __slots__ = ()

    INSTEAD = ""

    def _refuse(self) -> NoReturn:
        message = f"{self._what()} can be filled, but the kernel does not tell what is in it"
        raise UnsupportedError(message, hint=self.INSTEAD, feature="map lookup")

    def __getitem__(self, key: int) -> Any:
        self._refuse()

    def get(self, *_: Any, **__: Any) -> Any:
        """Raise `UnsupportedError`."""
        self._refuse()

    def __contains__(self, key: object) -> bool:
        self._refuse()

    def pop(self, *_: Any) -> Any:
        """Raise `UnsupportedError`; ``del m[key]`` works."""
        self._refuse()

    def __iter__(self) -> Iterator[int]:
        self._refuse()

    def items(self) -> Iterator[tuple[int, Any]]:
        """Raise `UnsupportedError`."""
        self._refuse()

    def values(self) -> Iterator[Any]:
        """Raise `UnsupportedError`."""
        self._refuse()

    def count(self) -> int:
        """Raise `UnsupportedError`."""
        self._refuse()

    def read(self, **_: Any) -> tuple[Column, Column]:
        """Raise `UnsupportedError`."""
        self._refuse()

    def drain(self, **_: Any) -> tuple[Column, Column]:
        """Raise `UnsupportedError`."""
        self._refuse()

    def clear(self) -> None:
        """Take out whatever is in it."""
        self.delete(range(self.spec.max_entries))
