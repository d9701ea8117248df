"""One owner for one file descriptor."""

from __future__ import annotations

import os

from skep.errors import ClosedError, KernelError, RangeError
from skep.owner import Owner, caller, place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.owner import Place


class FD(Owner):
    """Owns a file descriptor: closes it once, and warns when it was forgotten.

    *number* is the descriptor (>= 0), *what* says in words what it is ("map 'counts'"); every
    error about the descriptor quotes it. `RangeError` when *number* cannot be a descriptor.

    Descriptors that bpf(2) and perf_event_open(2) make are close-on-exec already. After fork(2)
    the child has copies of its own: closing there does not close the parent's.

    One FD may be used and closed by several threads. A thread that is inside a call with it when
    another one calls `close()` may find that the kernel has given the number to the next file
    opened; `retire()` makes that impossible.
    """

    __slots__ = ("__weakref__", "_claim", "_number", "_opened", "_retired", "what")

    what: str

    def __init__(self, number: int, what: str) -> None:
        self._number = self._retired = -1  # __del__ runs even when the check below raises
        self.what = what
        self._opened: Place = None
        # Of all threads that close it, the one that takes the number out is to do it: list.pop
        # is one step for them, an assignment of two attributes is not.
        self._claim: list[int] = []
        if number < 0:
            raise RangeError(f"{what}: {number} is not a file descriptor")
        self._claim.append(number)
        self._opened = caller()
        self._number = number

    @classmethod
    def none(cls, what: str) -> FD:
        """Return an FD that is closed from the start: what is left of *what* after its end."""
        made = cls.__new__(cls)
        made._number = made._retired = -1
        made.what = what
        made._opened = None
        made._claim = []
        return made

    def fileno(self) -> int:
        """Return the descriptor's number; `ClosedError` after `close()` or `retire()`."""
        number = self._number
        if number < 0:
            raise ClosedError(f"{self.what} is closed")
        return number

    @property
    def closed(self) -> bool:
        """Whether `close()`, `retire()` or `detach()` was called."""
        return self._number < 0

    @property
    def opened_at(self) -> str:
        """Where in the user's code it was opened, ``FILE:LINE``; "" where only skep was there."""
        return place(self._opened)

    def close(self) -> None:
        """Close the descriptor; a second call does nothing.

        `KernelError` (EBADF) means that somebody else closed the number: two owners, a bug. Other
        errors of close(2) are ignored: Linux has released the descriptor by then.
        """
        number = self._take()
        if number < 0:
            return
        try:
            os.close(number)
        except OSError as error:
            self._check_owned(error, number)

    def retire(self) -> None:
        """Close the open file now, and give its number back when nobody refers to this FD.

        For descriptors that other threads may be using at this moment. The number stays taken, by
        a descriptor with which nothing can be done, as long as a call holds this object: bpf(2),
        mmap(2) and epoll_ctl(2) with it are EBADF, whatever is opened meanwhile. (A file opened
        with O_PATH is none for them; see open(2), and ``fdget`` in the kernel's fs/file.c.)

        Errors as for `close()`.
        """
        number = self._take()
        if number < 0:
            return
        try:
            os.get_inheritable(number)  # the cheapest question of whether it is open
        except OSError as error:
            self._check_owned(error, number)
            return
        self._retired = number
        try:
            nothing = os.open("/", os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return  # no number is left: then the file, too, goes with the last reference
        try:
            os.dup2(nothing, number, inheritable=False)
        finally:
            os.close(nothing)

    def _take(self) -> int:
        """Return the number to the first that asks, -1 to all others."""
        self._number = -1
        try:
            return self._claim.pop()
        except IndexError:
            return -1

    def _check_owned(self, error: OSError, number: int) -> None:
        import errno

        if error.errno == errno.EBADF:
            message = f"{self.what} (descriptor {number}) was closed by somebody else"
            raise KernelError(message, errno=errno.EBADF, call="close") from error

    def detach(self) -> int:
        """Give the descriptor away: return its number and forget it without closing."""
        self.fileno()
        number = self._take()
        if number < 0:  # another thread was faster
            raise ClosedError(f"{self.what} is closed")
        return number

    def dup(self) -> FD:
        """Return a second owner of the same open file, under a number of its own."""
        try:
            copy = FD(os.dup(self.fileno()), self.what)  # os.dup sets close-on-exec
        except OSError as error:
            message = f"{self.what} cannot be duplicated: {error.strerror}"
            raise KernelError(message, errno=error.errno or 0, call="dup") from error
        if self.closed:  # meanwhile: the copy may be one of nothing
            copy.close()
            self.fileno()
        return copy

    def _held(self) -> str:
        return f"{self.what} (descriptor {self._number})"

    def _place(self) -> str:
        where = self.opened_at
        return f"; it was opened at {where}" if where else ""

    def __del__(self) -> None:
        if self._number >= 0:
            super().__del__()
        if self._retired >= 0:
            os.close(self._retired)

    def __repr__(self) -> str:
        state = "closed" if self._number < 0 else str(self._number)
        return f"<FD {state}: {self.what}>"
