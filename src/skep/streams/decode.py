"""Ring buffer bytes to records: pure functions on buffers, no descriptors and no waiting.

The wire format (kernel/bpf/ringbuf.c, ``struct bpf_ringbuf_hdr``; Documentation/bpf/ringbuf.rst):
each record is a u32 length whose two top bits say *busy* (reserved, not committed yet) and
*discarded*, a u32 that is the kernel's own, and the payload, padded to 8 bytes. Everything is
in the machine's byte order. A header never wraps, nor does a payload when the data pages are
mapped twice in a row, as they can be.

Reading a ring that is being written: a busy record ends what may be read. The producer sets the
length last (``bpf_ringbuf_commit``: xchg), so a header that is not busy makes its payload valid,
provided that the header is loaded first. Hence the order everywhere: look at headers in the
ring, then acquire, then copy, then give the space back.
"""

from __future__ import annotations

from skep.errors import FormatError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    from skep.btf.btf import Btf
    from skep.btf.codec import Codec

    Column = np.ndarray[Any, Any]

BUSY = 1 << 31
DISCARDED = 1 << 30
LENGTH = DISCARDED - 1
HEADER = 8


def stride(length: int) -> int:
    """Return the bytes that a record with a payload of *length* bytes takes in the ring."""
    return length + HEADER + 7 & ~7


class Scan:
    """What a stretch of the ring holds: `consumed` bytes of finished records from its start.

    `offsets` and `lengths` say where the payloads of those not discarded are, in bytes from
    the start of the stretch; `busy` whether an unfinished record came next.
    """

    __slots__ = ("busy", "consumed", "discarded", "lengths", "offsets")

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.lengths: list[int] = []
        self.consumed = 0
        self.discarded = 0
        self.busy = False


def scan(words: memoryview, available: int, *, limit: int, records: int = 1 << 62) -> Scan:
    """Walk the records at the start of *words* one by one.

    *words* is a memoryview of u32 (``cast("I")``: one load for each header), *available* the
    bytes that the producer has published there. Stops at a busy record, or after *records*
    records or *limit* bytes, never inside a record. `FormatError` when a record is longer than
    what is available, which the kernel never writes.
    """
    found = Scan()
    offsets, lengths = found.offsets, found.lengths
    position = 0
    while position < available and position < limit and len(offsets) < records:
        header = words[position >> 2]
        if header & BUSY:
            found.busy = True
            break
        length = header & LENGTH
        end = position + (length + HEADER + 7 & ~7)
        if end > available:
            message = (
                f"a record of {length} bytes at byte {position} does not fit the "
                f"{available} bytes that were produced"
            )
            raise FormatError(message, source="ring buffer", offset=position)
        if header & DISCARDED:
            found.discarded += 1
        else:
            offsets.append(position + HEADER)
            lengths.append(length)
        position = end
    found.consumed = position
    return found


def uniform(headers: Column, size: int) -> tuple[int, Column | None]:
    """Return how many records of *size* bytes *headers* begins with.

    *headers* is an array of the u32 at every `stride(size)` bytes: a header each, as long as
    every record before it had the same size. Discarded records of that size count; the second
    result is then a mask of those to keep, None when all are.

    Few operations of few kinds: after a sleep the first use of each costs 20 us or so, as its
    code has to come back into the processor's caches. So it asks `bytes.find`, not ``all()``.
    """
    import numpy as np

    first = (headers == size).tobytes().find(0)
    if first < 0:
        return len(headers), None
    # The ring may be changing: decide everything from one copy.
    known = headers.copy()
    rows = (known & ~np.uint32(DISCARDED) == size).tobytes().find(0)
    if rows < 0:
        rows = len(known)
    keep = known[:rows] == size
    return rows, None if keep.all() else keep


def columns(span: Column, size: int, keep: Column | None, dtype: np.dtype[Any]) -> Column:
    """View *span*, a copy of whole records of *size* bytes, as an array of *dtype*.

    The headers stay between the rows: leaving them out would copy field by field, which costs
    four times the copy of the span.
    """
    import numpy as np

    step = stride(size)
    if keep is not None:
        span = span.view(np.dtype((np.void, step)))[keep]
    rows = span.nbytes // step
    if not rows:  # strides over nothing are an error
        return np.empty(0, dtype)
    return np.ndarray((rows,), dtype, buffer=span, offset=HEADER, strides=(step,))


def gather(
    pieces: list[tuple[bytes, int, int]], size: int, minimum: int, dtype: np.dtype[Any]
) -> tuple[Column, int]:
    """Copy payloads of any length into rows of *dtype*; return (rows, how many were too short).

    *pieces* are (buffer, offset, length). Payloads longer than *size* are cut, shorter ones are
    filled with zeros down to *minimum* bytes.
    """
    import numpy as np

    out = bytearray(len(pieces) * size)
    at = 0
    for data, offset, length in pieces:
        if length >= minimum:
            taken = min(length, size)
            out[at : at + taken] = data[offset : offset + taken]
            at += size
    rows = at // size if size else 0
    return np.ndarray((rows,), dtype, buffer=out), len(pieces) - rows


class RecordDecoder:
    """The type of a stream's records: *type_id* in *btf*, 0 when it is not declared.

    `size` is the type's size and `minimum` the bytes that a record must have: programs may cut
    a record within its last member when that is an array (``char args[]`` sent as far as it is
    used), and the rest then reads as zeros. `stream` names the ring buffer in messages.
    """

    __slots__ = ("_codec", "_dtype", "btf", "minimum", "size", "stream", "type_id")

    def __init__(self, btf: Btf | None, type_id: int, stream: str = "") -> None:
        self.btf = btf
        self.type_id = type_id if btf is not None else 0
        self.stream = stream
        self.size = self.minimum = 0
        self._codec: Codec | None = None
        self._dtype: np.dtype[Any] | None = None
        if btf is not None and type_id:
            self.size = btf.size_of(type_id)
            self.minimum = _minimum(btf, type_id, self.size)

    @property
    def typed(self) -> bool:
        """Whether the type of the records is known."""
        return self.type_id != 0

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of a record; `UnsupportedError` when the type is not known."""
        if self._dtype is None:
            if self.btf is None or not self.type_id:
                message = f"the records of {self.stream or 'the stream'} have no declared type"
                hint = "declare it with __type(value, ...) on the ring buffer, pass record=, "
                hint += "or use read_raw()"
                raise UnsupportedError(message, hint=hint, feature="typed records")
            from skep.btf.dtype import dtype

            self._dtype = dtype(self.btf, self.type_id)
        return self._dtype

    def unpack(self, data: bytes, offset: int, length: int) -> Any:
        """Return one record: a `Record`, `bytes` without a type, None when it is too short."""
        if not self.type_id:
            return data[offset : offset + length]
        if length < self.size:
            if length < self.minimum:
                return None
            data = data[offset : offset + length].ljust(self.size, b"\0")
            offset = 0
        if self._codec is None:
            from skep.btf.codec import codec

            assert self.btf is not None  # there is a type id
            self._codec = codec(self.btf, self.type_id)
        return self._codec.unpack(data, offset)


def _minimum(btf: Btf, type_id: int, size: int) -> int:
    """Return the offset of the last member when it is an array, else *size*."""
    from skep.btf.types import Array, Struct

    record = btf.strip(type_id)
    if isinstance(record, Struct) and record.members:
        last = record.members[-1]
        if isinstance(btf.strip(last.type_id), Array):
            return last.bit_offset // 8
    return size
