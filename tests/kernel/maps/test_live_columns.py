"""Columns of live maps: batches that fail half-way, halves, many maps at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import skep
from skep.errors import (
    ClosedError,
    KernelError,
    KeyPresentError,
    MapFullError,
    RangeError,
    TypeMismatchError,
    UnsupportedError,
)
from skep.kernel.constants import MapType, UpdateFlags
from skep.kernel.cpus import possible_cpus
from skep.maps import dump
from skep.maps.many import read_all
from skep.maps.spec import MapSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiling import CompileBpf

CPUS = possible_cpus()

SOURCE = """// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct value { __u64 count; __be16 port; __u32 pid; };
struct bits { __u32 low : 3, high : 13; };
struct locked { struct bpf_spin_lock lock; __u32 a; __u64 b; };

#define MAP(NAME, TYPE, KEY, VALUE, ENTRIES) \\
	struct { \\
		__uint(type, BPF_MAP_TYPE_##TYPE); \\
		__uint(max_entries, ENTRIES); \\
		__type(key, KEY); \\
		__type(value, VALUE); \\
	} NAME SEC(".maps")

MAP(structs, HASH, __u32, struct bits, 100);
MAP(numbers, HASH, __u32, __u64, 100);
MAP(lru, LRU_HASH, __u32, __u64, 100);
MAP(per_cpu, PERCPU_HASH, __u32, struct value, 100);
MAP(lru_per_cpu, LRU_PERCPU_HASH, __u32, __u32, 100);
MAP(array, ARRAY, __u32, __u16, 10);
MAP(per_cpu_array, PERCPU_ARRAY, __u32, __u64, 10);
MAP(locked, HASH, __u32, struct locked, 100);
"""


@pytest.fixture
def live(compile_bpf: CompileBpf) -> Iterator[skep.Object]:
    with skep.ObjectSpec.from_file(str(compile_bpf(SOURCE))).load() as loaded:
        yield loaded


VALUE = {"count": 7, "port": 443, "pid": 9}


# Batches


def test_a_batch_that_stops_says_where(live: skep.Object) -> None:
    numbers = live.maps["numbers"]
    with pytest.raises(MapFullError, match="100 rows of 150 are stored, row 100") as full:
        numbers.update(range(150), range(150))
    assert full.value.evidence["done"] == full.value.evidence["row"] == numbers.count() == 100
    assert full.value.evidence["key"] == 100
    numbers.clear()
    numbers[7] = 70
    with pytest.raises(KeyPresentError, match="7 rows of 10 are stored, row 7") as present:
        numbers.update(np.arange(10, dtype="u4"), range(10), flags=UpdateFlags.NOEXIST)
    assert present.value.evidence["done"] == 7
    assert (numbers.count(), numbers[7]) == (8, 70)
    numbers.update(range(8), range(8), flags=UpdateFlags.EXIST)
    assert sorted(numbers.read()[1].tolist()) == list(range(8))
    with pytest.raises(KeyError, match="0 rows of 2 are stored, row 0"):
        numbers.update([50, 51], [1, 2], flags=UpdateFlags.EXIST)


def test_nothing_is_stored_when_a_row_does_not_fit(live: skep.Object) -> None:
    numbers = live.maps["numbers"]
    with pytest.raises(RangeError, match=r"'numbers', values\[1\]: -1 does not fit") as wrong:
        numbers.update([1, 2], [1, -1])
    assert wrong.value.evidence["row"] == 1
    with pytest.raises(TypeMismatchError, match="values are float64, expected uint64"):
        numbers.update([1, 2], np.array([1.0, 2.0]))
    assert numbers.count() == 0


def test_locked_values_are_read_and_written_under_their_lock(live: skep.Object) -> None:
    locked = live.maps["locked"]
    locked.update([1, 2], [{"a": 1, "b": 10}, {"a": 2, "b": 20}])
    locked.update([1, 2], [{"a": 3, "b": 30}, {"a": 4, "b": 40}], lock=True)
    keys, values = locked.read(lock=True)
    assert sorted(zip(keys.tolist(), values["a"].tolist(), strict=True)) == [(1, 3), (2, 4)]
    live.maps["numbers"][1] = 1
    with pytest.raises(KernelError, match=r"an entry cannot be .* its value must have a lock"):
        live.maps["numbers"].read(lock=True)
    with pytest.raises(KernelError, match=r"key 1 cannot be .* its value must have a lock"):
        live.maps["numbers"].update([1], [1], lock=True)


@pytest.mark.parametrize("name", ["numbers", "lru", "per_cpu", "lru_per_cpu", "locked"])
def test_every_hash_drains(live: skep.Object, name: str) -> None:
    counts = live.maps[name]
    value: Any = 5
    if name == "per_cpu":
        value = [VALUE] * CPUS
    elif name == "lru_per_cpu":
        value = [5] * CPUS
    elif name == "locked":
        value = {"a": 1, "b": 2}
    for key in range(50):
        counts[key] = value
    keys, values = counts.drain()
    assert sorted(keys.tolist()) == list(range(50))
    assert len(values) == 50
    assert counts.count() == 0


def test_values_of_every_cpu_are_stored_from_an_array(live: skep.Object) -> None:
    counts = live.maps["lru_per_cpu"]
    given = np.arange(3 * CPUS, dtype=np.uint32).reshape(3, CPUS)
    counts.update([1, 2, 3], given)
    keys, values = counts.read()
    assert values[np.argsort(keys)].tolist() == given.tolist()
    with pytest.raises(TypeMismatchError, match="values have shape"):
        counts.update([1, 2, 3], given.reshape(CPUS, 3)[:, :2] if CPUS == 3 else given.T)
    assert len(counts.drain()[0]) == 3


# Both halves of a large hash


@pytest.mark.parametrize("kind", [MapType.HASH, MapType.LRU_HASH, MapType.PERCPU_HASH])
@pytest.mark.parametrize(("entries", "rows"), [(65536, 65536), (200_000, 30_000), (9000, 8999)])
def test_both_halves_make_the_whole(
    kind: MapType, entries: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a machine with one processor there is nothing to gain, but nothing wrong either.
    monkeypatch.setattr(dump, "processors", lambda: 2)
    spec = MapSpec(name="m", type=kind, key_size=8, value_size=8, max_entries=entries)
    with spec.create() as counts:
        keys = np.arange(rows, dtype="u8").view("V8")
        values = np.repeat(keys[:, None], CPUS, axis=1) if kind == MapType.PERCPU_HASH else keys
        counts.update(keys, values)
        stored = counts.count()
        assert stored == rows or kind == MapType.LRU_HASH
        for read in (counts.read, counts.drain):
            found, value = read()
            numbers = found.view("u8")
            assert len(numbers) == len(np.unique(numbers)) == stored
            last = np.ascontiguousarray(value.reshape(stored, -1)[:, -1]).view("u8")
            assert (last == numbers).all()
        assert counts.count() == 0


def test_no_row_is_read_twice_while_others_change_the_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump, "processors", lambda: 2)
    spec = MapSpec(name="m", type=MapType.HASH, key_size=8, value_size=8, max_entries=40_000)
    stop = threading.Event()
    with spec.create() as counts:
        keys = np.arange(30_000, dtype="u8").view("V8")
        counts.update(keys, keys)

        def churn() -> None:
            at = 15_000
            while not stop.is_set():
                part = keys[at : at + 500]
                counts.delete(part)
                counts.update(part, part)
                at = 15_000 + (at - 14_500) % 15_000

        thread = threading.Thread(target=churn)
        thread.start()
        try:
            for _ in range(20):
                found = np.sort(counts.read()[0].view("u8"))
                assert (found[1:] != found[:-1]).all()
                assert (found[:15_000] == np.arange(15_000)).all()
        finally:
            stop.set()
            thread.join()


def test_rows_past_the_middle_are_dropped_when_the_other_half_has_them() -> None:
    spec = MapSpec(name="m", type=MapType.HASH, key_size=4, value_size=2, max_entries=8)
    with spec.create() as counts:
        first, second = dump.Rows(counts.geometry, 8), dump.Rows(counts.geometry, 8)
    first.keys[:16] = np.frombuffer(b"aaaabbbbccccdddd", np.uint8)
    first.values[:8] = np.frombuffer(b"11223344", np.uint8)
    first.count = 4
    second.keys[:12] = np.frombuffer(b"xdddbbbbcccc", np.uint8)
    second.count = 3
    first.drop_known(1, second)
    assert first.count == 2
    assert first.keys[:8].tobytes() == b"aaaadddd"
    assert first.values[:4].tobytes() == b"1144"


def test_many_maps_are_read_in_their_order(live: skep.Object) -> None:
    names = ["numbers", "lru", "array"]
    live.maps["numbers"][1] = 10
    live.maps["lru"][2] = 20
    found = read_all([live.maps[name] for name in names] * 5)
    assert len(found) == 15
    for at in range(0, 15, 3):
        assert [found[at][1].tolist(), found[at + 1][1].tolist()] == [[10], [20]]
        assert len(found[at + 2][0]) == 10
    assert read_all([]) == []
    with pytest.raises(UnsupportedError, match="bit-field"):
        read_all([live.maps["numbers"], live.maps["structs"]])
    live.maps["lru"].close()
    with pytest.raises(ClosedError, match="lru"):
        read_all([live.maps[name] for name in names])
