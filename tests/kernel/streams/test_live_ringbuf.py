"""The ring buffer reader against real BPF producers."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ring_producers import PRODUCERS, Producers

import skep
from skep.errors import ClosedError, NotFoundError, RangeError, SkepError, UnsupportedError
from skep.kernel.constants import MapType
from skep.maps.spec import MapSpec
from skep.streams.decode import RecordDecoder
from skep.streams.ringbuf import RingBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compiling import CompileBpf


@pytest.fixture
def producers(compile_bpf: CompileBpf) -> Iterator[Producers]:
    """Every producer of `ring_producers`, loaded anew."""
    spec = skep.ObjectSpec.from_file(str(compile_bpf(PRODUCERS)))
    with spec.load() as live:
        yield Producers(live)


def pattern(producers: Producers) -> bytes:
    """Fill the payload source with bytes that never repeat in step, and return it."""
    data = np.random.default_rng(1).bytes(4096)
    producers.object.variables["pattern"].value = data
    return data


def until(done: Callable[[], bool], what: str) -> None:
    """Wait for *done*, or fail the test after some seconds."""
    end = time.monotonic() + 10
    while not done():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.001)


def test_batches_are_structured_arrays_with_the_declared_type(producers: Producers) -> None:
    stream = producers.maps["events"].stream()
    producers.burst(500)
    batch = stream.read(5)
    assert batch.dtype.names == ("seq", "pid", "cpu", "comm", "more")
    assert batch["seq"].tolist() == list(range(500))
    assert batch["pid"].tolist() == list(range(500))
    assert set(batch["cpu"].tolist()) == {7}
    assert set(batch["comm"].tolist()) == {b"producer"}
    assert batch["more"].shape == (500, 2)
    assert stream.stats().unaccounted == 0


def test_a_batch_owns_its_memory(producers: Producers) -> None:
    stream = producers.maps["events"].stream()
    producers.burst(100)
    batch = stream.read(5)
    before = batch.copy()
    for _ in range(20):  # several times around the ring
        producers.burst(1000)
        stream.read(5)
    stream.close()
    assert (batch == before).all()


def test_memory_is_used_again_only_when_nobody_looks_at_it(producers: Producers) -> None:
    stream = producers.maps["events"].stream()
    kept: list[tuple[Any, list[int]]] = []
    for number in range(12):
        producers.burst(1000)
        batch = stream.read(5)
        # A column of some, a part of others, a view without a name of the rest.
        column = (batch["seq"], batch[10:20]["seq"], batch["seq"].data)[number % 3]
        kept.append((column, column.tolist()))
        del batch
    assert len({tuple(was) for _, was in kept}) == 12
    for column, was in kept:
        assert column.tolist() == was
    addresses = set()
    del kept, column
    for _ in range(12):
        producers.burst(1000)
        addresses.add(stream.read(5).__array_interface__["data"][0])
    assert len(addresses) <= 2


def test_a_read_that_finds_nothing_times_out_empty(producers: Producers) -> None:
    stream = producers.maps["events"].stream()
    start = time.monotonic()
    batch = stream.read(0.15)
    assert len(batch) == 0
    assert batch.dtype.names == ("seq", "pid", "cpu", "comm", "more")
    assert 0.14 < time.monotonic() - start < 5
    assert stream.read_raw(0) == []


def test_the_ledger_closes_when_the_ring_overflows(producers: Producers) -> None:
    stream = producers.maps["events"].stream()
    producers.burst(5000)  # 64 KiB hold 1170 records of 56 bytes
    stats = stream.stats()
    assert (stats.produced, stats.pending, stats.lost["ring_full"]) == (5000, 1170, 3830)
    assert stats.unaccounted == 0
    assert len(stream.read(5)) == 1170
    producers.burst(10)
    stats = stream.stats()
    assert (stats.produced, stats.delivered, stats.pending) == (5010, 1170, 10)
    assert stats.unaccounted == 0


@pytest.mark.parametrize("every", [1, 2, 3, 499])
def test_discarded_records_are_passed_over(producers: Producers, every: int) -> None:
    stream = producers.maps["events"].stream()
    producers.burst(500, discard_every=every)
    kept = [number for number in range(500) if number % every]
    assert stream.read(0.2)["pid"].tolist() == kept
    stats = stream.stats()
    assert (stats.delivered, stats.discarded) == (len(kept), 500 - len(kept))
    assert (stats.produced, stats.unaccounted, stats.pending) == (len(kept), 0, 0)


operation = st.tuples(st.integers(0, 2000), st.sampled_from([False, False, False, True]))


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(operation, max_size=256), st.booleans())
def test_random_sizes_and_discards_come_out_as_they_went_in(
    producers: Producers, operations: list[tuple[int, bool]], one_at_a_time: bool
) -> None:
    data = pattern(producers)
    sink = producers.maps["bytes"]
    with sink.stream(interval=0) as stream:  # it wraps over and over, as the ring stays
        refused = producers.play(operations)
        sent = [data[i : i + size] for i, (size, gone) in enumerate(operations) if not gone]
        got: list[bytes] = []
        if one_at_a_time:
            records = stream.records()
            while stream.stats().pending:
                got.append(next(records))
        else:
            while stream.stats().pending:
                got += stream.read_raw(0)
        stream.read_raw(0)  # discarded records at the end
        if not refused:
            assert got == sent
        else:
            assert len(got) <= len(sent)
        assert stream.stats().delivered == len(got)
        assert not stream.stats().pending


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(st.sampled_from([64, 64, 64, 64, 4, 3, 30, 100]), st.booleans())))
def test_columns_of_mixed_sizes_equal_the_records_one_by_one(
    producers: Producers, operations: list[tuple[int, bool]]
) -> None:
    pattern(producers)
    spec = producers.maps["lines"].spec
    decoder = RecordDecoder(spec.btf, spec.value_type_id)
    sink, operations = producers.maps["bytes"], operations[:256]
    producers.play(operations)
    with sink.stream(interval=0) as stream:
        expected = [decoder.unpack(one, 0, len(one)) for one in stream.read_raw(0)]
    producers.play(operations)
    with sink.stream(decoder=decoder, interval=0) as stream:
        rows: list[tuple[int, bytes]] = []
        while stream.stats().pending:
            rows += [(int(row["length"]), bytes(row["text"])) for row in stream.read(0)]
        stats = stream.stats()
    whole = [line for line in expected if line is not None]
    assert [length for length, _ in rows] == [line.length for line in whole]
    assert [text.partition(b"\0")[0] for _, text in rows] == [
        line.text.encode("utf-8", "surrogateescape") for line in whole
    ]
    assert stats.lost["decode_error"] == len(expected) - len(whole)
    assert stats.delivered == len(whole)


def test_records_cut_in_their_last_array_are_filled_with_zeros(producers: Producers) -> None:
    stream = producers.maps["lines"].stream()
    for text in (b"one", b"", b"x" * 60):
        producers.say(text)
    assert stream.read(5)["text"].tolist() == [b"one", b"", b"x" * 60]
    producers.say(b"last")
    record = next(stream.records())
    assert (record.length, record.text) == (4, "last")
    assert "ring_full" not in stream.stats().lost  # nobody counts there


def test_records_keep_their_place_between_the_ways_of_reading(producers: Producers) -> None:
    stream = producers.maps["events"].stream()
    producers.burst(10)
    records = stream.records()
    assert [next(records).seq for _ in range(3)] == [0, 1, 2]
    assert stream.stats().pending == 7
    assert stream.read(5)["seq"].tolist() == [3, 4, 5, 6, 7, 8, 9]
    producers.burst(4)
    assert next(records).seq == 10
    assert [len(one) for one in stream.read_raw(5)] == [48, 48, 48]
    assert stream.stats().unaccounted == 0


def test_an_unfinished_record_holds_back_what_is_behind_it(producers: Producers) -> None:
    stream = producers.maps["events"].stream()
    producers.object.variables["go"].value = 0
    program = producers.object.programs["unfinished"]
    thread = threading.Thread(target=program.test_run)
    thread.start()
    try:
        until(lambda: stream.stats().pending == 3, "three records")
        assert stream.read(0)["seq"].tolist() == [1]
        before = time.thread_time()
        assert len(stream.read(0.05)) == 0
        assert time.thread_time() - before < 0.04  # it waits without spinning
        assert stream.read_raw(0) == []
        assert stream.stats().pending == 2
    finally:
        producers.object.variables["go"].value = 1
        thread.join()
    assert stream.read(5)["seq"].tolist() == [2, 3]
    assert stream.stats().unaccounted == 0


def test_records_sent_without_a_wakeup_arrive(producers: Producers) -> None:
    no_wakeup = 1  # BPF_RB_NO_WAKEUP
    stream = producers.maps["events"].stream()
    timer = threading.Timer(0.05, producers.burst, (5,), {"flags": no_wakeup})
    timer.start()
    assert len(stream.read(5)) == 5
    timer.join()


def test_an_exception_in_the_loop_body_loses_only_its_batch(producers: Producers) -> None:
    stream = producers.maps["events"].stream()
    producers.burst(3)

    def consume() -> None:
        for batch in stream:
            raise ValueError(len(batch))

    with pytest.raises(ValueError, match="3"):
        consume()
    producers.burst(2)
    assert next(iter(stream))["seq"].tolist() == [3, 4]


@pytest.mark.parametrize("way", ["iterate", "records", "read"])
def test_closing_ends_a_reader_that_waits_in_another_thread(producers: Producers, way: str) -> None:
    stream = producers.maps["events"].stream()
    ended: list[object] = []

    def consume() -> None:
        try:
            if way == "iterate":
                ended.extend(len(batch) for batch in stream)
            elif way == "records":
                ended.extend(record.seq for record in stream.records())
            else:
                while True:
                    ended.append(len(stream.read()))
        except ClosedError as error:
            ended.append(error)
        ended.append("end")

    thread = threading.Thread(target=consume)
    thread.start()
    producers.burst(1)
    until(lambda: len(ended) == 1, "the first record")
    start = time.monotonic()
    stream.close()
    thread.join(5)
    assert not thread.is_alive()
    assert time.monotonic() - start < 2
    assert ended[-1] == "end"
    if way == "read":
        assert isinstance(ended[1], ClosedError)
    with pytest.raises(ClosedError, match="stream of ring buffer 'events' is closed"):
        stream.read(0)
    assert stream.stats().delivered == 1


def test_closing_waits_out_no_interval(producers: Producers) -> None:
    stream = producers.maps["events"].stream(interval=30)
    producers.burst(1)
    assert len(stream.read(0)) == 1
    ended = threading.Event()

    def consume() -> None:
        with pytest.raises(ClosedError):
            stream.read()
        ended.set()

    thread = threading.Thread(target=consume)
    thread.start()
    until(lambda: stream._owner != 0, "the reader's wait")
    stream.close()
    assert ended.wait(5)
    thread.join()


def test_ctrl_c_gets_through_at_once(producers: Producers) -> None:
    stream = producers.maps["events"].stream()
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        for _ in stream:
            pass
    assert time.monotonic() - start < 2
    timer.join()
    producers.burst(2)
    assert len(stream.read(5)) == 2


def test_a_signal_handler_may_close_the_stream_it_interrupts(producers: Producers) -> None:
    stream = producers.maps["events"].stream()
    previous = signal.signal(signal.SIGUSR1, lambda *_: stream.close())
    try:
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        assert list(stream) == []
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert stream.closed


def test_the_map_closes_its_stream(producers: Producers) -> None:
    stream = producers.maps["events"].stream()
    producers.maps["events"].close()
    assert stream.closed
    with pytest.raises(ClosedError):
        iter(stream).__next__()


def test_a_ring_has_one_reader_at_a_time(producers: Producers) -> None:
    events = producers.maps["events"]
    first = events.stream()
    with pytest.raises(SkepError, match="has an open reader already"):
        events.stream()
    producers.burst(7)
    assert len(first.read(5)) == 7
    producers.burst(2)
    first.close()
    second = events.stream()
    producers.burst(1)
    assert second.stats().produced == 3  # its own, not the first reader's
    assert len(second.read(5)) == 3
    assert second.stats().unaccounted == 0


def test_the_descriptor_is_readable_when_there_is_something(producers: Producers) -> None:
    stream = producers.maps["events"].stream()

    async def main() -> int:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(stream.fileno(), ready.set)
        loop.call_later(0.05, producers.burst, 4)
        await asyncio.wait_for(ready.wait(), 5)
        loop.remove_reader(stream.fileno())
        return len(stream.read(0))

    assert asyncio.run(main()) == 4


def test_wrong_uses_are_named(producers: Producers) -> None:
    with pytest.raises(UnsupportedError, match=r"'events_ledger' .* is not a ring buffer"):
        producers.maps["events_ledger"].stream()
    untyped = producers.maps["bytes"].stream()
    with pytest.raises(UnsupportedError, match="records of bytes have no declared type"):
        untyped.read(0)
    untyped.close()
    with producers.maps["bytes"].stream(record="line") as typed:
        assert typed.read(0).dtype.names == ("length", "text")
    with pytest.raises(NotFoundError):
        producers.maps["bytes"].stream(record="no_such")
    with pytest.raises(RangeError, match="interval -1"):
        producers.maps["bytes"].stream(interval=-1)
    with pytest.raises(UnsupportedError, match="has no keys"):
        producers.maps["bytes"][0]


def test_a_stream_left_open_is_a_resource_warning() -> None:
    spec = MapSpec(name="ring", type=MapType.RINGBUF, max_entries=65536)
    with spec.create() as ring:
        decoder = RecordDecoder(None, 0)
        stream = RingBuffer(ring.fd, 65536, decoder=decoder, name="ring")
        with pytest.warns(ResourceWarning, match="stream of ring buffer 'ring' was never closed"):
            del stream
        with pytest.raises(RangeError, match="1000 bytes is not a power of two"):
            RingBuffer(ring.fd, 1000, decoder=decoder, name="ring")


def test_the_ledger_outlives_the_object(producers: Producers) -> None:
    stream = producers.maps["events"].stream()
    producers.burst(2000)
    taken = len(stream.read(5))
    producers.object.close()
    stats = stream.stats()
    assert (stats.produced, stats.delivered) == (2000, taken)
    assert stats.lost["ring_full"] == 2000 - taken
    assert stats.unaccounted == 0
