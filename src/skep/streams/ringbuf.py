"""`RingBuffer`: reads a BPF ring buffer as columns, at a few nanoseconds a record.

Why it waits: a reader that is woken for every record spends its time waking. This one sleeps
until there is something, lets a batch gather for `interval`, and takes all of it at once. The
producer notices nothing: the kernel only wakes a reader that has caught up
(``bpf_ringbuf_commit``), so between two drains it makes no wake-ups either.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from time import monotonic, sleep

from skep.errors import ClosedError, KernelError, RangeError, SkepError
from skep.generic import Generic
from skep.owner import Owner
from skep.streams import decode
from skep.streams.ring import Ring
from skep.streams.stats import StreamStats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    import numpy as np
    from typing_extensions import TypeVar

    from skep.kernel.fd import FD

    R = TypeVar("R", default=Any)

    Batch = np.ndarray[Any, Any]
else:
    R = None

DRAIN_BYTES = 16 << 20
"""Bytes of one batch at most, so that a huge ring does not double its memory."""

INTERVAL = 0.01
"""Seconds that a batch gathers. Waking costs a processor that had gone to sleep some 200 us for
the caches alone, so 10 ms take two thirds of the time of 5 ms at a million records a second."""

SMALL_RING = 1 << 20
"""Bytes below which half the interval is the default, as the ring fills sooner."""

AHEAD_BYTES = 1 << 20
"""Bytes copied at a time when records are taken one by one."""

IDLE_CHECK = 0.1
"""Seconds after which an idle reader looks by itself: producers may send without a wake-up
(BPF_RB_NO_WAKEUP), and then nobody else tells it."""

MIXED_ENOUGH = 64
"""A uniform run of so many records is delivered by itself; shorter ones are gathered."""


class RingBuffer(Owner, Generic[R]):
    """Reader of one ring buffer map; `Map.stream` makes it. R is what its records are.

    Iterating gives batches, NumPy structured arrays of at least one record, until the stream is
    closed. `read` gives one batch, `records` one `Record` at a time, `read_raw` bytes.

    *fd* is the map (not owned; it may be closed first), *size* its bytes, *decoder* the type of
    its records. *interval* is the seconds to let a batch gather (0: take at once when woken): 10 ms
    when not given, 5 ms for rings below 1 MiB; it is shortened while a burst fills the ring.
    *ledger* returns (produced, lost) as counted by the BPF side.

    A record lies in the ring until it is taken, and is taken once: leaving a loop, or an exception
    in its body, loses at most the batch in hand.

    Any number of threads may call `stats` and `close`; `close` ends a read that another thread
    waits in (`ClosedError`; the end for an iteration). Reads are one at a time.
    """

    __slots__ = (
        "__weakref__",
        "_base",
        "_closed",
        "_decode_errors",
        "_delivered",
        "_discarded",
        "_epoll",
        "_final",
        "_gate",
        "_ledger",
        "_lock",
        "_not_before",
        "_owner",
        "_pause",
        "_ready",
        "_ring",
        "_wake",
        "decoder",
        "interval",
        "name",
    )

    def __init__(
        self,
        fd: FD,
        size: int,
        *,
        decoder: decode.RecordDecoder,
        name: str,
        interval: float | None = None,
        ledger: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        self._closed = True  # until everything is there
        if interval is None:
            interval = INTERVAL if size >= SMALL_RING else INTERVAL / 2
        if not 0 <= interval <= 60:
            message = f"ring buffer {name!r}: interval {interval} is not within 0 to 60 seconds"
            raise RangeError(message)
        self.name = name
        self.decoder = decoder
        self.interval = interval
        self._ledger = ledger
        self._lock = threading.RLock()  # held while reading, waits included
        self._gate = threading.RLock()  # held for moments: closing, and looking at the positions
        self._owner = 0
        self._ready: deque[tuple[bytes, int, int]] = deque()
        self._delivered = self._discarded = self._decode_errors = 0
        self._final: StreamStats | None = None
        self._not_before = 0.0
        self._ring = Ring(fd, size, what=f"ring buffer {name!r}")
        self._wake = -1
        try:
            self._listen(fd)
        except BaseException:
            self._ring.close()
            if self._wake >= 0:
                os.close(self._wake)
            raise
        self._closed = False
        self._base = self._ledger_base()

    def _listen(self, fd: FD) -> None:
        try:
            self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._epoll = select.epoll(flags=select.EPOLL_CLOEXEC)
            self._epoll.register(fd.fileno(), select.EPOLLIN)
            self._epoll.register(self._wake, select.EPOLLIN)
            # Waiting out the interval must not end with the next record, only with close().
            self._pause = select.poll()
            self._pause.register(self._wake, select.POLLIN)
        except OSError as error:
            message = f"ring buffer {self.name!r} cannot be waited for: {error.strerror}"
            raise KernelError(message, errno=error.errno or 0, call="epoll") from error

    # Reading

    def read(self, timeout: float | None = None) -> Batch:
        """Return the records that are there as one array, after waiting for at least one.

        After *timeout* seconds (None: wait for ever; 0: do not wait) it may be empty. The array
        owns its memory. Its dtype comes from BTF; rows may lie apart (strided), so use
        ``np.ascontiguousarray`` where that matters. Longer records than the type are cut to it
        (`read_raw` has all bytes); cut records are filled with zeros, see `RecordDecoder`.

        `ClosedError` when the stream is closed, also while waiting. Ctrl-C gets through at once.
        """
        import numpy as np

        batch = self._next(self._take_columns, timeout)
        return np.empty(0, self.decoder.dtype) if batch is None else batch

    def __iter__(self) -> Iterator[Batch]:
        self._check_open()
        while True:
            try:
                batch = self.read()
            except ClosedError:
                return
            yield batch

    def read_raw(self, timeout: float | None = None) -> list[bytes]:
        """Return the payloads that are there, whole and undecoded; else as `read`."""
        return self._next(self._take_raw, timeout) or []

    def records(self) -> Iterator[R]:
        """Yield the records one at a time: `Record`, or `bytes` when there is no type.

        Needs no NumPy. A record that was not asked for yet stays with the stream.
        """
        self._check_open()
        ready, unpack = self._ready, self.decoder.unpack
        while True:
            try:
                data, offset, length = ready.popleft()
            except IndexError:
                try:
                    self._next(self._take_ahead, None)
                except ClosedError:
                    return
                continue
            record = unpack(data, offset, length)
            if record is None:
                self._decode_errors += 1
                continue
            self._delivered += 1
            yield record

    def fileno(self) -> int:
        """Return a descriptor that polls readable when there is something, or it was closed."""
        self._check_open()
        return self._epoll.fileno()

    # Waiting

    def _next(self, take: Callable[[], Any], timeout: float | None) -> Any:
        """Wait for *take* to return something; None after *timeout* seconds."""
        if self._owner == threading.get_ident():
            message = f"ring buffer {self.name!r} is being read by this very thread"
            raise SkepError(message, hint="do not read it from a signal handler")
        deadline = None if timeout is None else monotonic() + timeout
        with self._lock:
            self._check_open()
            self._owner = threading.get_ident()
            try:
                while True:
                    self._gather(deadline)
                    taken = take()
                    if taken is not None:
                        return taken
                    if not self._wait(deadline):
                        return None
            finally:
                self._owner = 0
                with self._gate:
                    if self._closed:
                        self._free()

    def _wait(self, deadline: float | None) -> bool:
        """Sleep until there may be something; False when the deadline has passed."""
        left = IDLE_CHECK
        if deadline is not None:
            left = min(left, deadline - monotonic())
            if left <= 0:
                return False
        if self._ring.available():
            # Only an unfinished record: epoll calls that readable, so waiting there would spin.
            self._sleep(min(left, max(self.interval, 0.001)))
            return True
        events = self._epoll.poll(left)
        self._check_open()
        if events and self.interval:
            # The first batch after silence comes early; a lone event is not kept waiting.
            self._not_before = monotonic() + self.interval / 4
        return True

    def _gather(self, deadline: float | None) -> None:
        """Let a batch gather: sleep until the next drain is due."""
        due = self._not_before if deadline is None else min(self._not_before, deadline)
        left = due - monotonic()
        if left > 0:
            self._sleep(left)

    def _sleep(self, seconds: float) -> None:
        """Sleep, but not past `close`."""
        if seconds < 0.001:
            sleep(seconds)  # poll(2) counts milliseconds
        else:
            self._pause.poll(seconds * 1000)
        self._check_open()

    def _schedule(self, drained: int, left: int) -> None:
        """Say when the next drain is due, after one of *drained* bytes that left *left* behind."""
        if left > self._ring.size // 4:
            self._not_before = 0.0
            return
        # A burst that fills more than a quarter of the ring in one interval gets shorter ones.
        quarter = self._ring.size // 4
        share = 1.0 if drained <= quarter else quarter / drained
        self._not_before = monotonic() + self.interval * share

    # Taking

    def _take_columns(self) -> Batch | None:
        if self._ready:
            return self._gather_ready()
        ring, decoder = self._ring, self.decoder
        dtype = decoder.dtype
        available = ring.available()
        if not available:
            return None
        step = decode.stride(decoder.size)
        rows = min(available, DRAIN_BYTES) // step
        keep = None
        if rows:
            rows, keep = decode.uniform(ring.headers(rows, step), decoder.size)
        taken = rows * step
        if rows < MIXED_ENOUGH and taken < available:
            unfinished = rows and ring.words()[taken >> 2] & decode.BUSY
            if not unfinished:
                return self._gather_ready() if self._take_ahead() else None
        ring.acquire()
        span = ring.span(taken)
        ring.release(taken)
        batch = decode.columns(span, decoder.size, keep, dtype)
        self._discarded += rows - len(batch)
        self._delivered += len(batch)
        self._schedule(taken, available - taken)
        return batch if len(batch) else None

    def _gather_ready(self) -> Batch | None:
        """Make a batch of what was read ahead."""
        pieces = list(self._ready)
        self._ready.clear()
        decoder = self.decoder
        batch, short = decode.gather(pieces, decoder.size, decoder.minimum, decoder.dtype)
        self._decode_errors += short
        self._delivered += len(batch)
        return batch if len(batch) else None

    def _take_raw(self) -> list[bytes] | None:
        if not self._ready and not self._take_ahead():
            return None
        payloads = [data[offset : offset + length] for data, offset, length in self._ready]
        self._ready.clear()
        self._delivered += len(payloads)
        return payloads

    def _take_ahead(self) -> bool | None:
        """Copy finished records to `_ready`, one by one; None when there are none."""
        ring = self._ring
        available = ring.available()
        if not available:
            return None
        found = decode.scan(ring.words(), available, limit=AHEAD_BYTES)
        if not found.consumed:
            return None
        ring.acquire()
        data = ring.copy(found.consumed)
        pieces = zip(found.offsets, found.lengths, strict=True)
        self._ready.extend([(data, offset, length) for offset, length in pieces])
        ring.release(found.consumed)
        self._discarded += found.discarded
        self._schedule(found.consumed, available - found.consumed)
        return True if found.offsets else None

    # Accounts

    def stats(self) -> StreamStats:
        """Return the ledger: produced = delivered + lost + pending, see `StreamStats`.

        Works after `close` too: then it is the ledger of that moment.
        """
        with self._gate:
            if self._final is not None:
                return self._final
            pending = len(self._ready) + self._ring.count()
        lost = {}
        produced = self._delivered + self._decode_errors + pending
        if self._ledger is not None:
            wanted, full = self._ledger()
            produced = wanted - self._base[0]
            lost["ring_full"] = full - self._base[1]
        lost["decode_error"] = self._decode_errors
        return StreamStats(
            produced=produced,
            delivered=self._delivered,
            lost=lost,
            pending=pending,
            discarded=self._discarded,
        )

    def _ledger_base(self) -> tuple[int, int]:
        """Return the counts that belong to an earlier reader; (0, 0) when this is the first."""
        if self._ledger is None or not self._ring.position:
            return 0, 0
        produced, lost = self._ledger()
        return produced - self._ring.count(), lost

    # Closing

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"the stream of ring buffer {self.name!r} is closed")

    def close(self) -> None:
        """Stop reading and let go of everything; what is in the ring stays there.

        Idempotent, from any thread, also from a signal handler. A read in progress ends with
        `ClosedError`; when this returns, nothing of the stream is open, except when the handler
        interrupted the very read, which then closes on its way out.
        """
        with self._gate:
            if self._closed:
                return
            try:
                self._final = self.stats()
            except ClosedError:  # the ledger's map was closed before its stream
                self._ledger = None
                self._final = self.stats()
            self._closed = True
            os.eventfd_write(self._wake, 1)
        if self._owner == threading.get_ident():
            return
        with self._lock, self._gate:
            self._free()

    def _free(self) -> None:
        if self._wake < 0:
            return
        self._ring.close()
        self._epoll.close()
        wake, self._wake = self._wake, -1
        os.close(wake)

    def _held(self) -> str:
        return f"the stream of ring buffer {self.name!r}"

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self._ring.size} bytes"
        return f"<RingBuffer {self.name!r}: {state}>"
