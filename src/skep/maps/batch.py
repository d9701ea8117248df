"""Walking a whole map in a few system calls, and key by key where the kernel has no batches.

What the kernel does, and what follows (kernel/bpf/syscall.c ``generic_map_lookup_batch``,
kernel/bpf/hashtab.c ``__htab_map_lookup_and_delete_batch``, Linux 5.6 and later):

* A hash map is walked bucket by bucket. A bucket is given whole or not at all; ENOSPC means that
  the next one alone is larger than the chunk, so the chunk is doubled. No entry is met twice; one
  that is inserted or deleted meanwhile may or may not be met.
* An array is walked by index. The call that returns the last entry returns success when the
  chunk ends exactly there, and only the next one ENOENT; so the walk counts.
* ENOENT means done, and the entries filled by that call are valid.
* A map type without batches answers ENOTSUPP (524, not the ENOTSUP of libc), a kernel without the
  command EINVAL.
"""

from __future__ import annotations

import errno

from skep.errors import KernelError, UnsupportedError
from skep.kernel import bpf
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
    def chunk(self) -> int:
        """Entries to ask for at first."""
        fit = CHUNK_BYTES // (self.key_size + self.value_size or 1)
        return max(1, min(self.entries, CHUNK, fit))


class Cursor:
    """The position of one batch walk. Not thread-safe; make one for each walk.

    `fill` returns how many entries it wrote, or -1 when the chunk is too small for the next
    bucket. `done` becomes true with the last entry. `UnsupportedError` when there are no
    batches for this map type; that can only happen at the first call.
    """

    __slots__ = ("_delete", "_given", "_left", "_map", "_next", "_position", "done")

    def __init__(self, geometry: Geometry, *, delete: bool = False) -> None:
        self._map = geometry
        self._delete = delete
        # A hash keeps a u32 bucket number here, everything else its last key.
        self._next = bytearray(max(geometry.key_size, 4))
        self._position: bytearray | None = None
        self._left = geometry.entries if geometry.type in kinds.ARRAYS else -1
        self.done = False

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
        self._position, spare = self._next, self._position
        self._next = spare if spare is not None else bytearray(len(self._next))
        self._left -= got
        self.done = code == errno.ENOENT or self._left == 0
        return got

    def _unsupported(self, code: int) -> UnsupportedError:
        kind = kinds.type_name(self._map.type)
        message = f"this kernel has no batch operations for {kind} maps"
        return UnsupportedError(message, feature=f"map batch: {kind}", errno=code)


def chunks(geometry: Geometry, *, delete: bool = False) -> Iterator[tuple[int, Any, Any]]:
    """Yield (rows, keys, values) of the whole map, a chunk at a time, without NumPy.

    The two buffers are written again by the next step. Falls back to key by key where the map
    has no batches; with *delete* each entry yielded has been removed.
    """
    cursor = Cursor(geometry, delete=delete)
    chunk = min(geometry.chunk, 4096)
    keys = bytearray(chunk * geometry.key_size)
    values = bytearray(chunk * geometry.value_size)
    while not cursor.done:
        try:
            got = cursor.fill(keys, values, chunk)
        except UnsupportedError:
            yield from _one_by_one(geometry, delete=delete)
            return
        if got < 0:
            chunk *= 2
            keys = bytearray(chunk * geometry.key_size)
            values = bytearray(chunk * geometry.value_size)
        elif got:
            yield got, keys, values


def dump(geometry: Geometry, *, delete: bool = False) -> tuple[int, Any, Any]:
    """Return (rows, keys, values) of the whole map; the two are NumPy arrays of bytes.

    The kernel writes straight into the arrays, which are not copied unless a map turns out to
    hold more than it may (entries deleted behind the walk and inserted before it).
    """
    import numpy as np

    cursor = Cursor(geometry, delete=delete)
    key_size, value_size = geometry.key_size, geometry.value_size
    chunk = geometry.chunk
    # Memory that is never written costs nothing, so a map of moderate size gets all of it at
    # once, with some rows over so that the last bucket always fits.
    fit = max(chunk, (64 << 20) // (key_size + value_size or 1))
    capacity = min(geometry.entries, fit) + 64
    keys = np.empty(capacity * key_size, np.uint8)
    values = np.empty(capacity * value_size, np.uint8)
    rows = 0
    while not cursor.done:
        count = min(chunk, capacity - rows)
        try:
            # Empty room is asked for no more: the walk goes on when there is more of it.
            target = keys[rows * key_size :], values[rows * value_size :]
            got = cursor.fill(*target, count) if count else -1
        except UnsupportedError:
            return _gather(geometry, delete=delete)
        if got >= 0:
            rows += got
        elif count == chunk:
            chunk *= 2
        else:
            capacity *= 2
            keys = _grown(keys, capacity * key_size, rows * key_size)
            values = _grown(values, capacity * value_size, rows * value_size)
    if rows < capacity // 4:
        return rows, keys[: rows * key_size].copy(), values[: rows * value_size].copy()
    return rows, keys, values


def _grown(old: Any, size: int, used: int) -> Any:
    import numpy as np

    new = np.empty(size, np.uint8)
    new[:used] = old[:used]
    return new


def _gather(geometry: Geometry, *, delete: bool) -> tuple[int, Any, Any]:
    import numpy as np

    keys, values, rows = bytearray(), bytearray(), 0
    for _, key, value in _one_by_one(geometry, delete=delete):
        keys += key
        values += value
        rows += 1
    return rows, np.frombuffer(keys, np.uint8), np.frombuffer(values, np.uint8)


def _one_by_one(geometry: Geometry, *, delete: bool) -> Iterator[tuple[int, Any, Any]]:
    for key in walk(geometry):
        value = bytearray(geometry.value_size)
        if not bpf.map_lookup(geometry.fd, key, value):
            continue  # it vanished between the two calls
        if delete and not bpf.map_delete(geometry.fd, key):
            continue
        yield 1, key, value


def walk(geometry: Geometry) -> Iterator[bytes]:
    """Yield every key with BPF_MAP_GET_NEXT_KEY, each once, and end even if the map changes.

    The kernel continues after the key it is given; when that key has vanished, it starts again
    at the first one (``htab_map_get_next_key``). The walk then passes over what it has seen
    already; it gives up after four times the entries that the map can hold, when somebody
    deletes faster than the walk proceeds. The next key is asked for before the current one is
    yielded, so deleting the key in hand is harmless.
    """
    seen: set[bytes] = set()
    following = bytearray(geometry.key_size)
    budget = 4 * geometry.entries + 64
    more = bpf.map_next_key(geometry.fd, None, following)
    while more and budget:
        budget -= 1
        key = bytes(following)
        more = bpf.map_next_key(geometry.fd, key, following)
        if key not in seen:
            seen.add(key)
            yield key
