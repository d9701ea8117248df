"""Maps of maps: inner maps opened, stored, replaced under a running program, and refused."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import skep
from skep.errors import (
    ClosedError,
    KeyPresentError,
    LoadError,
    MissingKeyError,
    RangeError,
    TypeMismatchError,
    UnsupportedError,
)
from skep.kernel.constants import MapFlags, MapType
from skep.maps import ArrayMap, Map, MapOfMaps, MapSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiling import CompileBpf

SOURCE = """// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct hits { __u64 count; __u32 last; };

struct window {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct hits);
} first SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 3);
	__type(key, __u32);
	__array(values, struct window);
} windows SEC(".maps") = { .values = { [1] = &first } };

struct tenant { char name[8]; };

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 8);
	__type(key, struct tenant);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_HASH);
		__uint(max_entries, 100);
		__type(key, __u32);
		__type(value, __u64);
	});
} tenants SEC(".maps");

SEC("socket") int hit(struct __sk_buff *skb)
{
	__u32 one = 1, zero = 0;
	void *window = bpf_map_lookup_elem(&windows, &one);
	struct hits *hits = window ? bpf_map_lookup_elem(window, &zero) : 0;

	if (!hits)
		return 0;
	__sync_fetch_and_add(&hits->count, 1);
	hits->last = 7;
	return 1;
}
"""
INNER = MapSpec(name="inner", type=MapType.ARRAY, key_size=4, value_size=8, max_entries=2)
KINDS = [MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS]


@pytest.fixture
def live(compile_bpf: CompileBpf) -> Iterator[skep.Object]:
    with skep.ObjectSpec.from_file(compile_bpf(SOURCE)).load() as live:
        yield live


def outer(kind: MapType = MapType.ARRAY_OF_MAPS, inner: MapSpec = INNER) -> MapOfMaps[Any]:
    spec = MapSpec(name="outer", type=kind, key_size=4, value_size=4, max_entries=4, inner=inner)
    made = spec.create()
    assert isinstance(made, MapOfMaps)
    return made


def key_of(kind: MapType, number: int) -> Any:
    return number if kind == MapType.ARRAY_OF_MAPS else number.to_bytes(4, "little")


def test_the_inner_map_is_opened_with_its_types(live: skep.Object) -> None:
    windows = live.maps["windows"]
    assert isinstance(windows, MapOfMaps)
    assert live.programs["hit"].test_run(repeat=5).retval == 1
    with windows[1] as inner:
        assert isinstance(inner, ArrayMap)
        assert (inner[0].count, inner[0].last) == (5, 7)
        assert inner.id == live.maps["first"].id
        assert inner.fileno() != live.maps["first"].fileno()
        inner[1] = (3, 4)
    assert inner.closed
    assert live.maps["first"][1].count == 3  # the map itself lives on
    with windows.get(1) as inner:
        assert inner[0].count == 5
    with pytest.raises(MissingKeyError, match="map 'windows' has nothing at 0"):
        windows[0]
    with pytest.raises(MissingKeyError, match="map 'windows' has 3 entries: no index 9"):
        windows[9]
    assert windows.get(0) is None
    assert (0 in windows, 1 in windows) == (False, True)
    assert (list(windows), windows.count()) == ([1], 1)


def test_ids_are_read_without_opening(live: skep.Object) -> None:
    windows, id = live.maps["windows"], live.maps["first"].id
    assert isinstance(windows, MapOfMaps)
    assert windows.id_of(1) == id
    assert windows.ids() == {1: id}
    with pytest.raises(MissingKeyError):
        windows.id_of(0)
    keys, ids = windows.read()
    assert (keys.tolist(), ids.tolist()) == ([1], [id])


def test_walking_opens_one_after_the_other(live: skep.Object) -> None:
    tenants = live.maps["tenants"]
    inner = live.spec.maps["tenants"].inner
    assert inner is not None
    for name, count in (("red", 1), ("green", 2)):
        with inner.copy(name=name).create() as each:
            each[7] = count
            tenants[{"name": name}] = each
    found = {key.name: dict(each.items()) for key, each in tenants.items()}
    assert found == {"red": {7: 1}, "green": {7: 2}}
    assert sorted(each.name for each in tenants.values()) == ["green", "red"]
    kept = [each for _, each in tenants.items()]
    assert all(each.closed for each in kept)
    with pytest.raises(ClosedError):
        kept[0].count()
    for each in tenants.values():
        assert each.count() == 1
        break  # and what was open is closed
    with tenants.pop({"name": "red"}) as red:
        assert red[7] == 1
    assert [key.name for key in tenants] == ["green"]
    tenants.clear()
    assert not tenants.count()


@pytest.mark.parametrize("kind", KINDS)
def test_stored_replaced_and_removed(kind: MapType) -> None:
    one, two = key_of(kind, 1), key_of(kind, 2)
    with outer(kind) as made, INNER.create() as a, INNER.copy(name="b").create() as b:
        made[one] = a
        made[one] = b
        made[two] = a.fileno()
        assert made.ids() == {one: b.id, two: a.id}
        made.update([one, two], [a, b])
        assert made.ids() == {one: a.id, two: b.id}
        del made[one]
        assert made.get(one) is None
        with pytest.raises(MissingKeyError):
            del made[one]
        with pytest.raises(MissingKeyError):
            made.pop(one)
        assert made.pop(one, 5) == 5
        a.close()
        with made.pop(two) as last:
            assert last.id == b.id
        assert made.ids() == {}


def test_insert_and_replace() -> None:
    with outer(MapType.HASH_OF_MAPS) as made, INNER.create() as a, INNER.create() as b:
        key = b"abcd"
        with pytest.raises(MissingKeyError):
            made.replace(key, a)
        made.insert(key, a)
        with pytest.raises(KeyPresentError):
            made.insert(key, b)
        made.replace(key, b)
        assert made.id_of(key) == b.id
    with outer() as made, INNER.create() as a:
        for store in (made.insert, made.replace):
            with pytest.raises(
                UnsupportedError, match=r"neither insert.. nor replace.. can be had"
            ):
                store(1, a)
        assert made.ids() == {}


def test_swapped_while_a_program_uses_it(live: skep.Object) -> None:
    """Nothing is lost: after the swap nobody writes to the former map any more."""
    windows, inner = live.maps["windows"], live.spec.maps["windows"].inner
    assert inner is not None
    size, done, stop = 50, [0, 0], threading.Event()

    def work(number: int) -> None:
        while not stop.is_set():
            assert live.programs["hit"].test_run(repeat=size).retval == 1
            done[number] += size

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    total = busy = 0
    try:
        while busy < 10:
            with inner.create() as fresh, windows[1] as former:
                windows[1] = fresh
                counted = former[0].count
                total += counted
                busy += counted > 0
                assert former[0].count == counted
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    with windows[1] as last:
        total += last[0].count
    # The counter is atomic, so every run is in exactly one of the windows.
    assert total == sum(done) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_another_shape_is_refused_with_every_difference(kind: MapType) -> None:
    key = key_of(kind, 1)
    large = MapSpec(
        name="large",
        type=MapType.HASH,
        key_size=8,
        value_size=16,
        max_entries=3,
        flags=MapFlags.NO_PREALLOC,
    )
    with outer(kind) as made, large.create() as wrong, INNER.create() as right:
        with pytest.raises(TypeMismatchError) as caught:
            made[key] = wrong
        assert str(caught.value) == (
            f"map 'outer' ({kind.name.lower()}) does not take map 'large': type hash, expected"
            " array; key size 8, expected 4; value size 16, expected 8; flags NO_PREALLOC,"
            " expected none; max_entries 3, expected 2"
            " (create it from the spec's `inner`: outer.spec.inner.copy(name=...).create())"
        )
        assert caught.value.evidence["differences"] == [
            ("type", "array", "hash"),
            ("key size", "4", "8"),
            ("value size", "8", "16"),
            ("flags", "none", "NO_PREALLOC"),
            ("max_entries", "2", "3"),
        ]
        with INNER.copy(max_entries=3).create() as longer:
            with pytest.raises(TypeMismatchError, match="'inner': max_entries 3, expected 2 ") as e:
                made[key] = longer
            assert "BPF_F_INNER_MAP" in e.value.hint
        with INNER.copy(flags=MapFlags.RDONLY).create() as read_only:
            made[key] = read_only  # how it was opened is no part of its shape
        with Map.from_id(made.id) as again:  # which does not know the shape
            made[key] = right
            assert isinstance(again, MapOfMaps)
            with pytest.raises(TypeMismatchError, match="'large': type hash, expected array; key"):
                again[key] = wrong


def test_inner_arrays_of_any_length() -> None:
    inner = INNER.copy(flags=MapFlags.INNER_MAP)
    with outer(inner=inner) as made, inner.copy(max_entries=50).create() as longer:
        made[0] = longer
        with made[0] as opened:
            assert isinstance(opened, ArrayMap)
            assert len(opened) == 50
        with (
            INNER.create() as wrong,
            pytest.raises(TypeMismatchError, match="flags none, expected INNER_MAP "),
        ):
            made[0] = wrong


def test_what_is_no_map() -> None:
    with outer() as made, INNER.create() as inner:
        for wrong, words in (
            ("inner", "map 'outer', value: expected a map or its descriptor, not str 'inner'"),
            (None, "map 'outer', value: expected a map or its descriptor, not NoneType None"),
            (1 << 20, "takes a map, and descriptor 1048576 is none"),
        ):
            with pytest.raises(TypeMismatchError, match=words):
                made[0] = wrong
        with open("/dev/null", "rb") as file, pytest.raises(TypeMismatchError, match="takes a map"):
            made[0] = file
        with pytest.raises(RangeError, match="'outer', value: -1 is not the number of a desc"):
            made[0] = -1
        with pytest.raises(MissingKeyError, match="has 4 entries: no index 4"):
            made[4] = inner
        inner.close()
        with pytest.raises(ClosedError, match="map 'inner' is closed"):
            made[0] = inner


def test_what_cannot_be_an_inner_map() -> None:
    for inner in (
        MapSpec(name="jumps", type=MapType.PROG_ARRAY, key_size=4, value_size=4, max_entries=1),
        MapSpec(
            name="deep",
            type=MapType.ARRAY_OF_MAPS,
            key_size=4,
            value_size=4,
            max_entries=1,
            inner=INNER,
        ),
    ):
        with pytest.raises(LoadError, match="the type of inner must be neither a map of maps nor"):
            outer(inner=inner)
    spec = MapSpec(name="empty", type=MapType.HASH_OF_MAPS, key_size=4, max_entries=1)
    with pytest.raises(LoadError, match="inner must be a MapSpec of the shape of the maps it hol"):
        spec.create()


def test_sizes_that_can_only_be_one_may_be_left_out() -> None:
    spec = MapSpec(name="outer", type=MapType.ARRAY_OF_MAPS, max_entries=2, inner=INNER)
    with spec.create() as made, INNER.create() as inner:
        made[1] = inner
        assert made.info.key_size == made.info.value_size == 4
