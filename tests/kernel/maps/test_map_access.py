"""Items one by one: create-only, update-only, locks, and what is said of every refusal."""

from __future__ import annotations

import errno
import itertools
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from needs import rounds

import skep
from skep.errors import (
    KeyPresentError,
    MapError,
    MapFullError,
    MissingKeyError,
    SkepError,
    TypeMismatchError,
    UnsupportedError,
)
from skep.kernel.constants import MapFlags, MapType, UpdateFlags
from skep.kernel.release import release
from skep.maps.map import Map
from skep.maps.spec import MapSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compiling import CompileBpf

ABSENT: Any = None

SOURCE = """// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct pair {
	struct bpf_spin_lock lock;
	__u32 left;
	__u32 right;
};

#define MAP(NAME, TYPE, VALUE, ENTRIES) \\
	struct { \\
		__uint(type, BPF_MAP_TYPE_##TYPE); \\
		__uint(max_entries, ENTRIES); \\
		__type(key, __u32); \\
		__type(value, VALUE); \\
	} NAME SEC(".maps")

MAP(pairs, HASH, struct pair, 8);
MAP(locked_array, ARRAY, struct pair, 2);
MAP(plain, HASH, __u64, 8);
MAP(lru, LRU_HASH, __u64, 8);
MAP(per_cpu, PERCPU_HASH, __u64, 8);
MAP(array, ARRAY, __u64, 4);

/* Changes both members under the lock, so that they are always equal. For packets: where programs
 * may sleep, as those for system calls may, Linux 6.1 takes no lock. */
SEC("tc")
int step(void *packet)
{
	__u32 key = 1;
	struct pair *pair;
	int i;

	pair = bpf_map_lookup_elem(&pairs, &key);
	if (!pair)
		return 1;
	for (i = 0; i < 1000; i++) {
		bpf_spin_lock(&pair->lock);
		pair->left++;
		pair->right++;
		bpf_spin_unlock(&pair->lock);
	}
	return 0;
}
"""


@pytest.fixture
def live(compile_bpf: CompileBpf) -> Iterator[skep.Object]:
    with skep.ObjectSpec.from_file(str(compile_bpf(SOURCE))).load() as loaded:
        yield loaded


def test_insert_is_for_new_keys_and_replace_for_old_ones(live: skep.Object) -> None:
    counts = live.maps["plain"]
    counts.insert(1, 0)
    assert counts[1] == 0
    with pytest.raises(KeyPresentError) as present:
        counts.insert(1, 5)
    assert isinstance(present.value, KeyError)
    assert present.value.message == "map 'plain' has key 1 already"
    assert (present.value.key, present.value.map) == (1, "plain")
    assert counts[1] == 0
    counts.replace(1, 7)
    assert counts[1] == 7
    with pytest.raises(MissingKeyError, match="map 'plain' has no key 2, so nothing was replaced"):
        counts.replace(2, 7)
    assert 2 not in counts
    counts.store(2, 9, flags=UpdateFlags.NOEXIST)
    assert counts[2] == 9


def test_every_index_of_an_array_is_there(live: skep.Object) -> None:
    array = live.maps["array"]
    with pytest.raises(KeyPresentError, match="'array' is an array: every index of it is there"):
        array.insert(1, 5)
    array.replace(1, 5)
    assert array[1] == 5
    for access in (lambda: array[4], lambda: array.replace(4, 1), lambda: array.store(4, 1)):
        with pytest.raises(MissingKeyError, match="map 'array' has 4 entries: no index 4"):
            access()
    with pytest.raises(UnsupportedError, match="entries of an array are always there, 1 cannot"):
        del array[1]
    with pytest.raises(UnsupportedError, match="store a zero instead"):
        array.pop(1)
    assert array[1] == 5


def test_setdefault_stores_once_and_returns_what_is_there(live: skep.Object) -> None:
    counts = live.maps["plain"]
    assert counts.setdefault(1, 5) == 5
    assert counts.setdefault(1, 6) == 5
    counts[2] = 0
    assert counts.setdefault(2, 6) == 0
    assert counts[2] == 0


def test_one_of_many_threads_inserts(live: skep.Object) -> None:
    counts = live.maps["plain"]
    for key in range(8):
        start = threading.Barrier(4)
        winners: list[int] = []
        seen: list[int] = []

        def insert(me: int, key: int = key, start: Any = start, winners: Any = winners) -> None:
            start.wait()
            try:
                counts.insert(key, me)
            except KeyPresentError:
                return
            winners.append(me)

        def default(me: int, key: int = key, seen: Any = seen) -> None:
            seen.append(counts.setdefault(key, me))

        for target in (insert, default):
            threads = [threading.Thread(target=target, args=(me,)) for me in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert winners == [counts[key]]
        assert seen == winners * 4


def test_of_many_threads_one_pops_each_key(live: skep.Object) -> None:
    counts = live.maps["plain"]
    for _ in range(50):
        counts.update({key: key * 10 for key in range(8)})
        got: list[int] = []

        def take(got: list[int] = got) -> None:
            for key in range(8):
                value = counts.pop(key, None)
                if value is not None:
                    got.append(value)

        threads = [threading.Thread(target=take) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(got) == [key * 10 for key in range(8)]


@pytest.mark.parametrize("name", ["pairs", "locked_array"])
def test_lock_reads_and_writes_a_value_with_a_lock(live: skep.Object, name: str) -> None:
    pairs = live.maps[name]
    pairs.store(1, {"left": 2, "right": 3}, lock=name == "locked_array")
    assert pairs.get(1, ABSENT, lock=True).left == 2
    pairs.replace(1, {"left": 4, "right": 5}, lock=True)
    found = pairs.get(1, ABSENT, lock=True)
    assert (found.left, found.right) == (4, 5)
    assert pairs.get(7, "none", lock=True) == "none"


def test_under_the_lock_both_members_belong_together(live: skep.Object) -> None:
    pairs, program = live.maps["pairs"], live.programs["step"]
    pairs[1] = {"left": 0, "right": 0}
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            assert program.test_run(data=bytes(64)).retval == 0

    thread = threading.Thread(target=run)
    thread.start()
    try:
        seen = set()
        for _ in range(2000):
            pair = pairs.get(1, ABSENT, lock=True)
            assert pair.left == pair.right
            seen.add(pair.left)
    finally:
        stop.set()
        thread.join()
    assert len(seen) > 1


@pytest.mark.parametrize("name", ["plain", "array", "per_cpu", "lru"])
def test_a_value_without_a_lock_is_said_to_have_none(live: skep.Object, name: str) -> None:
    map = live.maps[name]
    value: Any = map.get(1) or 0
    if name == "per_cpu":
        value = (0,) * map.cells.cpus
    accesses: list[Callable[[], object]] = [
        lambda: map.get(1, lock=True),
        lambda: map.store(1, value, lock=True),
    ]
    for access in accesses:
        with pytest.raises(MapError) as caught:
            access()
        assert caught.value.reason == "no-lock"
        assert caught.value.errno == errno.EINVAL
        assert f"map {name!r} ({map.type.name.lower()}): key 1 cannot be" in caught.value.message
        assert "with lock=True (BPF_F_LOCK) its value must have a lock" in caught.value.message


def test_a_full_map_says_how_much_room_it_has(live: skep.Object) -> None:
    counts = live.maps["plain"]
    counts.update(dict.fromkeys(range(8), 1))
    with pytest.raises(MapFullError) as caught:
        counts[8] = 1
    assert caught.value.message == (
        "map 'plain' (hash) is full: key 8 is new, and it has room for 8 entries"
    )
    assert "max_entries" in caught.value.hint
    assert "LRU_HASH" in caught.value.hint
    assert (caught.value.entries, caught.value.key, caught.value.errno) == (8, 8, errno.E2BIG)
    counts[7] = 2  # there is room for what is there already
    with pytest.raises(MapFullError, match=r"room for 8 entries \(0 keys were stored\)"):
        counts.update([9, 10], [1, 1])
    del counts[0]
    with pytest.raises(MapFullError, match=r"\(1 keys were stored\)") as caught:
        counts.update([9, 10], [1, 1])
    assert caught.value.evidence["done"] == 1
    with pytest.raises(MapFullError):
        counts.setdefault(11, 1)


@pytest.mark.parametrize("flags", [3, 8, 1 << 40])
def test_flags_that_are_none_are_named(live: skep.Object, flags: int) -> None:
    with pytest.raises(MapError, match=f"flags {flags:#x} are not ones that it takes") as caught:
        live.maps["plain"].store(1, 1, flags=flags)
    assert caught.value.reason == "flags"


def reads(map: Map) -> list[Callable[[], object]]:
    return [
        lambda: map[1],
        lambda: map.get(1),
        lambda: 1 in map,
        map.count,
        lambda: list(map),
        lambda: list(map.items()),
        map.read,
    ]


def writes(map: Map) -> list[Callable[[], object]]:
    return [
        lambda: map.store(1, 1),
        lambda: map.insert(2, 1),
        lambda: map.replace(1, 1),
        lambda: map.update([1], [1]),
        lambda: map.delete([1]),
        lambda: map.__delitem__(1),
    ]


def takes(map: Map) -> list[Callable[[], object]]:
    return [lambda: map.pop(1), map.drain, map.clear]


def test_a_read_only_descriptor_reads_and_says_why_it_does_not_write(live: skep.Object) -> None:
    live.maps["plain"][1] = 5
    with Map.from_id(live.maps["plain"].id, flags=MapFlags.RDONLY) as map:
        assert map[1] == 5
        for access in reads(map):
            access()
        for access in writes(map) + takes(map):
            with pytest.raises(MapError) as caught:
                access()
            assert caught.value.reason == "read-only"
            assert caught.value.errno == errno.EPERM
            assert "this descriptor of it may only read (BPF_F_RDONLY)" in str(caught.value)
            assert str(caught.value).startswith("map 'plain' (hash): ")
            assert "Map.from_pin(path)" in caught.value.hint
        assert map[1] == 5


def test_a_write_only_descriptor_writes_and_says_why_it_does_not_read(live: skep.Object) -> None:
    with Map.from_id(live.maps["plain"].id, flags=MapFlags.WRONLY) as map:
        map[1] = 5
        for access in reads(map) + takes(map):
            with pytest.raises(MapError) as caught:
                access()
            assert caught.value.reason == "write-only"
            assert "this descriptor of it may only write (BPF_F_WRONLY)" in str(caught.value)
        del map[1]
    assert 1 not in live.maps["plain"]


def test_a_map_created_read_only_says_so() -> None:
    spec = MapSpec(
        name="constants",
        type=MapType.HASH,
        key_size=4,
        value_size=4,
        max_entries=1,
        flags=MapFlags.RDONLY,
    )
    with spec.create() as map, pytest.raises(MapError) as caught:
        map[bytes(4)] = bytes(4)
    assert caught.value.reason == "read-only"


def test_a_frozen_map_is_read_and_not_written(live: skep.Object) -> None:
    map = live.maps["plain"]
    map[1] = 5
    assert not map.frozen
    map.freeze()
    assert map.frozen
    for access in reads(map):
        access()
    for access in writes(map) + takes(map):
        with pytest.raises(MapError) as caught:
            access()
        assert caught.value.reason == "frozen"
        assert "it is frozen, so user space may not write it" in str(caught.value)
    with pytest.raises(MapError, match="cannot be frozen: it is frozen already") as caught:
        map.freeze()
    with Map.from_id(map.id) as again:
        assert again.frozen
        with pytest.raises(MapError, match="it is frozen, so user space"):
            again[1] = 6
    assert map[1] == 5


def test_a_map_that_may_only_be_read_cannot_be_frozen(live: skep.Object) -> None:
    with Map.from_id(live.maps["plain"].id, flags=MapFlags.RDONLY) as map:
        if release()[:2] < (6, 12):  # older kernels do not mind
            map.freeze()
            assert live.maps["plain"].frozen
            return
        with pytest.raises(MapError, match="cannot be frozen: this descriptor of it may only"):
            map.freeze()
        assert not live.maps["plain"].frozen


def test_freezing_gives_up_the_own_pages_and_waits_for_no_other_s() -> None:
    spec = MapSpec(
        name="settings",
        type=MapType.ARRAY,
        key_size=4,
        value_size=8,
        max_entries=4,
        flags=MapFlags.MMAPABLE,
    )
    with spec.create() as map:
        memory = map.memory()
        assert memory is not None
        view = memory.view
        del memory
        with pytest.raises(MapError, match="some process has it mapped for writing") as caught:
            map.freeze()
        assert caught.value.errno == errno.EBUSY
        view.release()
        map.freeze()
        again = map.memory()
        assert again is not None
        assert again.view.readonly


def test_frozen_memory_of_another_is_mapped_for_reading() -> None:
    spec = MapSpec(
        name="settings",
        type=MapType.ARRAY,
        key_size=4,
        value_size=8,
        max_entries=4,
        flags=MapFlags.MMAPABLE,
    )
    with spec.create() as map:
        map[1] = b"12345678"
        map.freeze()
        with Map.from_id(map.id) as again:
            memory = again.memory()
            assert memory is not None
            assert memory.view.readonly
            assert bytes(memory.view[8:16]) == b"12345678"
        with Map.from_id(map.id, flags=MapFlags.WRONLY) as blind:
            assert blind.memory() is None


# Stores and removes keys 0 to 4 999 for ever, half of them at a time.
WRITER = """
import sys
from skep.kernel import bpf
from skep.maps.map import Map
with Map.from_id(int(sys.argv[1])) as map:
    prefix = (32).to_bytes(4, "little") if map.spec.key_size == 8 else b""
    value = bytes(map.cells.value.size)
    number = 0
    while True:
        number += 1
        if number == 2500:
            print("ready", flush=True)
        bpf.map_update(map.fd, prefix + (number % 5000).to_bytes(4, "big"), value)
        bpf.map_delete(map.fd, prefix + ((number + 2500) % 5000).to_bytes(4, "big"))
"""


@pytest.mark.parametrize(
    ("type", "key_size", "flags"),
    [
        (MapType.HASH, 4, 0),
        (MapType.LRU_HASH, 4, 0),
        (MapType.PERCPU_HASH, 4, 0),
        (MapType.LPM_TRIE, 8, int(MapFlags.NO_PREALLOC)),
    ],
)
def test_walks_end_while_another_process_changes_the_map(
    type: MapType, key_size: int, flags: int
) -> None:
    spec = MapSpec(
        name="busy", type=type, key_size=key_size, value_size=8, max_entries=6000, flags=flags
    )
    with spec.create() as map:
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(map.id)], stdout=subprocess.PIPE, text=True
        )
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            try:
                seen = set()
                for turn in range(20):
                    keys = list(itertools.islice(map, 100_000))
                    assert len(set(keys)) == len(keys) < 100_000
                    seen.add(frozenset(keys))
                    assert len(list(itertools.islice(map.items(), 100_000))) < 100_000
                    assert map.count() < 100_000
                    if turn >= rounds(20) and len(seen) > 1:
                        break
                assert len(seen) > 1  # it did change
                map.clear()
            finally:
                child.kill()


def test_a_wrong_key_or_value_is_no_matter_of_the_kernel(live: skep.Object) -> None:
    counts = live.maps["plain"]
    with pytest.raises(TypeMismatchError, match="map 'plain', key: "):
        counts.get("one", lock=True)
    for store in (counts.insert, counts.replace, counts.store, counts.setdefault):
        with pytest.raises(SkepError, match="map 'plain', value: "):
            store(1, "one")
        with pytest.raises(SkepError, match="map 'plain', key: "):
            store(1 << 40, 1)
