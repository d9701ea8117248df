"""The sans-IO ring decoder against a plain reference reader, over random rings."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skep.btf.btf import Btf
from skep.btf.writer import Builder
from skep.errors import FormatError, UnsupportedError
from skep.streams import decode
from skep.streams.decode import BUSY, DISCARDED, RecordDecoder

RING = 4096


class Entry(NamedTuple):
    """One record as a producer makes it."""

    size: int
    state: int  # 0 (committed), BUSY or DISCARDED


def entries(sizes: st.SearchStrategy[int]) -> st.SearchStrategy[list[Entry]]:
    states = st.sampled_from([0, 0, 0, 0, 0, 0, DISCARDED, DISCARDED, BUSY])
    return st.lists(st.builds(Entry, sizes, states), max_size=40)


class Ring(NamedTuple):
    """Ring memory mapped twice in a row, and what was produced into it."""

    data: bytes
    start: int
    available: int


def produce(written: list[Entry], start: int) -> Ring:
    """Lay records out as kernel/bpf/ringbuf.c does, up to what fits; payloads tell their number."""
    data = bytearray(b"\xaa" * RING)
    position = start
    for number, entry in enumerate(written):
        length = (entry.size + 8 + 7) // 8 * 8
        if position + length - start > RING:
            break
        record = struct.pack("=II", entry.size | entry.state, 1) + payload(number, entry.size)
        for at, byte in enumerate(record):
            data[(position + at) % RING] = byte
        position += length
    return Ring(bytes(data) * 2, start, position - start)


def payload(number: int, size: int) -> bytes:
    return bytes((number * 31 + at) & 0xFF for at in range(size))


class Reference(NamedTuple):
    payloads: list[bytes]
    consumed: int
    discarded: int
    busy: bool


def reference(ring: Ring) -> Reference:
    """Read one record after the other, byte by byte, wrapping by hand."""
    single = ring.data[:RING]
    position, discarded = ring.start, 0
    payloads: list[bytes] = []
    while position < ring.start + ring.available:
        (header,) = struct.unpack("=I", bytes(single[(position + i) % RING] for i in range(4)))
        if header & BUSY:
            return Reference(payloads, position - ring.start, discarded, busy=True)
        length = header & 0x3FFFFFFF
        if header & DISCARDED:
            discarded += 1
        else:
            payloads.append(bytes(single[(position + 8 + i) % RING] for i in range(length)))
        position += (length + 15) & ~7
    return Reference(payloads, position - ring.start, discarded, busy=False)


starts = st.integers(0, RING // 8 - 1).map(lambda word: word * 8)


@given(entries(st.integers(0, 300)), starts)
@example([Entry(0, 0), Entry(0, DISCARDED), Entry(1, BUSY)], RING - 8)
def test_scan_finds_what_the_reference_reader_finds(written: list[Entry], start: int) -> None:
    ring = produce(written, start)
    expected = reference(ring)
    words = memoryview(ring.data)[start:].cast("I")
    found = decode.scan(words, ring.available, limit=RING)
    pairs = zip(found.offsets, found.lengths, strict=True)
    payloads = [ring.data[start + o : start + o + n] for o, n in pairs]
    assert Reference(payloads, found.consumed, found.discarded, found.busy) == expected


@given(entries(st.integers(0, 300)), starts, st.integers(1, 600), st.integers(1, 10))
def test_scanning_in_small_steps_finds_the_same(
    written: list[Entry], start: int, limit: int, records: int
) -> None:
    ring = produce(written, start)
    expected = reference(ring)
    payloads: list[bytes] = []
    at = 0
    while at < expected.consumed:
        words = memoryview(ring.data)[start + at :].cast("I")
        left = ring.available - at
        found = decode.scan(words, left, limit=limit, records=records)
        base = start + at
        pairs = zip(found.offsets, found.lengths, strict=True)
        payloads += [ring.data[base + o : base + o + n] for o, n in pairs]
        assert found.consumed  # always forward
        at += found.consumed
    assert payloads == expected.payloads
    assert at == expected.consumed


@given(entries(st.sampled_from([16, 16, 16, 16, 16, 16, 20, 8])), starts)
def test_the_uniform_run_is_a_prefix_of_the_reference(written: list[Entry], start: int) -> None:
    size, dtype = 16, np.dtype([("a", "u1", (16,))])
    ring = produce(written, start)
    live = np.frombuffer(ring.data, np.uint32)[start // 4 :]
    rows = ring.available // decode.stride(size)
    rows, keep = decode.uniform(live[: rows * 6 : 6], size)
    batch = decode.columns(live[: rows * 6].copy(), size, keep, dtype)
    # The run ends where the first record of another size, or an unfinished one, is.
    wanted, kept = 0, []
    for number, entry in enumerate(written):
        if entry.size != size or entry.state & BUSY or (wanted + 1) * 24 > ring.available:
            break
        wanted += 1
        if not entry.state:
            kept.append(payload(number, size))
    assert rows == wanted
    assert [bytes(row["a"]) for row in batch] == kept


@given(st.lists(st.integers(0, 40), max_size=20), st.integers(1, 24))
def test_gather_cuts_fills_and_counts(lengths: list[int], minimum: int) -> None:
    size = 24
    data = bytes(range(1, 65))
    pieces = [(data, offset % 8, length) for offset, length in enumerate(lengths)]
    batch, short = decode.gather(pieces, size, minimum, np.dtype(("u1", (size,))))
    good = [(offset, length) for _, offset, length in pieces if length >= minimum]
    assert short == len(pieces) - len(good)
    assert [bytes(row) for row in batch] == [
        data[offset : offset + min(length, size)].ljust(size, b"\0") for offset, length in good
    ]


def test_a_length_beyond_what_was_produced_is_a_format_error() -> None:
    words = memoryview(struct.pack("=II", 100, 0) + bytes(16)).cast("I")
    with pytest.raises(FormatError, match="100 bytes at byte 0 does not fit the 24"):
        decode.scan(words, 24, limit=4096)


def line_btf() -> tuple[Btf, int, int]:
    """``struct line { u32 length; char text[12]; }`` and ``struct point { u32 x, y; }``."""
    builder = Builder()
    u32 = builder.int("unsigned int", 4)
    char = builder.int("char", 1, signed=True)
    text = builder.array(char, 12, u32)
    line = builder.struct("line", 16, [("length", u32, 0), ("text", text, 32)])
    point = builder.struct("point", 8, [("x", u32, 0), ("y", u32, 32)])
    return Btf.from_bytes(builder.build()), line, point


def test_a_record_may_be_cut_within_its_last_array_only() -> None:
    btf, line, point = line_btf()
    lines, points = RecordDecoder(btf, line), RecordDecoder(btf, point)
    assert (lines.size, lines.minimum) == (16, 4)
    assert (points.size, points.minimum) == (8, 8)
    data = struct.pack("=I", 5) + b"hello, more"
    assert lines.unpack(data, 0, 9) == (5, "hello")
    assert lines.unpack(data, 0, 4) == (5, "")
    assert lines.unpack(data, 0, 3) is None
    assert points.unpack(bytes(8), 0, 7) is None
    assert points.unpack(bytes(9), 0, 9) == (0, 0)


def test_without_a_type_records_are_bytes_and_columns_a_clear_refusal() -> None:
    decoder = RecordDecoder(None, 0, "events")
    assert decoder.unpack(b"xabcx", 1, 3) == b"abc"
    with pytest.raises(UnsupportedError, match="records of events have no declared type"):
        _ = decoder.dtype
