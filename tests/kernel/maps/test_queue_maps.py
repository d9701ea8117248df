"""Queues, stacks and bloom filters: filled and emptied by programs and from Python."""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import skep
from skep.errors import (
    ClosedError,
    EmptyError,
    LoadError,
    MapError,
    MapFullError,
    TypeMismatchError,
    UnsupportedError,
)
from skep.kernel.constants import MapFlags, MapType
from skep.maps import BloomFilter, Map, MapSpec, Queue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compiling import CompileBpf

SOURCE = """// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct job { __u32 id; __u8 kind; /* three bytes of padding follow */ };

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4);
	__type(value, struct job);
} jobs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 4);
	__type(value, __u64);
} free SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 1000);
	__type(value, struct job);
	__uint(map_extra, 3);
} seen SEC(".maps");

__u32 number;

SEC("socket") int produce(struct __sk_buff *skb)
{
	struct job job;

	__builtin_memset(&job, 0, sizeof(job));
	job.id = number;
	job.kind = 2;
	bpf_map_push_elem(&seen, &job, BPF_ANY);
	return bpf_map_push_elem(&jobs, &job, BPF_ANY);
}

SEC("socket") int knows(struct __sk_buff *skb)
{
	struct job job;

	__builtin_memset(&job, 0, sizeof(job));
	job.id = number;
	job.kind = 2;
	return !bpf_map_peek_elem(&seen, &job);
}

SEC("socket") int borrow(struct __sk_buff *skb)
{
	__u64 slot = 0;

	if (bpf_map_pop_elem(&free, &slot))
		return -1;
	return slot;
}
"""


@pytest.fixture
def live(compile_bpf: CompileBpf) -> Iterator[skep.Object]:
    with skep.ObjectSpec.from_file(compile_bpf(SOURCE)).load() as live:
        yield live


def queue(kind: MapType = MapType.QUEUE, entries: int = 3, flags: int = 0) -> Queue[bytes]:
    spec = MapSpec(name="q", type=kind, value_size=4, max_entries=entries, flags=flags)
    made = spec.create()
    assert isinstance(made, Queue)
    return made


def run(live: skep.Object, program: str, number: int = 0) -> int:
    live.variables["number"].value = number
    result = live.programs[program].test_run()
    return int(np.int32(np.uint32(result.retval)))


def test_what_a_program_pushes_is_popped_here(live: skep.Object) -> None:
    jobs = live.maps["jobs"]
    assert isinstance(jobs, Queue)
    for number in (10, 11, 12):
        assert run(live, "produce", number) == 0
    assert jobs.peek().id == 10
    first = jobs.pop()
    assert (first.id, first.kind) == (10, 2)
    jobs.push((13, 7))
    jobs.push({"id": 14, "kind": 8})
    assert run(live, "produce", 15) == -errno.E2BIG
    column = jobs.drain()
    assert column["id"].tolist() == [11, 12, 13, 14]
    assert column["kind"].tolist() == [2, 2, 7, 8]
    assert jobs.drain().shape == (0,)
    assert jobs.drain().dtype == column.dtype
    assert jobs.pop(None) is None


def test_what_is_pushed_here_a_program_pops(live: skep.Object) -> None:
    free = live.maps["free"]
    assert isinstance(free, Queue)
    free.extend([5, 6, 7])
    assert [run(live, "borrow") for _ in range(4)] == [7, 6, 5, -1]


@pytest.mark.parametrize(
    ("kind", "left"), [(MapType.QUEUE, [b"bbbb", b"cccc"]), (MapType.STACK, [b"cccc", b"bbbb"])]
)
def test_full_and_empty(kind: MapType, left: list[bytes]) -> None:
    with queue(kind, 2) as made:
        with pytest.raises(
            EmptyError, match=f"map 'q' \\({kind.name.lower()}\\) is empty"
        ) as empty:
            made.pop()
        assert isinstance(empty.value, IndexError)
        with pytest.raises(EmptyError):
            made.peek()
        assert (made.peek(0), made.pop(None), list(made.pops())) == (0, None, [])
        made.push(b"aaaa")
        with pytest.raises(MapFullError, match="is full: it holds 2 entries already") as full:
            made.extend([b"bbbb", b"cccc", b"dddd"])
        assert (full.value.done, full.value.entries, full.value.errno) == (1, 2, errno.E2BIG)
        assert (full.value.map, full.value.reason) == ("q", "full")
        made.push(b"cccc", drop_oldest=True)
        assert made.peek() == left[0]
        assert list(made.pops()) == left
        made.extend([b"1111", b"2222", b"3333", b"4444"], drop_oldest=True)
        made.clear()
        assert made.pop(None) is None


def test_a_drain_ends_though_others_push(live: skep.Object) -> None:
    with queue(entries=8) as made:
        made.extend([bytes(4)] * 8)
        taken = 0
        for _ in made.pops():
            taken += 1
            made.push(b"more")
        assert taken == 8
        assert list(made.pops()) == [b"more"] * 8


def test_threads_share_a_queue() -> None:
    with queue(entries=10_000) as made:
        got: list[bytes] = []

        def produce(base: int) -> None:
            made.extend([number.to_bytes(4, "little") for number in range(base, base + 500)])

        def consume() -> None:
            got.extend(made.pops())

        for work in ([lambda n=n: produce(n * 500) for n in range(4)], [consume] * 4):
            threads = [threading.Thread(target=one) for one in work]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert sorted(int.from_bytes(one, "little") for one in got) == list(range(2000))


def refused(map: Map) -> list[tuple[str, Callable[[], object]]]:
    """Everything that goes by key or over all entries."""
    key: object = 1
    return [
        ("has no keys", lambda: map[key]),
        ("has no keys", lambda: map.get(key)),
        ("has no keys", lambda: map.__setitem__(key, b"abcd")),
        ("has no keys", lambda: map.__delitem__(key)),
        ("has no keys", lambda: map.insert(key, b"abcd")),
        ("has no keys", lambda: map.replace(key, b"abcd")),
        ("has no keys", lambda: map.store(key, b"abcd")),
        ("cannot be walked", lambda: list(map)),
        ("cannot be walked", lambda: list(map.keys())),
        ("cannot be walked", lambda: list(map.items())),
        ("cannot be walked", lambda: list(map.values())),
        ("does not tell how many", map.count),
        ("cannot be read as a whole", map.read),
        ("has no keys to delete", lambda: map.delete([1])),
    ]


def test_what_has_no_keys_says_what_to_use() -> None:
    with queue() as made:
        for words, action in [
            *refused(made),
            ("cannot be searched", lambda: b"abcd" in made),
            ("has no keys to update", lambda: made.update([1], [b"abcd"])),
        ]:
            with pytest.raises(UnsupportedError, match=f"map 'q' \\(queue\\) {words}") as caught:
                action()
            assert "use push(), peek(), pop() or drain()" in caught.value.hint
        with pytest.raises(TypeMismatchError, match="map 'q', value: 4 bytes takes bytes, not int"):
            made.push(5)  # type: ignore[arg-type]
        assert made  # empty, and still a map
    spec = MapSpec(name="b", type=MapType.BLOOM_FILTER, value_size=4, max_entries=3)
    with spec.create() as bloom:
        for words, action in [
            *refused(bloom),
            ("cannot be emptied", bloom.clear),
            ("cannot be drained", bloom.drain),
        ]:
            with pytest.raises(UnsupportedError, match=f"'b' \\(bloom_filter\\) {words}") as caught:
                action()
            assert "use add(value) and `value in map`" in caught.value.hint


def test_a_frozen_or_closed_queue() -> None:
    with queue() as made:
        made.push(b"abcd")
        made.freeze()
        for action in (lambda: made.push(b"abcd"), made.pop, made.drain):
            with pytest.raises(MapError, match="frozen") as caught:
                action()
            assert caught.value.reason == "frozen"
        assert made.peek() == b"abcd"
    for action in (lambda: made.push(b"abcd"), made.pop, made.peek, made.drain):
        with pytest.raises(ClosedError, match="map 'q' is closed"):
            action()


def test_a_queue_that_may_only_be_read() -> None:
    with queue(flags=MapFlags.RDONLY) as made:
        assert made.peek(None) is None
        with pytest.raises(MapError, match=r"nothing can be put in: .*may only read"):
            made.push(b"abcd")
        with pytest.raises(MapError, match=r"nothing can be taken out: .*may only read"):
            made.pop()


def test_a_bloom_filter_filled_on_both_sides(live: skep.Object) -> None:
    seen = live.maps["seen"]
    assert isinstance(seen, BloomFilter)
    assert seen.hashes == 3
    assert (7, 2) not in seen
    assert run(live, "produce", 7) == 0
    assert (7, 2) in seen
    assert (7, 3) not in seen
    assert run(live, "knows", 8) == 0
    seen.add({"id": 8, "kind": 2})  # with the padding as zeros, so that the program finds it
    assert run(live, "knows", 8) == 1
    seen.update((number, 9) for number in range(100, 200))
    assert all((number, 9) in seen for number in range(100, 200))
    wrong = sum((number, 9) in seen for number in range(1000, 2000))
    assert wrong < 50  # it was made for ten times as many
    with pytest.raises(TypeMismatchError, match="map 'seen', value"):
        seen.add(5)


def test_a_bloom_filter_forgets_nothing_however_full() -> None:
    spec = MapSpec(name="b", type=MapType.BLOOM_FILTER, value_size=4, max_entries=10, extra=0)
    with spec.create() as bloom:
        assert isinstance(bloom, BloomFilter)
        assert bloom.hashes == 5
        values = [number.to_bytes(4, "little") for number in range(1000)]
        bloom.update(values)
        assert all(value in bloom for value in values)
    with pytest.raises(LoadError, match="map_extra must be 0 to 15, the number of hashes, not 16"):
        spec.copy(extra=16).create()
    with pytest.raises(LoadError, match="the key size must be 0 bytes"):
        spec.copy(key_size=4).create()


def test_they_are_opened_as_what_they_are(live: skep.Object) -> None:
    jobs = live.maps["jobs"]
    assert isinstance(jobs, Queue)
    with Map.from_id(jobs.id) as again:
        assert isinstance(again, Queue)
        jobs.push((1, 2))
        assert (again.peek().id, again.peek().kind) == (1, 2)  # the kernel keeps the types
    with Map.from_id(live.maps["seen"].id) as bloom:
        assert isinstance(bloom, BloomFilter)
        assert bloom.hashes == 3
        assert (7, 2) not in bloom
    with pytest.raises(TypeMismatchError, match="is a queue, which is a Queue, not a BloomFilter"):
        BloomFilter.from_id(live.maps["jobs"].id)


def test_a_bound_view_of_a_queue(live: skep.Object) -> None:
    class Job(skep.Record):
        id: int
        kind: int

    jobs = live.maps["jobs"]
    bound = jobs.bind(value=Job)
    assert isinstance(bound, Queue)
    bound.push(Job(id=3, kind=4))
    found = bound.peek()
    assert isinstance(found, Job)
    assert tuple(found) == (3, 4)
    key: Any = 0
    with pytest.raises(UnsupportedError, match="has no keys"):
        bound[key]
    assert bound.pop().kind == 4
    assert isinstance(jobs, Queue)
    assert jobs.pop(None) is None
