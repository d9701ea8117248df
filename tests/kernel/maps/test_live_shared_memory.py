"""Arrays and variables as memory shared with programs: live views, whole reads, who may write."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import skep
from skep.btf.btf import Btf
from skep.btf.writer import Builder
from skep.errors import (
    ClosedError,
    MissingKeyError,
    RangeError,
    TypeMismatchError,
    UnsupportedError,
)
from skep.kernel.constants import MapFlags, MapType
from skep.maps.spec import MapSpec
from skep.maps.types.array import ArrayMap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from compiling import CompileBpf

SOURCE = """// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct small { __u32 first; __u8 second; }; /* 8 bytes; the third below has 12 */
struct odd { __u32 a, b, c; };

#define ARRAY(NAME, TYPE, VALUE, FLAGS) \\
	struct { \\
		__uint(type, BPF_MAP_TYPE_##TYPE); \\
		__uint(max_entries, 8); \\
		__uint(map_flags, FLAGS); \\
		__type(key, __u32); \\
		__type(value, VALUE); \\
	} NAME SEC(".maps")

ARRAY(counts, ARRAY, __u64, BPF_F_MMAPABLE);
ARRAY(odds, ARRAY, struct odd, BPF_F_MMAPABLE);
ARRAY(plain, ARRAY, __u64, 0);
ARRAY(per_cpu, PERCPU_ARRAY, __u64, 0);

__u64 word = 1;
__u16 half = 2;
__u8 one = 3;
__u64 numbers[4] = { 1, 2, 3, 4 };
struct odd pair = { 1, 2, 3 };
char label[8] = "abc";
struct { __u8 pad; __u64 inside; } __attribute__((packed)) crooked = { 0, 9 };
const volatile __u32 limit = 77;

static long write_one(__u32 index, void *context)
{
	__u64 both = index | (__u64)index << 32;
	__u32 key = 1;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);

	word = both;
	if (count)
		*count = both;
	return 0;
}

SEC("syscall")
int write(__u32 *count)
{
	bpf_loop(*count, write_one, 0, 0);
	return 0;
}

SEC("syscall")
int add(__u32 *count)
{
	__u32 key = 2;
	__u64 *value = bpf_map_lookup_elem(&counts, &key);
	struct odd *odd = bpf_map_lookup_elem(&odds, &key);

	if (value)
		__sync_fetch_and_add(value, *count);
	if (odd)
		odd->c = *count;
	numbers[3] += *count + limit + half + one;
	pair.b++;
	label[0] = 'x';
	crooked.inside++;
	return 0;
}
"""


@pytest.fixture
def live(compile_bpf: CompileBpf) -> Iterator[skep.Object]:
    with skep.ObjectSpec.from_file(str(compile_bpf(SOURCE))).load() as loaded:
        yield loaded


def array_of(live: skep.Object, name: str) -> ArrayMap[Any]:
    found = live.maps[name]
    assert isinstance(found, ArrayMap)
    return found


def run(live: skep.Object, name: str, count: int) -> None:
    live.programs[name].test_run(ctx=count.to_bytes(4, "little"))


def test_a_view_shows_what_programs_write_and_the_reverse(live: skep.Object) -> None:
    counts = array_of(live, "counts")
    view = counts.view()
    assert (len(counts), len(view), view.dtype) == (8, 8, np.uint64)
    run(live, "add", 5)
    assert view[2] == 5
    view[2] = 100
    run(live, "add", 1)
    assert counts[2] == 101 == view.sum()
    counts.clear()
    assert not view.any()


def test_elements_lie_eight_bytes_apart(live: skep.Object) -> None:
    odds = array_of(live, "odds")
    view = odds.view()
    assert (view.strides, view.dtype.itemsize) == ((16,), 12)
    run(live, "add", 6)
    assert view["c"].tolist() == [0, 0, 6, 0, 0, 0, 0, 0]
    keys, values = odds.read()
    assert values.tolist() == view.tolist()
    assert keys.tolist() == list(range(8))


def test_eight_bytes_are_loaded_and_stored_whole(live: skep.Object) -> None:
    counts = array_of(live, "counts")
    counts.store_u64(3, 2**64 - 1)
    assert counts.load_u64(3) == counts[3] == 2**64 - 1
    odds = array_of(live, "odds")
    odds.store_u64(1, 7 << 32 | 6)
    assert odds[1].asdict() == {"a": 6, "b": 7, "c": 0}
    with pytest.raises(MissingKeyError, match="has 8 entries: no index 8"):
        counts.load_u64(8)
    with pytest.raises(RangeError, match="no 8 aligned bytes at offset 4 of a value of 8"):
        counts.load_u64(0, 4)
    with pytest.raises(RangeError, match="no 8 aligned bytes at offset 8"):
        counts.store_u64(0, 1, 8)
    with pytest.raises(RangeError, match="does not fit 8 bytes"):
        counts.store_u64(0, -1)
    with pytest.raises(TypeMismatchError, match="8 bytes are an integer, not str"):
        counts.store_u64(0, "1")  # type: ignore[arg-type]


def test_why_there_is_no_view_is_said(live: skep.Object) -> None:
    with pytest.raises(UnsupportedError, match="'plain' was made without BPF_F_MMAPABLE"):
        array_of(live, "plain").view()
    with pytest.raises(UnsupportedError, match="'per_cpu' is a per-CPU array"):
        array_of(live, "per_cpu").load_u64(0)
    counts = array_of(live, "counts")
    view = counts.view()
    view[1] = 7
    live.close()
    with pytest.raises(ClosedError, match="'counts'"):
        counts.view()
    with pytest.raises(ClosedError, match="'counts'"):
        counts.load_u64(1)
    assert view[1] == 7  # the memory stays as long as somebody looks at it


def test_a_frozen_map_has_a_view_that_only_reads() -> None:
    spec = MapSpec(
        name="constants",
        type=MapType.ARRAY,
        key_size=4,
        value_size=8,
        max_entries=1,
        flags=MapFlags.MMAPABLE | MapFlags.RDONLY_PROG,
        contents=bytearray(b"12345678"),
        frozen=True,
    )
    with spec.create() as constants:
        assert isinstance(constants, ArrayMap)
        view = constants.view()
        assert view.tobytes() == b"12345678"
        assert not view.flags.writeable
        with pytest.raises(UnsupportedError, match="read-only for user space"):
            constants.store_u64(0, 1)


def test_a_descriptor_that_only_reads_has_no_view(live: skep.Object, bpffs: Path) -> None:
    counts = array_of(live, "counts")
    counts[2] = 7
    counts.pin(str(bpffs / "counts"))
    with ArrayMap.from_pin(str(bpffs / "counts"), flags=MapFlags.RDONLY) as again:
        with pytest.raises(UnsupportedError, match="opened with BPF_F_RDONLY or BPF_F_WRONLY"):
            again.view()
        assert again.read()[1].tolist() == [0, 0, 7, 0, 0, 0, 0, 0]


def test_values_with_a_lock_are_not_shared_and_are_read_all_the_same() -> None:
    """MMAPABLE or not: the kernel answers mmap(2) with ENOTSUPP, which was taken for a failure."""
    builder = Builder()
    word = builder.int("unsigned int", 4)
    lock = builder.struct("bpf_spin_lock", 4, [("val", word, 0)])
    value = builder.struct("locked", 8, [("lock", lock, 0), ("count", word, 32)])
    spec = skep.MapSpec(
        name="locked", type="array", key_size=4, value_size=8, max_entries=4,
        flags=int(MapFlags.MMAPABLE), key_type_id=word, value_type_id=value,
        btf=Btf.from_bytes(builder.build(), name="locked"),
    )  # fmt: skip
    live: Any = spec.create()
    with live:
        live[1] = {"count": 5}
        assert live.read()[1]["count"].tolist() == [0, 5, 0, 0]
        live.clear()
        assert live[1].count == 0
        with pytest.raises(UnsupportedError, match="values with a lock") as caught:
            live.view()
        assert "read()" in caught.value.hint


def test_words_are_never_torn(live: skep.Object) -> None:
    # A program writes the same number into both halves; a torn read would show two.
    counts, word = array_of(live, "counts"), live.variables["word"]
    view = counts.view()
    word.value = counts[1] = 0
    enough = threading.Event()

    def write() -> None:
        times = 1 << 20
        while not enough.is_set():
            times += 1  # so that even those who look between two runs see another number
            run(live, "write", times)

    thread = threading.Thread(target=write)
    thread.start()
    seen: set[int] = set()
    try:
        while len(seen) < 30:
            for number in (word.value, counts.load_u64(1), int(view[1])):
                assert number >> 32 == number & 0xFFFFFFFF
                seen.add(number)
    finally:
        enough.set()
        thread.join()


def test_programs_never_see_a_torn_word(live: skep.Object) -> None:
    # The same the other way: whatever the program leaves behind, each half is from one write.
    word = live.variables["word"]
    numbers = [n | n << 32 for n in range(1000)]
    thread = threading.Thread(target=run, args=(live, "write", 1 << 22))
    thread.start()
    while thread.is_alive():
        for number in numbers:
            word.value = number
            found = word.value
            assert found >> 32 == found & 0xFFFFFFFF
    thread.join()


def test_variables_have_live_views(live: skep.Object) -> None:
    numbers, pair = live.variables["numbers"].view(), live.variables["pair"].view()
    run(live, "add", 1)
    assert numbers.tolist() == [1, 2, 3, 4 + 1 + 77 + 2 + 3]
    assert pair["b"] == 3
    assert live.variables["label"].view()[()] == b"xbc"
    numbers[3] = 0
    run(live, "add", 1)
    assert numbers[3] == 83
    assert live.variables["numbers"].value == (1, 2, 3, 83)
    limit = live.variables["limit"].view()
    assert limit[()] == 77
    assert not limit.flags.writeable
    live.close()
    with pytest.raises(ClosedError):
        live.variables["numbers"].view()
    assert numbers[3] == 83


def test_variables_of_every_size_and_place(live: skep.Object) -> None:
    for name, value in {"word": 2**63, "half": 40_000, "one": 200, "numbers": (9, 8, 7, 6)}.items():
        live.variables[name].value = value
        assert live.variables[name].value == value
    live.variables["crooked"].value = {"pad": 1, "inside": 5}
    run(live, "add", 0)
    assert live.variables["crooked"].value.inside == 6
    with pytest.raises(RangeError, match="'half'"):
        live.variables["half"].value = 65_536
    with pytest.raises(UnsupportedError, match="'limit' is constant"):
        live.variables["limit"].value = 1
