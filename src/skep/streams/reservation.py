"""`Reservation`: room for one record in a user ring buffer, until it is handed over or given up."""

from __future__ import annotations

from skep.errors import ClosedError
from skep.kernel.memory import store_u32
from skep.streams.decode import DISCARDED, HEADER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from skep.streams.user_ringbuf import Producer


class Reservation:
    """Room for one record in the ring: fill `view`, then `submit` or `discard`.

    The program stops at an unfinished record, so finish it soon. As a context manager it is
    submitted at the end, and discarded when an exception leaves the body. Its memory stays valid
    when the producer is closed meanwhile. One thread at a time.
    """

    __slots__ = ("__weakref__", "_address", "_producer", "_size", "_whole", "view")

    view: memoryview
    """The payload's bytes, writable and not zeroed; released when the record is finished."""

    def __init__(self, producer: Producer, whole: memoryview, address: int, size: int) -> None:
        self._producer = producer
        self._whole: memoryview | None = whole
        self._address = address
        self._size = size
        self.view = whole[HEADER : HEADER + size]

    def submit(self, record: Any = None) -> None:
        """Hand the record to the program, after storing *record* in it when one is given.

        A *record* that does not fit raises `TypeMismatchError` or `RangeError`, and the room
        stays reserved.
        """
        self._check()
        if record is not None:
            data = self._producer.pack(record)
            if len(data) != self._size:
                raise self._producer.misfit(len(data), self._size)
            self.view[:] = data
        self._finish(self._size)

    def discard(self) -> None:
        """Give the record up: the program passes over it. Does nothing once it is finished."""
        if self._whole is not None:
            self._finish(self._size | DISCARDED)

    @property
    def finished(self) -> bool:
        """Whether it was submitted or discarded."""
        return self._whole is None

    def _check(self) -> None:
        if self._whole is None:
            raise ClosedError(f"a record of {self._producer.what} was finished already")

    def _finish(self, header: int) -> None:
        # The pages are there as long as somebody holds a view of them: this, until it is done.
        store_u32(self._address, header)
        self._whole = None
        self.view.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._whole is None:
            return
        if kind is None:
            self.submit()
        else:
            self.discard()

    def __del__(self) -> None:
        if getattr(self, "_whole", None) is not None:
            from _warnings import warn

            message = f"a reserved record of {self._producer.what} was never submitted or discarded"
            warn(message, ResourceWarning, 2, self)
            self.discard()
