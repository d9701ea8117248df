"""`Handle`: what is written as a descriptor and read as an id: programs and maps in maps.

Source: kernel/bpf/syscall.c ``bpf_map_copy_value`` and ``bpf_map_update_value``, and the
``map_fd_*`` operations of kernel/bpf/{arraymap,map_in_map}.c, Linux 6.18.
"""

from __future__ import annotations

import errno
import sys

from skep.errors import (
    KernelError,
    MissingKeyError,
    RangeError,
    SkepError,
    TypeMismatchError,
    UnsupportedError,
)
from skep.generic import Generic, K, V
from skep.kernel import bpf
from skep.maps import kinds
from skep.maps.map import Map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    from skep.maps.cells import Cells


class Handle:
    """The cell of a u32: packs the descriptor of *what* ("a program"), unpacks an id."""

    __slots__ = ("what",)

    size = 4

    def __init__(self, what: str) -> None:
        self.what = what

    @property
    def dtype(self) -> np.dtype[Any]:
        """What a column of ids is made of."""
        import numpy as np

        return np.dtype(np.uint32)

    def pack(self, value: Any) -> bytes:
        """Return the number of *value*, something with ``fileno()`` or the number itself.

        The owner of the descriptor stays the caller's; `ClosedError` when it is closed.
        """
        number = value.fileno() if hasattr(value, "fileno") else value
        if not isinstance(number, int) or isinstance(number, bool):
            raise TypeMismatchError(
                f"expected {self.what} or its descriptor, not {type(value).__name__} {value!r:.60}",
                expected=self.what,
                given=value,
            )
        if not 0 <= number < 1 << 31:
            raise RangeError(
                f"{number} is not the number of a descriptor",
                expected="0 to 2**31 - 1",
                given=value,
            )
        return number.to_bytes(4, sys.byteorder)

    def unpack(self, buffer: Any, offset: int = 0) -> int:
        """Return the id at *offset*."""
        return int.from_bytes(buffer[offset : offset + 4], sys.byteorder)


class HandleMap(Map[K, V], Generic[K, V]):
    """Base of maps of handles: says why the kernel refused one.

    `WHAT` of a subclass names what it holds, e.g. "a program".
    """

    __slots__ = ()

    WHAT = "a descriptor"

    def _make_cells(self) -> Cells:
        from skep.maps.cells import Cells

        return Cells(self.spec, value=Handle(self.WHAT))

    def _store(self, key: Any, value: Any, flags: int) -> None:
        packed = self._packed(value)
        try:
            bpf.map_update(self._fd, self.quick[0](key), packed, flags)
        except SkepError as error:
            found = None
            if isinstance(error, KernelError):
                found = self._unconditional(error, key, flags) or self._refusal(error, value)
            raise found or self._explained(error, key, flags=flags) from None

    def __delitem__(self, key: K) -> None:
        try:
            super().__delitem__(key)
        except KernelError as error:
            if error.errno != errno.E2BIG:
                raise
            raise self._missing(key) from None

    def _unconditional(self, error: KernelError, key: Any, flags: int) -> SkepError | None:
        """Say that an array of handles cannot be told "only if there is none", or "only if"."""
        if error.errno != errno.EINVAL or self.spec.type not in kinds.INDEXED or not flags & 3:
            return None
        return UnsupportedError(
            f"{self._what()}: the kernel puts things in without a condition only, so neither"
            f" insert() nor replace() can be had of {key!r:.60}",
            hint="use m[key] = value",
            feature="conditional store",
            map=self.name,
            key=key,
        )

    def _refusal(self, error: KernelError, value: Any) -> SkepError | None:
        """Return what to raise for the *error* of storing *value*, if it is known."""
        if error.errno != errno.EBADF or self.closed:
            return None
        return TypeMismatchError(
            f"{self._what()} takes {self.WHAT}, and {_named(value)} is none",
            expected=self.WHAT,
            given=value,
            map=self.name,
            role="value",
        )

    def _missing(self, key: Any) -> MissingKeyError:
        index = getattr(key, "__index__", None)
        if self.spec.type in kinds.INDEXED and index and index() >= self.spec.max_entries:
            entries = kinds.entries(self.spec.max_entries)
            message = f"map {self.name!r} has {entries}: no index {key!r}"
            return MissingKeyError(message, key=key, map=self.name)
        message = f"map {self.name!r} has nothing at {key!r}"
        return MissingKeyError(message, key=key, map=self.name)


def _named(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"descriptor {value}" if isinstance(value, int) else f"{value!r:.60}"
