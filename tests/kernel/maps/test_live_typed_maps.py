"""Maps in the kernel: every kind, typed and untyped, items, iteration, columns, lifetime."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from needs import need

import skep
from skep.errors import (
    ClosedError,
    KernelError,
    KeyPresentError,
    LoadError,
    MissingKeyError,
    RangeError,
    TypeMismatchError,
    UnsupportedError,
)
from skep.kernel.constants import MapFlags, MapType, UpdateFlags
from skep.kernel.cpus import possible_cpus
from skep.kernel.syscall import page_size
from skep.maps import batch
from skep.maps.dump import dump
from skep.maps.map import Map
from skep.maps.spec import MapSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from compiling import CompileBpf

SOURCE = """// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct key {
	__u32 pid;
	char comm[16];
	__u8 flag; /* three bytes of padding follow */
};

struct value {
	__u64 count;
	__s32 delta;
	__u16 ports[3];
};

#define MAP(NAME, TYPE, KEY, VALUE, ENTRIES) \\
	struct { \\
		__uint(type, BPF_MAP_TYPE_##TYPE); \\
		__uint(max_entries, ENTRIES); \\
		__type(key, KEY); \\
		__type(value, VALUE); \\
	} NAME SEC(".maps")

MAP(hash, HASH, struct key, struct value, 1000);
MAP(lru, LRU_HASH, __u32, __u64, 1000);
MAP(per_cpu, PERCPU_HASH, __u32, struct value, 1000);
MAP(lru_per_cpu, LRU_PERCPU_HASH, __u32, __u32, 1000);
MAP(array, ARRAY, __u32, struct value, 100);
MAP(per_cpu_array, PERCPU_ARRAY, __u32, __u32, 100);
MAP(scalars, HASH, __u32, __u64, 100000);

struct slots {
	__u64 slots[32];
};
MAP(histogram, PERCPU_ARRAY, __u32, struct slots, 1);

__u64 total = 5;
__s16 small = -3;
char label[8] = "abc";
const volatile __u32 limit = 77;
__u32 zero;

static long count_one(__u32 index, void *context)
{
	__u32 key = index;
	__u64 value = index * 10ULL;
	struct slots *slots;
	__u32 first = 0;

	bpf_map_update_elem(&scalars, &key, &value, BPF_ANY);
	slots = bpf_map_lookup_elem(&histogram, &first);
	if (slots)
		slots->slots[index & 31]++;
	return 0;
}

SEC("syscall")
int fill(__u32 *count)
{
	struct key key = { .pid = 42, .comm = "writer", .flag = 1 };
	struct value value = { .count = 7, .delta = -7, .ports = { 1, 2, 3 } };

	__builtin_memset(&key, 0, sizeof(key));
	key.pid = 42;
	__builtin_memcpy(key.comm, "writer", 6);
	key.flag = 1;
	bpf_map_update_elem(&hash, &key, &value, BPF_ANY);
	bpf_loop(*count, count_one, 0, 0);
	total += *count + limit;
	small--;
	return 0;
}
"""


@pytest.fixture
def live(compile_bpf: CompileBpf) -> Iterator[skep.Object]:
    with skep.ObjectSpec.from_file(str(compile_bpf(SOURCE))).load() as loaded:
        yield loaded


def fill(live: skep.Object, count: int) -> None:
    live.programs["fill"].test_run(ctx=count.to_bytes(4, "little"))


def test_structs_written_by_bpf_are_found_by_value(live: skep.Object) -> None:
    counts = live.maps["hash"]
    fill(live, 0)
    value = counts[{"pid": 42, "comm": "writer", "flag": 1}]
    assert (value.count, value.delta, value.ports) == (7, -7, (1, 2, 3))
    assert counts[42, "writer", 1] == value
    (key,) = counts
    assert counts[key] == value
    keys, values = counts.read()
    assert keys["comm"].tolist() == [b"writer"]
    assert values["ports"].tolist() == [[1, 2, 3]]


def test_missing_is_a_key_error_and_a_stored_zero_is_a_value(live: skep.Object) -> None:
    counts = live.maps["lru"]
    with pytest.raises(KeyError) as caught:
        counts[1]
    assert isinstance(caught.value, MissingKeyError)
    assert (caught.value.key, caught.value.map) == (1, "lru")
    assert str(caught.value) == "map 'lru' has no key 1"
    assert counts.get(1) is None
    assert counts.get(1, "none") == "none"
    assert 1 not in counts
    counts[1] = 0
    assert counts[1] == 0
    assert counts.get(1, "none") == 0
    assert 1 in counts
    del counts[1]
    with pytest.raises(MissingKeyError):
        del counts[1]
    with pytest.raises(MissingKeyError):
        counts.pop(1)
    assert counts.pop(1, 9) == 9
    counts[1] = 3
    assert counts.pop(1) == 3
    assert 1 not in counts


VALUES: dict[str, Any] = {
    "lru": 2**63,
    "per_cpu": tuple((cpu, -cpu, (1, 2, 3)) for cpu in range(possible_cpus())),
    "lru_per_cpu": tuple(range(possible_cpus())),
    "array": (1, -2, (3, 4, 5)),
    "per_cpu_array": tuple(range(7, 7 + possible_cpus())),
}


@pytest.mark.parametrize("name", VALUES)
def test_every_kind_gives_back_what_was_stored(live: skep.Object, name: str) -> None:
    counts, value = live.maps[name], VALUES[name]
    per_cpu = "per_cpu" in name
    array = "array" in name
    for key in (3, 5, 7):
        counts[key] = value
    assert counts[5] == value
    assert sorted(counts)[:4] == ([0, 1, 2, 3] if array else [3, 5, 7])
    assert counts.count() == (100 if array else 3)
    stored = {key: one for key, one in counts.items() if key in (3, 5, 7)}
    assert stored == dict.fromkeys((3, 5, 7), value)
    assert sum(one == value for one in counts.values()) == 3
    keys, values = counts.read()
    assert keys.dtype == np.uint32
    rows = len(keys)
    assert rows == (100 if array else 3)
    assert values.shape == ((rows, possible_cpus()) if per_cpu else (rows,))
    row = values[keys.tolist().index(5)]
    if row.dtype.names:
        first = row[0] if per_cpu else row
        expected = value[0] if per_cpu else value
        assert (int(first["count"]), int(first["delta"])) == expected[:2]
        assert first["ports"].tolist() == list(expected[2])
    else:
        assert row.tolist() == (list(value) if per_cpu else value)
    counts.clear()
    if array:
        assert counts.count() == 100
        assert not any(counts.read()[1].tobytes())
    else:
        assert counts.count() == 0
        assert list(counts) == []


def test_columns_of_an_empty_map_have_their_shape(live: skep.Object) -> None:
    for name in ("hash", "per_cpu", "lru"):
        keys, values = live.maps[name].read()
        assert len(keys) == len(values) == 0
        assert keys.dtype == live.maps[name].cells.key_dtype
        assert values.dtype == live.maps[name].cells.value_dtype
    assert values.shape == (0,)
    assert live.maps["per_cpu"].read()[1].shape == (0, possible_cpus())


def test_columns_hold_every_entry_once(live: skep.Object) -> None:
    fill(live, 50_000)
    keys, values = live.maps["scalars"].read()
    order = np.argsort(keys)
    assert keys[order].tolist() == list(range(50_000))
    assert values[order].tolist() == [index * 10 for index in range(50_000)]
    slots = live.maps["histogram"].read()[1]["slots"]
    assert slots.shape == (1, possible_cpus(), 32)
    expected = np.bincount(np.arange(50_000) & 31)
    assert slots.sum(axis=(0, 1)).tolist() == expected.tolist()


def test_a_full_map_is_read_whole(live: skep.Object) -> None:
    counts = live.maps["scalars"]
    keys = np.arange(100_000, dtype=np.uint32)
    counts.update(keys, keys.astype(np.uint64) * 3)
    read, values = counts.read()
    assert np.array_equal(np.sort(read), keys)
    assert np.array_equal(values, read.astype(np.uint64) * 3)
    with pytest.raises(
        KernelError, match=r"is full: key 100000 is new, and it has room for 100000"
    ):
        counts[100_000] = 1


def test_drain_leaves_nothing(live: skep.Object) -> None:
    counts = live.maps["scalars"]
    counts.update(range(1000), range(1000))
    keys, values = counts.drain()
    assert sorted(keys.tolist()) == list(range(1000))
    assert (keys == values).all()
    assert counts.count() == 0
    assert len(counts.drain()[0]) == 0
    with pytest.raises(UnsupportedError, match="it is an array"):
        live.maps["array"].drain()


def test_update_takes_columns_iterables_and_mappings(live: skep.Object) -> None:
    counts = live.maps["lru"]
    counts.update({1: 10, 2: 20})
    counts.update([3], np.array([30]))
    assert dict(counts.items()) == {1: 10, 2: 20, 3: 30}
    with pytest.raises(KeyPresentError, match="map 'lru' has key 3 already"):
        counts.update([3], [31], flags=UpdateFlags.NOEXIST)
    with pytest.raises(TypeMismatchError, match="2 keys and 1 values"):
        counts.update([1, 2], [1])
    with pytest.raises(RangeError):
        counts.update([1], [2**64])
    counts.update([], [])
    assert counts[3] == 30


@pytest.mark.parametrize("kind", ["array", "column"])
def test_delete_removes_those_that_exist(live: skep.Object, kind: str) -> None:
    counts = live.maps["lru"]
    counts.update(range(10), range(10))
    keys: Any = [77, 1, 78, 79, 3, 5, 80]
    assert counts.delete(np.array(keys) if kind == "column" else keys) == 3
    assert sorted(counts) == [0, 2, 4, 6, 7, 8, 9]
    assert counts.delete([]) == 0


def test_the_key_in_hand_may_be_deleted(live: skep.Object) -> None:
    counts = live.maps["scalars"]
    counts.update(range(500), range(500))
    seen = []
    for key in counts:
        seen.append(key)
        del counts[key]
    assert sorted(seen) == list(range(500))
    counts.update(range(500), range(500))
    walked = [int.from_bytes(key, "little") for key in _walk_deleting(counts)]
    assert sorted(walked) == list(range(500))


def _walk_deleting(counts: Map) -> Iterator[bytes]:
    for key in batch.walk(counts.geometry):
        yield key
        del counts[int.from_bytes(key, "little")]


def test_a_walk_ends_and_repeats_nothing_while_the_map_changes(live: skep.Object) -> None:
    counts = live.maps["scalars"]
    counts.update(range(800), range(800))
    stop = threading.Event()

    def churn() -> None:
        at = 400
        while not stop.is_set():
            counts.delete(range(at, at + 20))
            counts.update(range(at, at + 20), range(20))
            at = 400 + (at - 380) % 400

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(20):
            keys = list(batch.walk(counts.geometry))
            assert len(keys) == len(set(keys))
        for _ in range(20):
            read = counts.read()[0].tolist()
            assert set(range(400)) <= set(read)
            assert len(set(read)) == len(read)
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("rows", [0, 1, 63, 64, 65, 4095, 4096, 4097, 5000])
def test_batches_end_where_the_map_ends(rows: int) -> None:
    spec = MapSpec(name="m", type=MapType.HASH, key_size=4, value_size=4, max_entries=5000)
    with spec.create() as counts:
        keys = np.arange(rows, dtype="u4").view("V4")
        counts.update(keys, keys)
        read, values = counts.read()
        assert sorted(read.view("u4").tolist()) == list(range(rows))
        assert read.tobytes() == values.tobytes()
        assert counts.count() == rows


@pytest.mark.parametrize("entries", [1, 4096, 4097, 16384, 16385])
def test_array_batches_end_exactly_at_the_last_entry(entries: int) -> None:
    spec = MapSpec(name="a", type=MapType.ARRAY, key_size=4, value_size=4, max_entries=entries)
    with spec.create() as array:
        array[entries - 1] = b"last"
        keys, values = array.read()
        assert keys.tolist() == list(range(entries))
        assert values[-1].tobytes() == b"last"
        assert sum(1 for _ in array.items()) == entries
        noun = "entry" if entries == 1 else "entries"
        with pytest.raises(MissingKeyError, match=f"has {entries} {noun}: no index {entries}"):
            array[entries]


def test_a_chunk_that_is_too_small_for_a_bucket_grows() -> None:
    # Two buckets for a map of one entry and one CPU-local spare: ask for a chunk of one.
    spec = MapSpec(name="m", type=MapType.HASH, key_size=4, value_size=4, max_entries=64)
    with spec.create() as counts:
        counts.update([n.to_bytes(4, "little") for n in range(64)], [b"abcd"] * 64)
        geometry = counts.geometry
        cursor = batch.Cursor(geometry)
        keys, values = bytearray(4 * 64), bytearray(4 * 64)
        answers = set()
        chunk, found = 1, 0
        while not cursor.done:
            got = cursor.fill(keys, values, chunk)
            answers.add(got < 0)
            chunk = chunk * 2 if got < 0 else chunk
            found += max(got, 0)
        assert found == 64
        assert answers == {True, False}
        geometry.entries = 1  # dump and chunks start from what the map claims to hold
        assert dump(geometry)[0] == 64
        assert sum(rows for rows, _, _ in batch.chunks(geometry)) == 64


def test_a_map_type_without_batches_is_read_key_by_key() -> None:
    spec = MapSpec(
        name="stacks", type=MapType.STACK_TRACE, key_size=4, value_size=8 * 16, max_entries=16
    )
    with spec.create() as stacks:
        assert len(stacks.read()[0]) == 0
        assert list(stacks.items()) == []


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        (MapType.QUEUE, (0, 8, 4, 0)),
        (MapType.STACK, (0, 8, 4, 0)),
        (MapType.BLOOM_FILTER, (0, 8, 4, 0)),
        (MapType.LPM_TRIE, (8, 4, 4, MapFlags.NO_PREALLOC)),
        (MapType.PROG_ARRAY, (4, 4, 4, 0)),
        (MapType.PERF_EVENT_ARRAY, (4, 4, 0, 0)),
        (MapType.CGROUP_ARRAY, (4, 4, 4, 0)),
        (MapType.STACK_TRACE, (4, 64, 4, 0)),
        (MapType.DEVMAP, (4, 4, 4, 0)),
        (MapType.CPUMAP, (4, 4, 0, 0)),
        (MapType.SOCKHASH, (4, 4, 4, 0)),
        (MapType.USER_RINGBUF, (0, 0, 65536, 0)),
        (MapType.ARENA, (0, 0, 16, MapFlags.MMAPABLE)),
    ],
)
def test_other_kinds_can_be_created(kind: MapType, sizes: tuple[int, int, int, int]) -> None:
    if kind is MapType.ARENA:
        need("arena")
    key_size, value_size, entries, flags = sizes
    spec = MapSpec(
        name=kind.name.lower(),
        type=kind,
        key_size=key_size,
        value_size=value_size,
        max_entries=entries,
        flags=flags,
    )
    with spec.create() as live:
        assert live.type is kind
        info = live.info
        assert info.type == kind
        assert info.max_entries == (entries or possible_cpus())
        assert info.name == kind.name.lower()[:15]


def test_a_refused_map_is_named_with_its_shape() -> None:
    spec = MapSpec(
        name="broken", type=MapType.HASH, key_size=4, value_size=4, max_entries=1, flags=1 << 24
    )
    with pytest.raises(
        LoadError, match=r"map 'broken' .*key 4 bytes, value 4 bytes, 1 entry, flags 0x1000000"
    ) as e:
        spec.create()
    assert (e.value.name, e.value.kind, e.value.call) == ("broken", "map", "BPF_MAP_CREATE")


LPM, STACKS = MapType.LPM_TRIE, MapType.STACK_TRACE


@pytest.mark.parametrize(
    ("kind", "sizes", "words", "given"),
    [
        (MapType.RINGBUF, (0, 0, 5000), "at least {page} (a page), not 5000", 5000),
        (MapType.RINGBUF, (0, 0, 0), "max_entries, its bytes, must be a power of two", 0),
        (MapType.RINGBUF, (0, 0, 2048), "not 2048 (set max_entries to {page})", 2048),
        (MapType.USER_RINGBUF, (0, 0, 12288), "not 12288 (set max_entries to 16384)", 12288),
        (MapType.HASH, (4, 4, 0), "max_entries must be 1 or more, not 0", 0),
        (MapType.HASH, (0, 4, 4), "the key size must be 1 byte or more, not 0", 0),
        (MapType.HASH, (4, 0, 4), "the value size must be 1 byte or more, not 0", 0),
        (MapType.ARRAY, (8, 4, 4), "the key size must be 4 bytes, an index, not 8", 8),
        (MapType.QUEUE, (4, 4, 4), "must be 0 bytes, for it has no keys, not 4", 4),
        (MapType.PROG_ARRAY, (4, 8, 4), "value size must be 4 bytes, a descriptor, not 8", 8),
        (MapType.HASH_OF_MAPS, (4, 4, 4), "inner must be a MapSpec", None),
        (STACKS, (4, 12, 4), "the value size must be a multiple of 8 bytes, not 12", 12),
        (LPM, (8, 4, 4), "the flags must be 1 (NO_PREALLOC), perhaps with others, not 0", 0),
        (LPM, (4, 4, 4, 1), "the key size must be 5 to 260 bytes, not 4", 4),
    ],
)
def test_plain_mistakes_are_explained(
    kind: MapType, sizes: tuple[int, ...], words: str, given: int | None
) -> None:
    key_size, value_size, entries, flags = (*sizes, 0)[:4]
    spec = MapSpec(
        name="odd",
        type=kind,
        key_size=key_size,
        value_size=value_size,
        max_entries=entries,
        flags=flags,
    )
    with pytest.raises(LoadError) as caught:
        spec.create()
    error = caught.value
    assert str(error).startswith(f"map 'odd' ({kind.name.lower()}) cannot be created: ")
    assert words.format(page=page_size) in str(error)
    assert (error.errno, error.given) == (errno.EINVAL, given)
    assert error.expected in error.message


def misfit(action: Callable[[], object]) -> TypeMismatchError | RangeError:
    with pytest.raises((TypeMismatchError, RangeError)) as caught:
        action()
    error = caught.value
    assert isinstance(error, TypeMismatchError | RangeError)
    assert error.__suppress_context__  # the codec's own error would be shown first
    return error


def test_what_does_not_fit_is_named_with_map_role_and_field(live: skep.Object) -> None:
    scalars, table, per_cpu = (live.maps[name] for name in ("scalars", "array", "per_cpu"))
    words = "map 'scalars', key: __u32 takes an integer, not str 'x'"
    for action in (
        lambda: scalars["x"],
        lambda: scalars.get("x"),
        lambda: "x" in scalars,
        lambda: scalars.pop("x"),
        lambda: scalars.__setitem__("x", 1),
        lambda: scalars.__delitem__("x"),
    ):
        error = misfit(action)
        assert type(error) is TypeMismatchError
        assert str(error) == words
        assert (error.map, error.role, error.field) == ("scalars", "key", "")
        assert (error.expected, error.given) == ("__u32", "x")

    error = misfit(lambda: scalars.__setitem__(1, -1))
    assert type(error) is RangeError
    assert str(error) == "map 'scalars', value: -1 does not fit __u64 (0 to 18446744073709551615)"
    assert (error.map, error.role, error.given) == ("scalars", "value", -1)
    assert error.expected == "__u64 (0 to 18446744073709551615)"

    error = misfit(lambda: table.__setitem__(0, (1, 2, (3, 4, 1 << 16))))
    assert str(error) == "map 'array', value.ports[2]: 65536 does not fit __u16 (0 to 65535)"
    assert (error.role, error.field, error.given) == ("value", "ports[2]", 65536)
    error = misfit(lambda: table["first"])
    assert str(error) == "map 'array', key: an array index is an integer, not str 'first'"

    values = [(1, 2, (3, 4, 5))] * (possible_cpus() - 1)
    error = misfit(lambda: per_cpu.__setitem__(7, [*values, (1, "2", (3, 4, 5))]))
    last = possible_cpus() - 1
    assert str(error).startswith(f"map 'per_cpu', value[{last}].delta: __s32 takes an integer")
    assert error.field == f"[{last}].delta"
    assert scalars.count() == per_cpu.count() == 0


def test_columns_that_do_not_fit_are_named_with_map_and_row(live: skep.Object) -> None:
    scalars, hashed = live.maps["scalars"], live.maps["hash"]
    error = misfit(lambda: scalars.update([1, 2, 3], [10, 20, -30]))
    assert error.message.startswith("map 'scalars', values[2]: -30 does not fit __u64")
    assert (error.map, error.role, error.evidence["row"]) == ("scalars", "value", 2)
    error = misfit(lambda: hashed.update([(1, "a", 0), (2, "b", 256)], [(1, 2, (3, 4, 5))] * 2))
    assert error.message.startswith("map 'hash', keys[1].flag: 256 does not fit __u8")

    for action in (
        lambda: scalars.update(5, 6),
        lambda: scalars.delete(5),  # type: ignore[arg-type]
        lambda: scalars.update(np.array(5), np.array(6)),
    ):
        error = misfit(action)
        assert type(error) is TypeMismatchError
        assert (
            "map 'scalars': its keys must be a column, that is an array or an iterable, not "
            in (error.message)
        )
        assert "m[key] = value" in error.hint
        assert (error.map, error.role, error.given) == ("scalars", "key", 5)
    error = misfit(lambda: scalars.update([1], 6))
    assert (error.role, error.given) == ("value", 6)
    with pytest.raises(TypeMismatchError, match="takes a column of keys and one of values, or one"):
        scalars.update(5)

    with pytest.raises(RangeError, match="values do not all fit uint64: -2 does not") as caught:
        scalars.update(np.array([1, 2]), np.array([1, -2]))
    assert (caught.value.map, caught.value.role, caught.value.given) == ("scalars", "value", -2)
    assert caught.value.expected == "uint64"
    assert scalars.count() == 0


def test_a_pin_that_does_not_exist(live: skep.Object, bpffs: Path) -> None:
    folder = f"{bpffs}/pins"
    os.mkdir(folder)
    try:
        missing = f"{folder}/scalrs"

        def hint() -> str:
            with pytest.raises(KernelError) as caught:
                Map.from_pin(missing)
            assert caught.value.errno == errno.ENOENT
            assert caught.value.message == f"no map is pinned at {missing}"
            return caught.value.hint

        assert hint() == f"nothing is pinned in {folder}; Map.pin(path) makes a pin"
        live.maps["hash"].pin(f"{folder}/hash")
        assert hint() == f"in {folder} there is hash"
        live.maps["scalars"].pin(f"{folder}/scalars")
        assert hint() == f"did you mean {folder}/scalars?"
        os.unlink(f"{folder}/scalars")
        os.unlink(f"{folder}/hash")
    finally:
        os.rmdir(folder)
    assert hint() == f"the folder {folder} cannot be read: No such file or directory"


def test_variables_are_read_and_written_in_place(live: skep.Object) -> None:
    variables = live.variables
    assert (variables["total"].value, variables["small"].value) == (5, -3)
    assert variables["label"].value == "abc"
    assert variables["limit"].value == 77
    fill(live, 3)
    assert (variables["total"].value, variables["small"].value) == (5 + 3 + 77, -4)
    variables["total"].value = 2**64 - 1
    variables["label"].value = "defghij"
    assert (variables["total"].value, variables["label"].value) == (2**64 - 1, "defghij")
    assert variables["small"].value == -4  # the neighbours stay
    with pytest.raises(RangeError):
        variables["small"].value = 40_000
    with pytest.raises(UnsupportedError, match="'limit' is constant"):
        variables["limit"].value = 1
    live.close()
    with pytest.raises(ClosedError):
        _ = variables["total"].value


def test_a_closed_map_says_so(live: skep.Object) -> None:
    counts = live.maps["lru"]
    counts.close()
    counts.close()
    for use in (lambda: counts[1], lambda: list(counts), counts.read, counts.fileno):
        with pytest.raises(ClosedError, match="map 'lru' is closed"):
            use()
    assert "closed" in repr(counts)


def test_a_frozen_map_refuses_writes() -> None:
    spec = MapSpec(
        name="frozen",
        type=MapType.ARRAY,
        key_size=4,
        value_size=4,
        max_entries=1,
        contents=bytearray(b"abcd"),
        frozen=True,
    )
    with spec.create() as array:
        assert array[0] == b"abcd"
        with pytest.raises(KernelError, match="frozen"):
            array[0] = b"wxyz"
        assert array[0] == b"abcd"
    with pytest.raises(RangeError, match="3 bytes of contents, expected its value size, 4"):
        spec.copy(contents=bytearray(3)).create()


def test_a_map_opened_by_id_keeps_its_types(live: skep.Object) -> None:
    counts = live.maps["hash"]
    counts[1, "a", 0] = (2, 3, (4, 5, 6))
    with Map.from_id(counts.id) as again:
        assert again[1, "a", 0].ports == (4, 5, 6)
        assert again.spec.max_entries == 1000


def test_threads_share_a_map(live: skep.Object) -> None:
    counts = live.maps["scalars"]
    failures: list[Exception] = []

    def work(base: int) -> None:
        try:
            for number in range(base, base + 300):
                counts[number] = number
                assert counts[number] == number
            assert set(range(base, base + 300)) <= set(counts.read()[0].tolist())
        except (AssertionError, skep.SkepError) as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(1000 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert counts.count() == 2400
