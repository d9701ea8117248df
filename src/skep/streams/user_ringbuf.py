"""`Producer`: writes records into a user ring buffer, which a BPF program drains (Linux 6.1).

The ring of `skep.streams.ring` the other way round (kernel/bpf/ringbuf.c, ``ringbuf_map_mmap_user``
and ``__bpf_user_ringbuf_peek``): page 0 holds the consumer's position, which only the kernel
writes; page 1 the producer's, then the data pages twice in a row, writable here. A record is a u32
length with the busy and discarded bits, 4 bytes that mean nothing, and the payload padded to 8.

Memory order, by `skep.kernel.memory`: the consumer's position is loaded with acquire, so the kernel
is done with the room before it. A header is written busy, and the producer's position stored with
release after it; the payload is written, and the header stored without the busy bit, with release
after the payload. The kernel loads both with acquire. A batch has no use for the busy bit: all its
headers and payloads are there before the position that shows them.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from errno import ENOSPC
from time import monotonic

from skep.errors import (
    ClosedError,
    FormatError,
    KernelError,
    MapFullError,
    RangeError,
    TypeMismatchError,
)
from skep.kernel.memory import Mapping, load_u32, load_u64, store_u32, store_u64
from skep.kernel.syscall import page_size
from skep.owner import Closing
from skep.streams.decode import BUSY, DISCARDED, HEADER, LENGTH, stride
from skep.streams.reservation import Reservation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    import numpy as np

    from skep.kernel.fd import FD
    from skep.streams.decode import RecordDecoder

    Column = np.ndarray[Any, Any]

IDLE_CHECK = 0.1
"""Seconds after which a waiting producer looks by itself: a program may drain without waking
anybody (BPF_RB_NO_WAKEUP)."""

MAX_RECORD = (1 << 24) - 1
"""Bytes that the kernel can hand to a program as one dynptr (``DYNPTR_MAX_SIZE``)."""


class Producer(Closing):
    """Writer of one user ring buffer map; `UserRingBuffer.producer` makes it.

    *fd* is the map (not owned; it may be closed first), *size* its bytes, *decoder* the type of
    its records. `send` stores one record, `send_all` a column of them in one go, `reserve` gives
    room to fill in place. All take *timeout*: seconds to wait for room, 0 not at all, None for
    ever; without room there is `MapFullError`, and nothing is lost that it does not tell.

    Any number of threads may use it, but there is one producer for one ring: the kernel does not
    guard against two (nor can this, when they are in two processes).
    """

    __slots__ = (
        "__weakref__",
        "_base",
        "_codec",
        "_consumer",
        "_consumer_address",
        "_epoll",
        "_lock",
        "_memory",
        "_position_address",
        "_waiting",
        "_wake",
        "decoder",
        "name",
        "size",
        "what",
    )

    def __init__(self, fd: FD, size: int, *, decoder: RecordDecoder, name: str) -> None:
        self.name = name
        self.what = f"user ring buffer {name!r}"
        if size < page_size or size & size - 1:
            message = f"{self.what}: {size} bytes is not a power of two of at least a page"
            raise RangeError(message, hint=f"a page is {page_size} bytes")
        self.size = size
        self.decoder = decoder
        self._codec: Any = None
        self._lock = threading.RLock()
        self._waiting = threading.Lock()
        self._wake = -1
        self._epoll: select.epoll | None = None
        memory: Mapping | None = None
        self._consumer: Mapping | None = Mapping(fd, page_size, what=self.what)
        try:
            memory = self._memory = Mapping(
                fd, page_size + 2 * size, offset=page_size, writable=True, what=self.what
            )
            self._listen(fd)
        except BaseException:
            self._free()
            if memory is not None:
                memory.close()
            self._consumer.close()
            self._consumer = None
            raise
        self._consumer_address = self._consumer.address
        self._position_address = self._memory.address
        self._base = self._memory.address + page_size

    def _listen(self, fd: FD) -> None:
        try:
            self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._epoll = select.epoll(flags=select.EPOLL_CLOEXEC)
            # Edges: a ring with some room is always writable, and what is waited for is more.
            self._epoll.register(fd.fileno(), select.EPOLLOUT | select.EPOLLET)
            self._epoll.register(self._wake, select.EPOLLIN)
        except OSError as error:
            message = f"{self.what} cannot be waited for: {error.strerror}"
            raise KernelError(message, errno=error.errno or 0, call="epoll") from error

    # State

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._consumer is None

    def pending(self) -> int:
        """Return the bytes that the program has not taken yet, headers and padding included."""
        with self._lock:
            return self._state()[1]

    def room(self) -> int:
        """Return the bytes that are free; a record takes its own and 8, rounded up to 8."""
        return self.size - self.pending()

    def _state(self) -> tuple[int, int]:
        """Return our position and the bytes in use. With the lock."""
        if self._consumer is None:
            raise ClosedError(f"the producer of {self.what} is closed")
        taken = load_u64(self._consumer_address)
        position = load_u64(self._position_address)
        used = position - taken
        if not 0 <= used <= self.size or position & 7:
            raise FormatError(
                f"{self.what} of {self.size} bytes claims {used} bytes in use: somebody else"
                " moved its positions",
                hint="a user ring buffer has one producer",
                source=self.what,
            )
        return position, used

    # One record

    def reserve(self, size: int | None = None, *, timeout: float | None = 0) -> Reservation:
        """Reserve *size* bytes (those of the declared type) and return the `Reservation`.

        `MapFullError` when there is no room within *timeout* seconds, `RangeError` for a record
        that never fits.
        """
        if size is None:
            size = self._record_size("reserve() needs a size")
        self._check_size(size)
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            with self._lock:
                position, used = self._state()
                needed = stride(size)
                if self.size - used >= needed:
                    start = page_size + (position & self.size - 1)
                    address = self._base + (position & self.size - 1)
                    whole = self._memory.view[start : start + needed]
                    store_u32(address, size | BUSY)
                    store_u64(self._position_address, position + needed)
                    return Reservation(self, whole, address, size)
            self._wait(needed, deadline, 0)

    def send(self, record: Any, *, timeout: float | None = 0) -> None:
        """Store one record of the declared type, or `bytes` of any length.

        Errors as for `reserve`, and `TypeMismatchError` or `RangeError` naming what does not fit.
        """
        data = self.pack(record)
        self._check_size(len(data))
        self._send_packed([data], None if timeout is None else monotonic() + timeout, 0)

    def pack(self, record: Any) -> bytes:
        """Return *record* as bytes: packed by its type, or as it is when it is `bytes`."""
        if isinstance(record, (bytes, bytearray, memoryview)):
            return bytes(record)
        if self._codec is None:
            self._record_size("only bytes can be sent")
            from skep.btf.codec import codec

            assert self.decoder.btf is not None  # it has a size
            self._codec = codec(self.decoder.btf, self.decoder.type_id)
        try:
            packed: bytes = self._codec.pack(record)
        except (TypeMismatchError, RangeError) as error:
            field = f", {error.field}" if error.field else ""
            text = error.message.removeprefix(f"{error.field}: ")
            message = f"{self.what}{field}: {text}"
            raise type(error)(message, hint=error.hint, **error.evidence) from None
        return packed

    def misfit(self, given: int, expected: int) -> RangeError:
        """Make the error for a record that is longer or shorter than its room."""
        message = f"{self.what}: a record of {given} bytes, and {expected} were reserved"
        return RangeError(message, expected=f"{expected} bytes", given=given)

    # Columns

    def send_all(self, records: Any, *, timeout: float | None = 0) -> int:
        """Store many records, as few times as there is room for them; return how many.

        *records* is a NumPy array of the type's dtype (nothing is converted), a list of what
        `send` takes, or any other iterable of that. What fits is stored and shown to the program
        at once. When the rest finds no room within *timeout* seconds, `MapFullError` says in `done`
        how many were stored.
        """
        if hasattr(records, "__array_interface__"):
            return self._send_column(records, timeout)
        return self._send_each(records, timeout)

    def _send_column(self, records: Any, timeout: float | None) -> int:
        import numpy as np

        column = np.asarray(records)
        dtype = self.decoder.dtype
        if column.ndim != 1 or column.dtype != dtype:
            raise TypeMismatchError(
                f"{self.what}: expected a column of {dtype}, not {column.dtype} of shape"
                f" {column.shape}",
                expected=str(dtype),
                given=str(column.dtype),
            )
        size = dtype.itemsize
        self._check_size(size)
        step = stride(size)
        slot = np.dtype(
            {
                "names": ["header", "record"],
                "formats": [np.uint64, dtype],
                "offsets": [0, HEADER],
                "itemsize": step,
            }
        )
        # The length is the first u32, and what comes after it is free to be anything.
        header = size if sys.byteorder == "little" else size << 32
        deadline = None if timeout is None else monotonic() + timeout
        done = 0
        while done < len(column):
            with self._lock:
                position, used = self._state()
                rows = min((self.size - used) // step, len(column) - done)
                if rows:
                    start = page_size + (position & self.size - 1)
                    slots: Column = np.ndarray(
                        (rows,), slot, buffer=self._memory.view, offset=start
                    )
                    slots["header"] = header
                    slots["record"] = column[done : done + rows]
                    store_u64(self._position_address, position + rows * step)
                    done += rows
                    continue
            self._wait(step, deadline, done)
        return done

    def _send_each(self, records: Iterable[Any], timeout: float | None) -> int:
        deadline = None if timeout is None else monotonic() + timeout
        done = 0
        waiting: list[bytes] = []
        for record in records:
            data = self.pack(record)
            self._check_size(len(data))
            waiting.append(data)
            if len(waiting) == 1024:
                done = self._send_packed(waiting, deadline, done)
                waiting = []
        return self._send_packed(waiting, deadline, done)

    def _send_packed(self, packed: list[bytes], deadline: float | None, done: int) -> int:
        """Store payloads one after another, and show them together; return *done* and as many."""
        at = 0
        while at < len(packed):
            with self._lock:
                position, used = self._state()
                room, began = self.size - used, at
                view, target = self._memory.view, position
                while at < len(packed) and stride(len(packed[at])) <= room:
                    data = packed[at]
                    start = page_size + (target & self.size - 1)
                    view[start + HEADER : start + HEADER + len(data)] = data
                    store_u32(self._base + (target & self.size - 1), len(data))
                    target += stride(len(data))
                    room -= stride(len(data))
                    at += 1
                if at > began:
                    store_u64(self._position_address, target)
                    done += at - began
                    continue
            self._wait(stride(len(packed[at])), deadline, done)
        return done

    def _record_size(self, otherwise: str) -> int:
        if not self.decoder.size:
            raise TypeMismatchError(
                f"{self.what}: {otherwise}, for its records have no declared type",
                hint="declare it with __type(value, ...) on the map, pass record=, or send bytes",
                expected="bytes",
            )
        return self.decoder.size

    def _check_size(self, size: int) -> None:
        limit = min(self.size - HEADER, MAX_RECORD)
        if not 0 <= size <= limit:
            message = f"{self.what}: a record of {size} bytes never fits, {limit} are the most"
            raise RangeError(message, expected=f"0 to {limit} bytes", given=size)

    # Waiting

    def wait(self, size: int | None = None, timeout: float | None = None) -> bool:
        """Wait until there is room for a record of *size* bytes; False after *timeout* seconds."""
        if size is None:
            size = self._record_size("wait() needs a size")
        self._check_size(size)
        deadline = None if timeout is None else monotonic() + timeout
        try:
            while self.room() < stride(size):
                self._wait(stride(size), deadline, 0)
        except MapFullError:
            return False
        return True

    def _wait(self, needed: int, deadline: float | None, done: int) -> None:
        """Sleep until there may be more room; `MapFullError` once *deadline* has passed."""
        left = IDLE_CHECK if deadline is None else min(IDLE_CHECK, deadline - monotonic())
        if left <= 0:
            used = self.pending()
            raise MapFullError(
                f"{self.what} has no room: {needed} bytes are needed, and {used} of {self.size}"
                " wait for the program to take them",
                errno=ENOSPC,
                hint="let the program drain it, give a timeout, or raise max_entries",
                map=self.name,
                entries=self.size,
                needed=needed,
                pending=used,
                done=done,
            )
        try:
            with self._waiting:  # an edge is told to one waiter
                if self._epoll is not None and self.room() < needed:
                    self._epoll.poll(left)
        finally:
            if self._consumer is None:
                self._free()
        self._state_check()

    def _state_check(self) -> None:
        if self._consumer is None:
            raise ClosedError(f"the producer of {self.what} is closed")

    # What an earlier producer left

    def discard_unfinished(self) -> int:
        """Discard the records that were reserved and never finished; return how many.

        For a ring whose producer died in the middle of a record: programs stop there for ever.
        Reservations of this producer that are still open count too, so call it first of all.
        """
        count = 0
        with self._lock:
            end, used = self._state()
            position = end - used
            while position < end:
                address = self._base + (position & self.size - 1)
                header = load_u32(address)
                if header & BUSY:
                    store_u32(address, header & LENGTH | DISCARDED)
                    count += 1
                position += stride(header & LENGTH)
        return count

    # Closing

    def close(self) -> None:
        """Let go of the ring; what is in it stays. A wait under way ends with `ClosedError`.

        Idempotent, from any thread, also from a signal handler. Reservations can be finished
        afterwards.
        """
        with self._lock:
            if self._consumer is None:
                return
            consumer, self._consumer = self._consumer, None
            os.eventfd_write(self._wake, 1)
            consumer.close()
            self._memory.close()
        self._free()

    def _free(self) -> None:
        """Close what is waited with, unless somebody waits: that thread does it on its way out.

        Not by waiting for it: it may be the one that a signal handler interrupted.
        """
        if not self._waiting.acquire(blocking=False):
            return
        try:
            epoll, self._epoll = self._epoll, None
            wake, self._wake = self._wake, -1
            if epoll is not None:
                epoll.close()
            if wake >= 0:
                os.close(wake)
        finally:
            self._waiting.release()

    def __del__(self) -> None:
        if getattr(self, "_consumer", None) is not None:
            from _warnings import warn

            warn(f"the producer of {self.what} was never closed", ResourceWarning, 2, self)
            self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self.pending()} of {self.size} bytes in use"
        return f"<Producer {self.what}: {state}>"
