"""bpf(2) map commands on the running kernel."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from skep.errors import ClosedError, KernelError, RangeError
from skep.kernel import bpf
from skep.kernel.bpf.element import Element
from skep.kernel.constants import MapFlags, MapType, UpdateFlags
from skep.kernel.cpus import possible_cpus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from skep.kernel.fd import FD


@pytest.fixture
def counts() -> Iterator[FD]:
    """A hash of u32 to 16 bytes with room for 1 000 entries."""
    with bpf.map_create(
        type=MapType.HASH, key_size=4, value_size=16, max_entries=1000, name="counts"
    ) as fd:
        yield fd


def u32(number: int) -> bytes:
    return number.to_bytes(4, "little")


def test_element_calls_round_trip(counts: FD) -> None:
    value = bytearray(16)
    assert not bpf.map_lookup(counts, u32(7), value)
    bpf.map_update(counts, u32(7), bytes(range(16)))
    assert bpf.map_lookup(counts, u32(7), value)
    assert value == bytes(range(16))
    assert bpf.map_delete(counts, u32(7))
    assert not bpf.map_delete(counts, u32(7))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda b: memoryview(bytearray(b))])
def test_every_kind_of_buffer_is_a_key_and_a_value(counts: FD, kind: type) -> None:
    bpf.map_update(counts, kind(u32(1)), kind(b"x" * 16))
    value = bytearray(16)
    assert bpf.map_lookup(counts, kind(u32(1)), value)
    assert value == b"x" * 16
    following = bytearray(4)
    assert bpf.map_next_key(counts, None, following)
    assert following == u32(1)
    assert not bpf.map_next_key(counts, kind(u32(1)), following)
    assert bpf.map_lookup_and_delete(counts, kind(u32(1)), np.zeros(16, "u1"))
    assert not bpf.map_lookup(counts, kind(u32(1)), value)


def test_walking_finds_every_key_once(counts: FD) -> None:
    for number in range(50):
        bpf.map_update(counts, u32(number), bytes(16))
    found: list[int] = []
    key: bytearray | None = None
    while len(found) <= 50:
        following = bytearray(4)
        if not bpf.map_next_key(counts, key, following):
            break
        found.append(int.from_bytes(following, "little"))
        key = following
    assert sorted(found) == list(range(50))


def test_flags_of_updates(counts: FD) -> None:
    with pytest.raises(KernelError, match="'counts' failed: there is no such key") as caught:
        bpf.map_update(counts, u32(1), bytes(16), UpdateFlags.EXIST)
    assert caught.value.errno == errno.ENOENT
    assert caught.value.call == "BPF_MAP_UPDATE_ELEM"
    bpf.map_update(counts, u32(1), bytes(16), UpdateFlags.NOEXIST)
    with pytest.raises(KernelError, match="the key exists already") as caught:
        bpf.map_update(counts, u32(1), bytes(16), UpdateFlags.NOEXIST)
    assert caught.value.errno == errno.EEXIST


def test_full_map_says_so() -> None:
    with bpf.map_create(
        type=MapType.HASH, key_size=4, value_size=4, max_entries=1, name="tiny"
    ) as fd:
        bpf.map_update(fd, u32(1), u32(1))
        with pytest.raises(KernelError, match="'tiny' failed: the map is full") as caught:
            bpf.map_update(fd, u32(2), u32(1))
        assert caught.value.errno == errno.E2BIG
        assert "max_entries" in caught.value.hint


def test_whole_map_in_batches(counts: FD) -> None:
    numbers = np.arange(700, dtype="<u4")
    rows = np.zeros((700, 4), dtype="<u4")
    rows[:, 0] = numbers * 3
    assert bpf.map_update_batch(counts, numbers, rows, 700) == 700

    keys, values = np.zeros(256, "<u4"), np.zeros((256, 4), "<u4")
    seen: dict[int, int] = {}
    position: bytearray | None = None
    following = bytearray(4)
    for _ in range(20):
        count, code = bpf.map_lookup_batch(counts, position, following, keys, values, 256)
        seen.update(zip(keys[:count].tolist(), values[:count, 0].tolist(), strict=True))
        if code == errno.ENOENT:
            break
        assert code == 0
        position = following
    assert seen == {n: 3 * n for n in range(700)}

    assert bpf.map_delete_batch(counts, numbers[:10], 10) == 10
    assert bpf.map_delete_batch(counts, numbers[9:20].copy(), 11) == 0  # stops at the missing one


def test_draining_batch_empties_the_map(counts: FD) -> None:
    bpf.map_update_batch(counts, b"".join(map(u32, range(5))), bytes(80), 5)
    keys, values = bytearray(4000), bytearray(16000)
    count, code = bpf.map_lookup_batch(counts, None, bytearray(4), keys, values, 1000, delete=True)
    assert (count, code) == (5, errno.ENOENT)
    assert not bpf.map_next_key(counts, None, bytearray(4))


def test_batch_smaller_than_a_bucket_is_enospc() -> None:
    with bpf.map_create(
        type=MapType.HASH, key_size=4, value_size=4, max_entries=4096, name="crowded"
    ) as fd:
        bpf.map_update_batch(fd, np.arange(4096, dtype="<u4"), np.zeros(4096, "<u4"), 4096)
        position: bytearray | None = None
        following = bytearray(4)
        codes = set()
        for _ in range(5000):
            count, code = bpf.map_lookup_batch(
                fd, position, following, bytearray(4), bytearray(4), 1
            )
            codes.add(code)
            if code != 0:
                assert count == 0
                break
            position = following
        # 4096 hashed keys in 4096 buckets: some bucket holds two, and the walk ends there.
        assert errno.ENOSPC in codes
        assert codes <= {0, errno.ENOSPC}


def test_failed_batch_tells_how_far_it_came() -> None:
    with bpf.map_create(
        type=MapType.HASH, key_size=4, value_size=4, max_entries=2, name="small"
    ) as fd:
        keys = b"".join(map(u32, (1, 2, 3, 4)))
        with pytest.raises(
            KernelError, match="batch into map 'small' failed: the map is full"
        ) as e:
            bpf.map_update_batch(fd, keys, bytes(16), 4)
        assert e.value.evidence["done"] == 2
        with pytest.raises(KernelError, match="batch into map 'small' failed") as e:
            bpf.map_update_batch(fd, keys, bytes(16), 4, 0xF0)
        assert (e.value.errno, e.value.evidence["done"]) == (errno.EINVAL, 0)


def test_kind_without_batches() -> None:
    with bpf.map_create(
        type=MapType.QUEUE, key_size=0, value_size=4, max_entries=4, name="queue"
    ) as fd:
        with pytest.raises(KernelError, match="reading map 'queue' in batches") as caught:
            bpf.map_lookup_batch(fd, None, bytearray(4), bytearray(4), bytearray(4), 1)
        assert caught.value.errno in (errno.EINVAL, 524)
        bpf.map_update(fd, b"", u32(5))
        bpf.map_update(fd, b"", u32(6))
        value = bytearray(4)
        assert bpf.map_lookup(fd, b"", value)  # peeks
        assert value == u32(5)
        assert bpf.map_lookup_and_delete(fd, b"", value)
        assert bpf.map_lookup_and_delete(fd, b"", value)
        assert value == u32(6)
        assert not bpf.map_lookup_and_delete(fd, b"", value)


def test_percpu_value_has_a_slot_for_each_possible_cpu() -> None:
    slots = possible_cpus()
    with bpf.map_create(
        type=MapType.PERCPU_ARRAY, key_size=4, value_size=8, max_entries=1, name="percpu"
    ) as fd:
        stored = np.arange(1, slots + 1, dtype="<u8")
        bpf.map_update(fd, u32(0), stored)
        guard = np.full(slots + 1, 0xEE, dtype="<u8")
        assert bpf.map_lookup(fd, u32(0), guard)
        assert guard.tolist() == [*stored.tolist(), 0xEE]  # exactly that many, no more


def test_frozen_map_refuses_writes_without_blaming_privileges() -> None:
    with bpf.map_create(
        type=MapType.ARRAY, key_size=4, value_size=4, max_entries=1, name="frozen"
    ) as fd:
        bpf.map_freeze(fd)
        with pytest.raises(KernelError, match="frozen or opened read-only") as caught:
            bpf.map_update(fd, u32(0), u32(1))
        assert type(caught.value) is KernelError
        with pytest.raises(KernelError, match="freezing map 'frozen' failed: it is frozen"):
            bpf.map_freeze(fd)


def test_inner_map_and_refused_sizes() -> None:
    with (
        bpf.map_create(type=MapType.ARRAY, key_size=4, value_size=4, max_entries=1) as inner,
        bpf.map_create(
            type=MapType.ARRAY_OF_MAPS,
            key_size=4,
            value_size=4,
            max_entries=2,
            inner_map_fd=inner,
            name="outer",
        ) as outer,
    ):
        bpf.map_update(outer, u32(1), u32(inner.fileno()))
        value = bytearray(4)
        assert bpf.map_lookup(outer, u32(1), value)
        assert int.from_bytes(value, "little") == bpf.map_info(inner).id
    with pytest.raises(KernelError, match="creating map 'odd' failed") as caught:
        bpf.map_create(type=MapType.RINGBUF, key_size=0, value_size=0, max_entries=1000, name="odd")
    assert caught.value.errno == errno.EINVAL
    assert caught.value.evidence["name"] == "odd"


@pytest.mark.parametrize("name", ["sixteen_letters_", "no spaces", "nöt", "a/b"])
def test_names_the_kernel_cannot_hold(name: str) -> None:
    with pytest.raises(RangeError, match="not a name the kernel takes"):
        bpf.map_create(type=MapType.HASH, key_size=4, value_size=4, max_entries=1, name=name)


def test_map_info(counts: FD) -> None:
    info = bpf.map_info(counts)
    assert (info.name, info.kind, info.type) == ("counts", "hash", MapType.HASH)
    assert (info.key_size, info.value_size, info.max_entries) == (4, 16, 1000)
    assert info.flags == 0
    with bpf.fd_by_id("map", info.id) as other:
        assert bpf.map_info(other).asdict() == info.asdict()
    with bpf.map_create(
        type=MapType.HASH,
        key_size=4,
        value_size=4,
        max_entries=2,
        flags=MapFlags.NO_PREALLOC,
        map_extra=0,
    ) as plain:
        assert bpf.map_info(plain).flags == MapFlags.NO_PREALLOC


def test_ids_are_walked_in_order(counts: FD) -> None:
    wanted = bpf.map_info(counts).id
    assert bpf.next_id("map", wanted - 1) == wanted
    start, seen = 0, []
    while (found := bpf.next_id("map", start)) is not None:
        assert found > start
        seen.append(found)
        start = found
    assert wanted in seen
    with pytest.raises(KernelError, match="no such map") as caught:
        bpf.fd_by_id("map", 0x7FFFFFFF)
    assert caught.value.errno == errno.ENOENT


def test_closed_map_is_a_clear_error(counts: FD) -> None:
    element = Element(counts, 4, 16)
    counts.close()
    with pytest.raises(ClosedError, match="map 'counts' is closed"):
        bpf.map_lookup(counts, u32(1), bytearray(16))
    with pytest.raises(ClosedError, match="map 'counts' is closed"):
        element.lookup(u32(1))


def test_prebuilt_element(counts: FD) -> None:
    element = Element(counts, 4, 16)
    assert not element.lookup(u32(3))
    element.value[:] = b"y" * 16
    element.update(u32(3))
    element.value[:] = bytes(16)
    assert element.lookup(u32(3))
    assert element.value == b"y" * 16
    with pytest.raises(RangeError, match="4 bytes, not 3"):
        element.lookup(b"abc")
    with pytest.raises(RangeError):
        Element(counts, 0, 16)


def test_a_file_that_is_no_map() -> None:
    reader, writer = os.pipe()
    from skep.kernel.fd import FD

    with FD(reader, "a pipe") as pipe, FD(writer, "its end"):
        with pytest.raises(KernelError, match="looking up a key in a pipe failed"):
            bpf.map_lookup(pipe, b"abcd", bytearray(4))
        with pytest.raises(KernelError, match="asking about a pipe"):
            bpf.map_info(pipe)


def test_pinning(counts: FD, bpffs: Path) -> None:
    path = str(bpffs / "counts")
    bpf.obj_pin(counts, path)
    with bpf.obj_get(path) as again:
        assert bpf.map_info(again).id == bpf.map_info(counts).id
    with pytest.raises(KernelError, match="the path exists already"):
        bpf.obj_pin(counts, path)
    with pytest.raises(KernelError, match="there is no such file"):
        bpf.obj_get(path + "x")
    with bpf.obj_get(path, MapFlags.RDONLY) as readonly:
        with pytest.raises(KernelError, match="read-only"):
            bpf.map_update(readonly, u32(1), bytes(16))
        readonly.what = "a read-only map"
    os.unlink(path)


def test_pinning_elsewhere_names_the_mount(counts: FD, tmp_path: Path) -> None:
    with pytest.raises(KernelError, match="bpf file system") as caught:
        bpf.obj_pin(counts, str(tmp_path / "counts"))
    assert caught.value.errno == errno.EPERM
