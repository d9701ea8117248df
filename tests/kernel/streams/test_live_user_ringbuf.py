"""User ring buffers: what the producer writes is what a real program drains."""

from __future__ import annotations

import errno
import gc
import os
import resource
import signal
import threading
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import skep
from skep.errors import (
    ClosedError,
    FormatError,
    KernelError,
    MapFullError,
    NotFoundError,
    RangeError,
    SkepError,
    TypeMismatchError,
    UnsupportedError,
)
from skep.kernel.constants import MapType
from skep.kernel.memory import store_u64
from skep.kernel.syscall import page_size
from skep.streams.user_ringbuf import Producer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiling import CompileBpf

SOURCE = r"""// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct order {
	__u64 amount;
	__u32 id;
	char who[4];
};
struct other { __u16 small; };

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct order);
} orders SEC(".maps");

__u64 records, bytes, total, out_of_order, last;
struct order latest;
struct other unused; /* so that BTF has it */
long result;
__u32 most = ~0;

static long take(struct bpf_dynptr *record, void *context)
{
	struct order order = {};

	records++;
	bytes += bpf_dynptr_read(&order, sizeof(order), record, 0, 0) ? 0 : sizeof(order);
	total += order.amount;
	if (order.id <= last)
		out_of_order++;
	last = order.id;
	latest = order;
	return records >= most;
}

SEC("syscall")
int drain(void *context)
{
	result = bpf_user_ringbuf_drain(&orders, take, 0, 0);
	return 0;
}

SEC("syscall")
int drain_silently(void *context)
{
	result = bpf_user_ringbuf_drain(&orders, take, 0, BPF_RB_NO_WAKEUP);
	return 0;
}
"""
STRIDE = 24


class Shop:
    """The object, its producer, and how to let the program drain."""

    def __init__(self, live: skep.Object) -> None:
        self.live = live
        orders: Any = live.maps["orders"]
        self.map = orders
        self.producer: Producer = self.map.producer()

    def drain(self, program: str = "drain") -> int:
        self.live.programs[program].test_run()
        return int(self["result"])

    def __getitem__(self, name: str) -> Any:
        return self.live.variables[name].value


@pytest.fixture
def shop(compile_bpf: CompileBpf) -> Iterator[Shop]:
    with skep.ObjectSpec.from_file(compile_bpf(SOURCE)).load() as live:
        yield Shop(live)


def test_records_arrive_as_they_were_given(shop: Shop) -> None:
    producer = shop.producer
    producer.send((5, 1, "ab"))
    producer.send({"amount": 6, "id": 2, "who": "x"})
    producer.send(bytes(8) + (3).to_bytes(4, "little") + b"raw\0")
    assert producer.pending() == 3 * STRIDE
    assert shop.drain() == 3
    assert (shop["records"], shop["total"], shop["bytes"]) == (3, 11, 48)
    assert tuple(shop["latest"]) == (0, 3, "raw")
    assert producer.pending() == 0
    assert producer.room() == 4096


def test_a_record_is_not_seen_before_it_is_submitted(shop: Shop) -> None:
    first = shop.producer.reserve()
    shop.producer.send((7, 2, "second"[:4]))
    assert shop.drain() == 0  # the program stops at the unfinished one
    first.submit((100, 1, "z"))
    assert first.finished
    assert shop.drain() == 2
    assert (shop["total"], shop["out_of_order"]) == (107, 0)
    with pytest.raises(ClosedError, match="finished already"):
        first.submit()
    with pytest.raises(ValueError, match="released"):
        first.view[0] = 1


def test_a_reservation_as_a_context(shop: Shop) -> None:
    with shop.producer.reserve() as record:
        record.view[:] = (9).to_bytes(8, "little") + bytes(8)
    with pytest.raises(ZeroDivisionError), shop.producer.reserve():
        _ = 1 / 0
    with shop.producer.reserve() as record:
        record.discard()
    assert shop.drain() == 1
    assert (shop["records"], shop["total"], shop.producer.pending()) == (1, 9, 0)


def test_a_record_that_does_not_fit_stays_reserved(shop: Shop) -> None:
    record = shop.producer.reserve()
    with pytest.raises(RangeError, match=r"'orders', amount: -1 does not fit"):
        record.submit((-1, 1, ""))
    with pytest.raises(RangeError, match="a record of 3 bytes, and 16 were reserved"):
        record.submit(b"abc")
    record.submit((1, 1, ""))
    assert shop.drain() == 1


def test_columns(shop: Shop) -> None:
    producer = shop.producer
    column = np.zeros(170, producer.decoder.dtype)
    column["amount"], column["id"] = 2, np.arange(1, 171)
    for _ in range(7):  # the places wrap around, in the middle of a record too
        shop.live.variables["last"] = 0
        assert producer.send_all(column[::1]) == 170
        assert shop.drain() == 170
    assert (shop["total"], shop["records"], shop["out_of_order"]) == (7 * 340, 7 * 170, 0)
    assert producer.send_all(column[::-2]) == 85  # a view with strides
    assert shop.drain() == 85
    assert producer.send_all([(1, 1, "a"), b"short", {"amount": 1, "id": 2, "who": ""}]) == 3
    assert shop.drain() == 3
    assert producer.send_all([]) == producer.send_all(column[:0]) == 0


def test_a_column_of_another_type_is_refused(shop: Shop) -> None:
    with pytest.raises(TypeMismatchError, match="expected a column of"):
        shop.producer.send_all(np.zeros(3, np.uint64))
    assert shop.producer.pending() == 0


def test_a_full_ring_says_so_and_loses_nothing(shop: Shop) -> None:
    column = np.zeros(1000, shop.producer.decoder.dtype)
    with pytest.raises(MapFullError, match="4080 of 4096 wait for the program") as caught:
        shop.producer.send_all(column)
    error = caught.value
    assert (error.map, error.entries, error.done) == ("orders", 4096, 170)
    with pytest.raises(MapFullError) as caught:
        shop.producer.send((1, 1, ""))
    assert caught.value.done == 0
    with pytest.raises(MapFullError):
        shop.producer.reserve(timeout=0.01)
    assert not shop.producer.wait(timeout=0.01)
    assert shop.drain() == 170
    assert shop.producer.wait(timeout=0)
    with pytest.raises(RangeError, match="never fits, 4088 are the most"):
        shop.producer.reserve(4089)
    with shop.producer.reserve(4088) as record:  # all of it
        assert len(record.view) == 4088
    assert shop.drain() == 1


@pytest.mark.parametrize("program", ["drain", "drain_silently"])
def test_waiting_for_room(shop: Shop, program: str) -> None:
    """Woken by the program's drain, and by looking where the program wakes nobody."""
    producer = shop.producer
    count = 2000
    column = np.zeros(count, producer.decoder.dtype)
    column["id"] = np.arange(1, count + 1)
    sent: list[int] = []
    sender = threading.Thread(target=lambda: sent.append(producer.send_all(column, timeout=None)))
    sender.start()
    while sender.is_alive():
        shop.drain(program)
    sender.join()
    shop.drain()
    assert sent == [count]
    assert (shop["records"], shop["last"], shop["out_of_order"]) == (count, count, 0)


def test_many_threads_lose_and_tear_nothing(shop: Shop) -> None:
    each = 300

    def send(thread: int) -> None:
        for number in range(each):
            kind = number % 3
            if kind == 0:
                shop.producer.send((1, number, "abc"), timeout=None)
            elif kind == 1:
                shop.producer.send_all([(1, number, "abc")] * 2, timeout=None)
            else:
                with shop.producer.reserve(timeout=None) as record:
                    record.view[:] = shop.producer.pack((thread, number, "abc"))
                    record.discard()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        shop.drain()
    for thread in threads:
        thread.join()
    shop.drain()
    assert shop["records"] == shop["total"] == 4 * (100 + 200)
    assert shop["bytes"] == shop["records"] * 16
    assert shop["latest"].who == "abc"


def test_closing_ends_a_wait(shop: Shop) -> None:
    shop.producer.send_all([(1, 1, "")] * 170)
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            shop.producer.send((1, 1, ""), timeout=None)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    shop.producer.close()
    shop.producer.close()
    waiter.join(10)
    assert [type(error) for error in errors] == [ClosedError]
    with pytest.raises(ClosedError, match="the producer of user ring buffer 'orders' is closed"):
        shop.producer.send((1, 1, ""))
    assert "closed" in repr(shop.producer)
    assert shop.drain() == 170


def test_a_reservation_outlives_its_producer(shop: Shop) -> None:
    record = shop.producer.reserve()
    shop.map.close()
    record.submit((1, 1, ""))
    assert record.finished


def test_one_producer_at_a_time(shop: Shop) -> None:
    with pytest.raises(SkepError, match="has an open producer already"):
        shop.map.producer()
    shop.producer.close()
    with shop.map.producer() as again:
        again.send((1, 1, ""))
    assert shop.drain() == 1
    shop.map.close()
    with pytest.raises(ClosedError):
        shop.map.producer()


def test_records_that_a_dead_producer_left_unfinished(shop: Shop) -> None:
    record = shop.producer.reserve()
    shop.producer.send((1, 1, ""))
    shop.producer.close()
    with shop.map.producer() as successor:
        assert shop.drain() == 0
        assert successor.discard_unfinished() == 1
        assert shop.drain() == 1
        assert successor.pending() == 0
    record.discard()


def test_a_forgotten_reservation_is_discarded_with_a_warning(shop: Shop) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        shop.producer.reserve()
        gc.collect()
    assert "was never submitted or discarded" in str(said[0].message)
    shop.producer.send((1, 1, ""))
    assert shop.drain() == 1


def test_a_forgotten_producer_warns() -> None:
    spec = skep.MapSpec(name="ring", type=MapType.USER_RINGBUF, max_entries=page_size)
    live: Any = spec.create()
    with live:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            producer = Producer(live.fd, page_size, decoder=live.producer().decoder, name="lost")
            del producer
            gc.collect()
        assert any("'lost' was never closed" in str(each.message) for each in said)


def test_without_types_there_are_bytes() -> None:
    spec = skep.MapSpec(name="ring", type=MapType.USER_RINGBUF, max_entries=page_size)
    live: Any = spec.create()
    with live, live.producer() as producer:
        producer.send(b"12345")
        assert producer.pending() == 16
        with pytest.raises(TypeMismatchError, match="only bytes can be sent"):
            producer.send((1, 2))
        with pytest.raises(TypeMismatchError, match=r"reserve\(\) needs a size"):
            producer.reserve()
        with pytest.raises(UnsupportedError, match="no declared type"):
            producer.send_all(np.zeros(1))


def test_other_types_of_the_object(shop: Shop) -> None:
    shop.producer.close()
    with shop.map.producer(record="other") as producer:
        producer.send((513,))
        assert producer.pending() == 16
    with pytest.raises(NotFoundError, match="nothing_such"):
        shop.map.producer(record="nothing_such")
    assert shop.drain() == 1


def test_it_has_no_items_and_no_stream(shop: Shop) -> None:
    for access in (shop.map.read, shop.map.count, shop.map.stream, lambda: shop.map[1]):
        with pytest.raises(UnsupportedError) as caught:
            access()
        assert "producer()" in caught.value.hint


def test_positions_that_somebody_else_moved(shop: Shop) -> None:
    store_u64(shop.producer._position_address, 1 << 40)
    with pytest.raises(FormatError, match="somebody else moved its positions"):
        shop.producer.send((1, 1, ""))
    store_u64(shop.producer._position_address, 0)


def test_the_size_is_checked() -> None:
    spec = skep.MapSpec(name="ring", type=MapType.USER_RINGBUF, max_entries=page_size)
    live: Any = spec.create()
    with live, live.producer() as producer, pytest.raises(RangeError, match="power of two"):
        Producer(live.fd, 5000, decoder=producer.decoder, name="odd")


@pytest.mark.parametrize(
    ("type", "opening"), [(MapType.USER_RINGBUF, "producer"), (MapType.RINGBUF, "stream")]
)
def test_what_cannot_wait_for_its_ring_leaves_nothing_open(type: MapType, opening: str) -> None:
    """One number is left, and it takes two: the first was left open."""
    live: Any = skep.MapSpec(name="ring", type=type, max_entries=page_size).create()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with live:
        before = os.listdir("/proc/self/fd")
        free = os.dup(live.fileno())
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
        try:
            with pytest.raises(KernelError, match="cannot be waited for") as caught:
                getattr(live, opening)()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert caught.value.errno == errno.EMFILE
        assert len(os.listdir("/proc/self/fd")) == len(before)
        with getattr(live, opening)() as opened:
            assert not opened.closed


def test_closing_from_a_signal_handler_ends_the_wait_it_interrupts() -> None:
    """It waited for the wait to end, which it was itself a part of."""
    spec = skep.MapSpec(name="ring", type=MapType.USER_RINGBUF, max_entries=page_size)
    live: Any = spec.create()
    with live:
        producer = live.producer()
        producer.send(bytes(page_size - 8))
        before = signal.signal(signal.SIGALRM, lambda *_: producer.close())
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            with pytest.raises(ClosedError):
                producer.send(b"1", timeout=None)
        finally:
            signal.signal(signal.SIGALRM, before)
        with live.producer() as again:
            assert again.pending() == page_size
