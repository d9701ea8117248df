"""Walking a whole map in a few system calls, and key by key where the kernel has no batches.

What the kernel does, and what follows (kernel/bpf/syscall.c ``generic_map_lookup_batch``,
kernel/bpf/hashtab.c ``__htab_map_lookup_and_delete_batch``, Linux 5.6 and later):

* A hash map is walked bucket by bucket. A bucket is given whole or not at all; ENOSPC means that
  the next one alone is larger than the chunk, so the chunk is doubled. No entry is met twice; one
  that is inserted or deleted meanwhile may or may not be met.
* An array is walked by index. The call that returns the last entry returns success when the
  chunk ends exactly there, and only the next one ENOENT; so the walk counts.
* ENOENT means done, and the entries filled by that call are valid.
* Tries are walked by their keys (``generic_map_lookup_batch``): when the key from which to go on
  was removed, the kernel begins again at the first one, and what it gives again is passed over
  here. Linux before 6.14 answers EINTR when keys were removed under its hands three times, and
  the entries before it are valid.
* EBUSY (Linux 5.11), and EDEADLK and ETIMEDOUT (6.15) mean that the lock of a bucket could not be
  had. The entries before it are valid; when draining they are nowhere else any more.
* A map type without batches answers ENOTSUPP (524, not the ENOTSUP of libc), a kernel without the
  command EINVAL.
"""

from __future__ import annotations

import errno
from sys import byteorder

from skep.errors import KernelError, SkepError, UnsupportedError
from skep.kernel import bpf
from skep.kernel.bpf.maps import LOCK_ERRORS
from skep.kernel.constants import MapType
from skep.maps import kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from skep.kernel.fd import FD

CHUNK = 16384
"""Entries asked for in one call: past 4 000 the system call no longer shows in the cost."""

CHUNK_BYTES = 4 << 20
"""Bytes of one chunk: the kernel copies it entry by entry, larger chunks gain nothing."""

_RETRIES = 64
_SPARE = 64  # rows of room past the last entry, so that the last bucket fits into the first call

_AGAIN = LOCK_ERRORS | {errno.EINTR}

ENOTSUPP = 524
UNSUPPORTED = frozenset({ENOTSUPP, errno.EOPNOTSUPP, errno.EINVAL})


class Geometry:
    """What a walk has to know about a map: its descriptor, type, sizes in bytes, and entries.

    *value_size* is what user space sees, that is all slots of a per-CPU value.
    """

    __slots__ = ("entries", "fd", "key_size", "type", "value_size")

    def __init__(self, *, fd: FD, type: int, key_size: int, value_size: int, entries: int) -> None:
        self.fd = fd
        self.type = type
        self.key_size = key_size
        self.value_size = value_size
        self.entries = entries

    @property
    def repeats(self) -> bool:
        """Whether a batch walk over it can meet a key twice: it begins again when one vanished."""
        return self.type == MapType.LPM_TRIE

    @property
    def most_steps(self) -> int:
        """Keys after which a walk that begins again and again is given up."""
        return 4 * self.entries + 64

    @property
    def chunk(self) -> int:
        """Entries to ask for at first."""
        fit = CHUNK_BYTES // (self.key_size + self.value_size or 1)
        return max(1, min(self.entries + _SPARE, CHUNK, fit))


class Cursor:
    """The position of one batch walk. Not thread-safe; make one for each walk.

    `fill` returns how many entries it wrote, or -1 when the chunk is too small for the next
    bucket. `done` becomes true with the last entry. `UnsupportedError` when there are no
    batches for this map type; that can only happen at the first call.

    *bucket* is where to begin in a hash.
    """

    __slots__ = ("_delete", "_flags", "_left", "_map", "_next", "_position", "_retries", "done")

    def __init__(
        self, geometry: Geometry, *, delete: bool = False, flags: int = 0, bucket: int = 0
    ) -> None:
        self._map = geometry
        self._delete = delete
        self._flags = flags
        self._retries = _RETRIES
        # A hash keeps a u32 bucket number here, everything else its last key.
        self._next = bytearray(max(geometry.key_size, 4))
        self._position: bytearray | None = None
        if bucket:
            self._position = bytearray(bucket.to_bytes(4, byteorder).ljust(len(self._next), b"\0"))
        self._left = -1  # of entries, or of steps
        if geometry.type in kinds.ARRAYS:
            self._left = geometry.entries
        elif geometry.repeats:
            self._left = geometry.most_steps
        self.done = False

    @property
    def bucket(self) -> int:
        """Which bucket of a hash comes next."""
        return 0 if self._position is None else int.from_bytes(self._position[:4], byteorder)

    def fill(self, keys: Any, values: Any, count: int) -> int:
        """Write up to *count* entries into the writable buffers *keys* and *values*."""
        try:
            got, code = bpf.map_lookup_batch(
                self._map.fd,
                self._position,
                self._next,
                keys,
                values,
                count,
                self._flags,
                delete=self._delete,
            )
        except KernelError as error:
            if self._position is None and error.errno in UNSUPPORTED:
                raise self._unsupported(error.errno or 0) from error
            raise
        if code in UNSUPPORTED:
            raise self._unsupported(code)
        if code == errno.ENOSPC:
            return -1
        if code in _AGAIN and not got:
            self._retries -= 1
            if not self._retries:
                raise _restless(self._map, code, "BPF_MAP_LOOKUP_BATCH")
            return 0  # from the same place again
        self._position, spare = self._next, self._position
        self._next = spare if spare is not None else bytearray(len(self._next))
        self._left -= got
        self.done = code == errno.ENOENT or self._left == 0
        if self._map.repeats and self._left <= 0 and code != errno.ENOENT:
            raise _restless(self._map, errno.EINTR, "BPF_MAP_LOOKUP_BATCH")
        return got

    def _unsupported(self, code: int) -> UnsupportedError:
        kind = kinds.type_name(self._map.type)
        message = f"this kernel has no batch operations for {kind} maps"
        return UnsupportedError(message, feature=f"map batch: {kind}", errno=code)


def _restless(geometry: Geometry, code: int, call: str) -> KernelError:
    what = f"{geometry.fd.what} ({kinds.type_name(geometry.type)})"
    message = f"{what}: it changes faster than the kernel can walk it"
    hint = "read it when less is removed from it; Linux 6.14 passes over what vanishes"
    if code in LOCK_ERRORS:
        message, hint = f"{what}: others hold the lock of one of its buckets", "try again"
    return KernelError(message, errno=code, hint=hint, call=call)


def keep_new(geometry: Geometry, keys: Any, values: Any, rows: int, seen: set[bytes]) -> int:
    """Move rows whose keys are not in *seen* to the front, add them to it; return how many."""
    size, value_size = geometry.key_size, geometry.value_size
    own, theirs = memoryview(keys), memoryview(values)
    found = [bytes(own[at : at + size]) for at in range(0, rows * size, size)]
    if seen.isdisjoint(found) and len({*found}) == rows:
        seen.update(found)
        return rows
    kept = 0
    for row, key in enumerate(found):
        if key not in seen:
            seen.add(key)
            own[kept * size : (kept + 1) * size] = key
            value = bytes(theirs[row * value_size : (row + 1) * value_size])
            theirs[kept * value_size : (kept + 1) * value_size] = value
            kept += 1
    return kept


def chunks(geometry: Geometry, *, delete: bool = False) -> Iterator[tuple[int, Any, Any]]:
    """Yield (rows, keys, values) of the whole map, a chunk at a time, without NumPy.

    The two buffers are written again by the next step. Falls back to key by key where the map
    has no batches; with *delete* each entry yielded has been removed.
    """
    cursor = Cursor(geometry, delete=delete)
    chunk = min(geometry.chunk, 4096)
    keys = bytearray(chunk * geometry.key_size)
    values = bytearray(chunk * geometry.value_size)
    seen: set[bytes] = set()
    while not cursor.done:
        try:
            got = cursor.fill(keys, values, chunk)
        except UnsupportedError:
            yield from _one_by_one(geometry, delete=delete)
            return
        if got > 0 and geometry.repeats:
            got = keep_new(geometry, keys, values, got, seen)
        if got < 0:
            chunk *= 2
            keys = bytearray(chunk * geometry.key_size)
            values = bytearray(chunk * geometry.value_size)
        elif got:
            yield got, keys, values


def gather(geometry: Geometry, *, delete: bool, flags: int) -> tuple[int, Any, Any]:
    """Return what `skep.maps.dump.dump` does, key by key."""
    import numpy as np

    keys, values, rows = bytearray(), bytearray(), 0
    failed: SkepError | None = None
    try:
        for _, key, value in _one_by_one(geometry, delete=delete, flags=flags):
            keys += key
            values += value
            rows += 1
    except SkepError as error:
        failed = error
    found = rows, np.frombuffer(keys, np.uint8), np.frombuffer(values, np.uint8)
    if failed is None:
        return found
    if delete:
        failed.evidence["taken"] = found
    raise failed


def _one_by_one(
    geometry: Geometry, *, delete: bool, flags: int = 0
) -> Iterator[tuple[int, Any, Any]]:
    whole = delete  # in one call, that is, so that no update falls in between (Linux 5.14)
    for key in walk(geometry):
        value = bytearray(geometry.value_size)
        if whole:
            try:
                if bpf.map_lookup_and_delete(geometry.fd, key, value, flags):
                    yield 1, key, value
                continue
            except KernelError as error:
                if error.errno not in UNSUPPORTED:
                    raise
                whole = False
        if not bpf.map_lookup(geometry.fd, key, value, flags):
            continue  # it vanished between the two calls
        if delete and not bpf.map_delete(geometry.fd, key):
            continue
        yield 1, key, value


def walk(geometry: Geometry) -> Iterator[bytes]:
    """Yield every key with BPF_MAP_GET_NEXT_KEY, each once, and end even if the map changes.

    The kernel continues after the key it is given; when that key has vanished, it starts again
    at the first one (``htab_map_get_next_key``). The walk then passes over what it has seen
    already. After four times the entries that the map can hold it is a `KernelError` (EINTR):
    somebody deletes faster than the walk proceeds. The next key is asked for before the current
    one is yielded, so deleting the key in hand is harmless.
    """
    seen: set[bytes] = set()
    following = bytearray(geometry.key_size)
    budget = geometry.most_steps
    more = bpf.map_next_key(geometry.fd, None, following)
    while more:
        budget -= 1
        if budget < 0:
            raise _restless(geometry, errno.EINTR, "BPF_MAP_GET_NEXT_KEY")
        key = bytes(following)
        more = bpf.map_next_key(geometry.fd, key, following)
        if key not in seen:
            seen.add(key)
            yield key
