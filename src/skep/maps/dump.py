"""A whole map into two arrays, and the two halves of a large hash at once.

Reading a hash in batches is all the kernel's time (250 ns an entry: a lock and two copies for each
bucket), and it needs none of Python's locks. So the second half of a large one is read by a second
thread, where there is a second processor. A batch of a hash goes on where the u32 that the kernel
gave back says: that is the number of the next bucket (``__htab_map_lookup_and_delete_batch`` in
kernel/bpf/hashtab.c since Linux 5.6), and a walk may begin at any.

A walk does not end at a bucket of its choice. The thread of the first half asks for less and less
towards its end, at last for a bucket at a time, and what it has got past the middle all the same
(only when the map changes meanwhile) it drops if the other thread has it too.
"""

from __future__ import annotations

import os
from _thread import allocate_lock, start_new_thread

import numpy as np

from skep.errors import SkepError, UnsupportedError
from skep.maps import batch, kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.maps.batch import Cursor, Geometry

    Bytes = np.ndarray[Any, Any]

SPLIT = 8192
"""Entries that must remain for a second thread to be worth its start (0.1 ms)."""

_FIRST = 1024  # entries that tell how full the buckets are

_ONE_BY_ONE = 16  # expected entries from which on buckets are asked for singly

_FEW = 4  # keys up to which searching all others for each is faster than a set of the others


class Rows:
    """The rows read so far: packed keys and values, in arrays that the kernel writes into."""

    __slots__ = ("_capacity", "_chunk", "_geometry", "count", "keys", "values")

    def __init__(self, geometry: Geometry, capacity: int) -> None:
        self._geometry = geometry
        self._capacity = capacity
        self._chunk = geometry.chunk
        self.count = 0
        self.keys: Bytes = np.empty(capacity * geometry.key_size, np.uint8)
        self.values: Bytes = np.empty(capacity * geometry.value_size, np.uint8)

    def take(self, cursor: Cursor, most: int = 0) -> int:
        """Let *cursor* fill in more rows, at most *most*; return how many, -1 for a full bucket."""
        wanted = min(self._chunk, most or self._chunk)
        count = min(wanted, self._capacity - self.count)
        if not count:
            self.room_for(2 * self._capacity)
            return 0
        key_size, value_size = self._geometry.key_size, self._geometry.value_size
        keys = self.keys[self.count * key_size :]
        got = cursor.fill(keys, self.values[self.count * value_size :], count)
        if got >= 0:
            self.count += got
        elif count < wanted:
            self.room_for(2 * self._capacity)
        elif count == self._chunk:
            self._chunk *= 2
        return got

    def room_for(self, rows: int) -> None:
        """Make room for *rows* in all."""
        if rows > self._capacity:
            self._capacity = rows
            geometry = self._geometry
            self.keys = _grown(self.keys, rows * geometry.key_size, self.count * geometry.key_size)
            used = self.count * geometry.value_size
            self.values = _grown(self.values, rows * geometry.value_size, used)

    def append(self, other: Rows) -> None:
        """Add the rows of *other*."""
        start, end = self.count, self.count + other.count
        self.room_for(end)
        key_size, value_size = self._geometry.key_size, self._geometry.value_size
        self.keys[start * key_size : end * key_size] = other.keys[: other.count * key_size]
        size = other.count * value_size
        self.values[start * value_size : end * value_size] = other.values[:size]
        self.count = end

    def drop_known(self, start: int, other: Rows) -> None:
        """Drop the rows from *start* on whose keys *other* has."""
        size = self._geometry.key_size
        known = other.keys[: other.count * size].tobytes()
        own = self.keys[start * size : self.count * size].tobytes()
        mine = [own[at : at + size] for at in range(0, len(own), size)]
        if len(mine) <= _FEW:
            seen = {key for key in mine if _has(known, key)}
        else:  # when much was removed meanwhile
            seen = {known[at : at + size] for at in range(0, len(known), size)}
        self.drop(start, seen)

    def drop(self, start: int, seen: set[bytes]) -> None:
        """Drop the rows from *start* on whose keys are in *seen*, and repetitions of a key."""
        geometry = self._geometry
        keys = self.keys[start * geometry.key_size :]
        values = self.values[start * geometry.value_size :]
        self.count = start + batch.keep_new(geometry, keys, values, self.count - start, seen)

    def result(self) -> tuple[int, Bytes, Bytes]:
        """Return (rows, keys, values), without much unused memory."""
        if self.count < self._capacity // 4:
            keys = self.keys[: self.count * self._geometry.key_size].copy()
            return self.count, keys, self.values[: self.count * self._geometry.value_size].copy()
        return self.count, self.keys, self.values


def dump(geometry: Geometry, *, delete: bool = False, flags: int = 0) -> tuple[int, Any, Any]:
    """Return (rows, keys, values) of the whole map; the two are NumPy arrays of bytes.

    The kernel writes straight into the arrays. With *delete* the entries are removed; an error then
    has what was removed before it, in the same form, as evidence ``taken``. Falls back to key by
    key where the map has no batches.
    """
    cursor = batch.Cursor(geometry, delete=delete, flags=flags)
    # Memory that is never written costs nothing, so a map of moderate size gets all of it at
    # once, with some rows over so that the last bucket always fits.
    fit = max(geometry.chunk, (64 << 20) // (geometry.key_size + geometry.value_size or 1))
    rows = Rows(geometry, min(geometry.entries, fit) + 64)
    first = _FIRST if geometry.type in kinds.HASHES and geometry.entries > SPLIT else 0
    try:
        while not cursor.done:
            if rows.take(cursor, 0 if rows.count else first) < 0:
                first = 0  # the first bucket alone is larger
            middle = _middle(geometry, cursor, rows)
            if middle:
                _both_halves(rows, cursor, middle, geometry, delete=delete, flags=flags)
    except UnsupportedError:
        return batch.gather(geometry, delete=delete, flags=flags)
    except SkepError as error:
        if delete:
            error.evidence["taken"] = rows.result()
        raise
    if geometry.repeats:
        rows.drop(0, set())
    return rows.result()


def _middle(geometry: Geometry, cursor: Cursor, rows: Rows) -> int:
    """Return the bucket in the middle of what is left, 0 when one thread is to read it all."""
    if geometry.type not in kinds.HASHES or cursor.done or rows.count < _FIRST // 2:
        return 0
    buckets = 1 << (geometry.entries - 1).bit_length()  # roundup_pow_of_two in htab_map_alloc
    left = buckets - cursor.bucket
    if left <= 0 or rows.count / cursor.bucket * left < SPLIT or processors() < 2:
        return 0
    return buckets - left // 2


def _both_halves(
    rows: Rows, cursor: Cursor, middle: int, geometry: Geometry, *, delete: bool, flags: int
) -> None:
    """Read up to bucket *middle* here and from there on in a thread; *cursor* is then done."""
    density = rows.count / cursor.bucket
    second = Rows(geometry, int((middle - cursor.bucket) * density * 1.1) + 1024)
    failures: list[BaseException] = []
    halted: list[bool] = []
    running = allocate_lock()

    def read_second() -> None:
        try:
            other = batch.Cursor(geometry, delete=delete, flags=flags, bucket=middle)
            while not (other.done or halted):
                second.take(other)
        except BaseException as error:  # noqa: BLE001  raised in the thread that waits
            failures.append(error)
        finally:
            running.release()

    running.acquire()
    try:
        start_new_thread(read_second, ())
    except RuntimeError:  # no more threads: this one reads on
        return
    try:
        before = _read_first(rows, cursor, middle, density)
    except BaseException:
        halted.append(True)
        raise
    finally:
        running.acquire()
        if delete:  # what was removed by one cannot be found by the other, and must not get lost
            rows.append(second)
    if failures:
        raise failures[0]
    if not delete:
        rows.drop_known(before, second)
        rows.append(second)
    cursor.done = True


def _read_first(rows: Rows, cursor: Cursor, middle: int, density: float) -> int:
    """Read up to bucket *middle*; return from which row on some may lie past it."""
    before, least = rows.count, 1
    while not cursor.done and cursor.bucket < middle:
        before = rows.count
        expected = int((middle - cursor.bucket) * density)
        most = max(least, expected - expected // 8 if expected > _ONE_BY_ONE else 1)
        # A bucket that is larger than what was asked for: one more, so that no other fits in.
        least = most + 1 if rows.take(cursor, most) < 0 else 1
    return before if cursor.bucket > middle or cursor.done else rows.count


def processors() -> int:
    """Return how many processors this process may run on."""
    return len(os.sched_getaffinity(0))


def _has(keys: bytes, key: bytes) -> bool:
    """Whether *keys*, one after the other, are such that one of them is *key*."""
    at = keys.find(key)
    while at >= 0 and at % len(key):  # found across two keys
        at = keys.find(key, at + 1)
    return at >= 0


def _grown(old: Bytes, size: int, used: int) -> Bytes:
    new = np.empty(size, np.uint8)
    new[:used] = old[:used]
    return new
