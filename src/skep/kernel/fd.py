"""One owner for one file descriptor."""

from __future__ import annotations

import os
from _warnings import warn  # the builtin: no import to fail while the interpreter shuts down

from skep.errors import ClosedError, KernelError, RangeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class FD:
    """Owns a file descriptor: closes it once, and warns when it was forgotten.

    *number* is the descriptor (>= 0), *what* says in words what it is ("map 'counts'"); every
    error about the descriptor quotes it. `RangeError` when *number* cannot be a descriptor.

    Descriptors that bpf(2) and perf_event_open(2) make are close-on-exec already. After fork(2)
    the child has copies of its own: closing there does not close the parent's. One FD may be
    used by several threads; closing it while another thread is inside a call with it is the
    caller's race to avoid, as with any descriptor.
    """

    __slots__ = ("__weakref__", "_number", "what")

    what: str

    def __init__(self, number: int, what: str) -> None:
        self._number = -1  # __del__ runs even when the check below raises
        self.what = what
        if number < 0:
            raise RangeError(f"{what}: {number} is not a file descriptor")
        self._number = number

    def fileno(self) -> int:
        """Return the descriptor's number; `ClosedError` after `close()`."""
        number = self._number
        if number < 0:
            raise ClosedError(f"{self.what} is closed")
        return number

    @property
    def closed(self) -> bool:
        """Whether `close()` or `detach()` was called."""
        return self._number < 0

    def close(self) -> None:
        """Close the descriptor; a second call does nothing.

        `KernelError` (EBADF) means that somebody else closed the number: two owners, a bug. Other
        errors of close(2) are ignored: Linux has released the descriptor by then.
        """
        number, self._number = self._number, -1
        if number < 0:
            return
        try:
            os.close(number)
        except OSError as error:
            import errno

            if error.errno == errno.EBADF:
                message = f"{self.what} (descriptor {number}) was closed by somebody else"
                raise KernelError(message, errno=errno.EBADF, call="close") from error

    def detach(self) -> int:
        """Give the descriptor away: return its number and forget it without closing."""
        number = self.fileno()
        self._number = -1
        return number

    def dup(self) -> FD:
        """Return a second owner of the same open file, under a number of its own."""
        try:
            return FD(os.dup(self.fileno()), self.what)  # os.dup sets close-on-exec
        except OSError as error:
            message = f"{self.what} cannot be duplicated: {error.strerror}"
            raise KernelError(message, errno=error.errno or 0, call="dup") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self._number >= 0:
            message = f"{self.what} (descriptor {self._number}) was never closed"
            warn(message, ResourceWarning, 2, self)
            self.close()

    def __repr__(self) -> str:
        state = "closed" if self._number < 0 else str(self._number)
        return f"<FD {state}: {self.what}>"
