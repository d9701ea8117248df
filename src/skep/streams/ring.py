"""`Ring`: the shared memory of a BPF ring buffer, and the positions in it.

Layout (kernel/bpf/ringbuf.c, ``struct bpf_ringbuf``, as ``ringbuf_map_mmap_kern`` maps it): page 0
holds the consumer's position, writable; page 1 the producer's; then the data pages, twice in a
row, so that a stretch that wraps is contiguous all the same. Positions only ever grow; modulo
the size they are places.

Memory order, by `skep.kernel.memory`: the producer's position is loaded with acquire, so the
headers behind it are there; a header that is not busy is loaded before its payload (`acquire`);
the payload is copied before our position is stored with release, after which the producer may
overwrite it.
"""

from __future__ import annotations

from sys import getrefcount

from skep.errors import FormatError, RangeError
from skep.kernel.memory import Mapping, load_u32, load_u64, store_u64
from skep.kernel.syscall import page_size
from skep.streams import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    from skep.kernel.fd import FD


def _references(objects: list[Any], at: int) -> int:
    """Return how many references there are to one of *objects*, those of this call included."""
    return getrefcount(objects[at])


# Of an object that only a list has. Tried out, for versions of Python count differently: since
# 3.14 a variable that is passed on is no reference of its own.
_ALONE = _references([bytearray()], 0)


class Ring:
    """Maps the ring buffer *fd* of *size* bytes of data; *what* names it in messages.

    One thread at a time may take from it. After `close` no method may be called, as the
    positions are bare addresses.
    """

    __slots__ = (
        "_array",
        "_consumer",
        "_consumer_address",
        "_data_address",
        "_producer",
        "_producer_address",
        "_rooms",
        "_words",
        "position",
        "size",
        "what",
    )

    def __init__(self, fd: FD, size: int, *, what: str) -> None:
        if size < page_size or size & size - 1:
            message = f"{what}: {size} bytes is not a power of two of at least a page"
            raise RangeError(message, hint=f"a page is {page_size} bytes")
        self.size = size
        self.what = what
        self._consumer = Mapping(fd, page_size, writable=True, what=what)
        try:
            length = page_size + 2 * size
            self._producer = Mapping(fd, length, offset=page_size, what=what)
        except BaseException:
            self._consumer.close()
            raise
        self._consumer_address = self._consumer.address
        self._producer_address = self._producer.address
        self._data_address = self._producer_address + page_size
        self._words = self._producer.view[page_size:].cast("I")
        self._array: np.ndarray[Any, Any] | None = None
        self._rooms: list[np.ndarray[Any, Any]] = []
        self.position = load_u64(self._consumer_address)

    def available(self) -> int:
        """Return the bytes published and not taken yet (load-acquire)."""
        available = load_u64(self._producer_address) - self.position
        if not 0 <= available <= self.size:
            message = (
                f"{self.what} of {self.size} bytes claims {available} bytes: "
                "somebody else moved its positions"
            )
            raise FormatError(message, source=self.what)
        return available

    @property
    def start(self) -> int:
        """The place of the next record in the data."""
        return self.position & self.size - 1

    def words(self) -> memoryview:
        """Return the data from the next record on as u32, for headers."""
        return self._words[self.start >> 2 :]

    def headers(self, rows: int, step: int) -> np.ndarray[Any, Any]:
        """Return the next *rows* u32 at every *step* bytes, as they lie in the ring."""
        if self._array is None:
            import numpy as np

            self._array = np.frombuffer(self._producer.view, np.uint32)[page_size >> 2 :]
        first = self.start >> 2
        return self._array[first : first + (rows * step >> 2) : step >> 2]

    def span(self, length: int) -> np.ndarray[Any, Any]:
        """Return a copy of the next *length* bytes (a multiple of 4) as an array of u32."""
        if self._array is None:
            self.headers(0, 8)
        assert self._array is not None
        first = self.start >> 2
        copy = self._room(length >> 2)
        copy[:] = self._array[first : first + (length >> 2)]
        return copy

    def _room(self, words: int) -> np.ndarray[Any, Any]:
        """Return memory for a copy: that of an earlier one if nobody looks at it any more.

        Fresh memory costs a page fault for every 4 KiB, which is more than the copy itself.
        Whoever holds a view of an earlier copy holds a reference to `whole`, its owner.
        """
        import numpy as np

        rooms = self._rooms
        for at in range(len(rooms)):
            if len(rooms[at]) >= words and _references(rooms, at) == _ALONE:
                return rooms[at][:words]
        whole = np.empty(words + words // 4, np.uint32)
        self._rooms = [whole, *self._rooms[:1]]
        return whole[:words]

    def copy(self, length: int) -> bytes:
        """Return a copy of the next *length* bytes."""
        first = page_size + self.start
        return bytes(self._producer.view[first : first + length])

    def acquire(self) -> None:
        """Order the loads of headers before those of payloads (a load-acquire: any will do)."""
        load_u32(self._data_address + self.start)

    def release(self, length: int) -> None:
        """Give the next *length* bytes back to the producer (store-release: after the copy)."""
        self.position += length
        store_u64(self._consumer_address, self.position)

    def count(self) -> int:
        """Count the records not taken yet, unfinished ones included, discarded ones not.

        May be called while another thread takes; it then counts about what was there.
        """
        count = 0
        position, end = self.position, load_u64(self._producer_address)
        while position < end:
            header = self._words[(position & self.size - 1) >> 2]
            # Reserving writes the length with the busy bit, so this walks over both kinds.
            count += not header & decode.DISCARDED
            position += decode.stride(header & decode.LENGTH)
        return count

    def close(self) -> None:
        """Unmap; a second call does nothing."""
        self._array = None
        self._rooms = []
        self._words = memoryview(b"").cast("I")
        self._consumer.close()
        self._producer.close()
