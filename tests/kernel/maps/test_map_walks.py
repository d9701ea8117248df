"""Walks over whole maps: crowded buckets, keys that vanish, threads and processes, interrupts."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from skep.btf.btf import Btf
from skep.btf.writer import Builder
from skep.errors import ClosedError, KernelError, UnsupportedError
from skep.kernel.constants import MapFlags, MapType
from skep.maps import batch, read_all
from skep.maps.dump import Rows
from skep.maps.map import Map
from skep.maps.spec import MapSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from numpy.typing import NDArray

    Words = NDArray[np.uint32]

STABLE = 12_000  # rows that nobody touches: more than a second thread is started for
PASSING = 3_000  # keys that come and go


def made(type: MapType = MapType.HASH, entries: int = 64, **changes: Any) -> Map:
    values: dict[str, Any] = {"key": "u32", "value": "u64", "max_entries": entries, **changes}
    if type == MapType.LPM_TRIE:
        values.update(key=None, key_size=8, flags=int(MapFlags.NO_PREALLOC))
    return MapSpec(name="walked", type=type, **values).create()


def hashed(keys: Words) -> Words:
    """Return jhash2() of keys of one word, with the seed 0 (include/linux/jhash.h)."""
    start = np.uint32(0xDEADBEEF + 4)
    a, b, c = start + keys, np.full_like(keys, start), np.full_like(keys, start)

    def mix(here: Words, there: Words, bits: int) -> None:  # a step of __jhash_final
        here ^= there
        here -= (there << np.uint32(bits)) | (there >> np.uint32(32 - bits))

    for step in ((c, b, 14), (a, c, 11), (b, a, 25), (c, b, 16), (a, c, 4), (b, a, 14), (c, b, 24)):
        mix(*step)
    return c


def colliding(count: int, buckets: int) -> Words:
    """Return *count* keys that a hash with so many buckets and the seed 0 has in one of them."""
    found: list[Words] = []
    start = 0
    while sum(map(len, found)) < count:
        keys = np.arange(start, start + (1 << 20), dtype=np.uint32)
        found.append(keys[hashed(keys) & np.uint32(buckets - 1) == 0])
        start += 1 << 20
    return np.concatenate(found)[:count]


def test_a_bucket_larger_than_the_first_step_is_read() -> None:
    """Anybody can find keys of one bucket for a hash without a seed."""
    keys = colliding(1100, 16384)
    with made(entries=8193, flags=int(MapFlags.ZERO_SEED)) as crowded:
        crowded.update(keys, keys.astype(np.uint64))
        got, values = crowded.read()
        assert sorted(got.tolist()) == keys.tolist()
        assert (got == values).all()
        assert crowded.count() == 1100
        assert sorted(crowded.drain()[0].tolist()) == keys.tolist()


@pytest.mark.parametrize("extra", [2, 20_000])
def test_rows_that_the_other_half_has_are_dropped_few_or_many(extra: int) -> None:
    """Many, when most of what the first half expected was removed meanwhile."""
    with made(entries=50_000) as some:
        first, second = (Rows(some.geometry, 30_000) for _ in range(2))
    for rows, numbers in ((first, range(extra)), (second, range(extra - 1, 25_000))):
        keys = np.array(numbers, np.uint32)
        rows.keys[: 4 * len(keys)] = keys.view(np.uint8)
        rows.values[: 8 * len(keys)] = keys.astype(np.uint64).view(np.uint8)
        rows.count = len(keys)
    first.drop_known(1, second)
    assert first.count == extra - 1
    assert (first.keys.view(np.uint32)[: first.count] == np.arange(extra - 1)).all()
    assert (first.values.view(np.uint64)[: first.count] == np.arange(extra - 1)).all()


def test_a_trie_gives_each_key_once_though_the_kernel_begins_again() -> None:
    """The kernel does so when the key at which the last batch ended is removed."""
    with made(MapType.LPM_TRIE, 10_000) as trie:
        for number in range(10_000):
            trie[32, (429 * number).to_bytes(4, "big")] = number
        seen = []
        for key, value in trie.items():
            seen.append((key, value))
            if len(seen) == 4096:  # a chunk
                del trie[key]
        assert len(seen) == len(dict(seen)) == 10_000
        chunks = batch.chunks(trie.geometry)
        last = 4096 - 1
        rows, keys, _ = next(chunks)
        assert rows == last + 1
        del trie[trie.cells.key.unpack(keys, 8 * last)]
        assert rows + sum(rows for rows, _, _ in chunks) == trie.count() + 1


def test_a_walk_that_would_never_end_is_an_error() -> None:
    """It ended quietly, whatever it had missed."""
    with made(entries=16) as map:
        map.update(range(16), range(16))

        def replace_all_at_each_step() -> None:
            for step, _ in enumerate(batch.walk(map.geometry), 1):
                map.clear()
                map.update(range(16 * step, 16 * step + 16), range(16))

        with pytest.raises(KernelError, match="changes faster than the kernel can walk") as caught:
            replace_all_at_each_step()
        assert caught.value.errno == errno.EINTR


def test_present_and_absent_keys_are_removed_alike() -> None:
    chosen = np.random.default_rng(4).integers(0, 4000, 3000, dtype=np.uint32)
    for keys in (chosen, chosen.tolist()):
        with made(entries=4000) as map:
            there = range(0, 4000, 3)
            map.update(there, there)
            gone = {*there} & {*chosen.tolist()}
            assert map.delete(keys) == len(gone)
            assert {*map} == {*there} - gone


def test_a_queue_that_is_no_column_is_not_emptied() -> None:
    builder = Builder()
    word = builder.int("unsigned int", 4)
    bits = builder.struct("bits", 4, [("low", word, 0, 3), ("high", word, 3, 5)])
    btf = Btf.from_bytes(builder.build(), name="bits")
    queue: Any = MapSpec(
        name="bits", type="queue", value_size=4, max_entries=4, btf=btf, value_type_id=bits
    ).create()
    with queue:
        queue.push((1, 2))
        with pytest.raises(UnsupportedError):
            queue.drain()
        assert queue.pop() == (1, 2)


# Others at work


class Churn:
    """A thread and a process that store and remove keys from `STABLE` on until the end."""

    def __init__(self, map: Map, key: Callable[[int], Any]) -> None:
        self._map = map
        self._key = key
        self._stop = threading.Event()
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._work, args=(0,))

    def __enter__(self) -> Self:
        self._reader, writer = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            try:
                os.close(writer)
                os.set_blocking(self._reader, False)
                self._work(1)
            finally:
                os._exit(1 if self._failed else 0)
        os.close(self._reader)
        self._writer = writer
        self._thread.start()
        return self

    def _work(self, part: int) -> None:
        map, numbers = self._map, range(STABLE + part, STABLE + PASSING, 2)
        try:
            while not self._over(part):
                for at in range(0, len(numbers), 100):
                    some = [self._key(number) for number in numbers[at : at + 100]]
                    for key in some:
                        map[key] = self._value(7)
                    map.delete(some)
        except BaseException as error:  # noqa: BLE001 - told to the main thread
            self._failed.append(error)

    def _value(self, number: int) -> Any:
        cpus = self._map.cells.cpus
        return (number,) * cpus if cpus else number

    def _over(self, part: int) -> bool:
        if not part:
            return self._stop.is_set()
        try:
            return os.read(self._reader, 1) == b""  # the parent has closed it
        except BlockingIOError:
            return False

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        os.close(self._writer)
        self._thread.join()
        status = os.waitpid(self._pid, 0)[1]
        assert (self._failed, status) == ([], 0)


def word(number: int) -> int:
    return number


def prefix(number: int) -> tuple[int, bytes]:
    return 32, (2_654_435_761 * number & 0xFFFFFFFF).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("type", "key"),
    [
        (MapType.HASH, word),
        (MapType.PERCPU_HASH, word),
        (MapType.LRU_HASH, word),
        (MapType.LPM_TRIE, prefix),
    ],
)
def test_what_stays_is_seen_once_by_every_walk(type: MapType, key: Callable[[int], Any]) -> None:
    # Room to spare, as each CPU keeps free entries for itself, and an LRU drops what is old.
    with made(type, 4 * (STABLE + PASSING)) as map:
        stable = [key(number) for number in range(STABLE)]
        numbers = np.arange(STABLE)
        values = np.repeat(numbers[:, None], map.cells.cpus, 1) if map.cells.cpus else numbers
        map.update(stable, values.tolist() if type == MapType.LPM_TRIE else values)
        expected = {map.cells.key.pack(one): number for number, one in enumerate(stable)}

        def check(packed: list[bytes], seen: list[Any]) -> None:
            assert len({*packed}) == len(packed)
            found = dict(zip(packed, seen, strict=True))
            assert {one: found.get(one) for one in expected} == expected

        with Churn(map, key):
            for _ in range(1 if type == MapType.LPM_TRIE else 4):  # a trie is slow to walk
                rows, column = map.read()
                first = column[:, 0] if map.cells.cpus else column
                size = map.cells.key.size
                data = rows.tobytes()
                check([data[i : i + size] for i in range(0, len(data), size)], first.tolist())
                pairs = [*map.items()]
                plain = [one[1][0] if map.cells.cpus else one[1] for one in pairs]
                check([map.cells.key.pack(one[0]) for one in pairs], plain)
                assert expected.keys() <= {map.cells.key.pack(one) for one in map}


@pytest.mark.parametrize("type", [MapType.HASH, MapType.PERCPU_HASH, MapType.LRU_HASH])
def test_what_several_drain_is_what_others_stored(type: MapType) -> None:
    """Two threads store, two drain: nothing is lost, and nothing comes twice."""
    each, drained = 20_000, []
    with made(type, 200_000) as map:
        cpus = map.cells.cpus
        running = [2]

        def store(part: int) -> None:
            for start in range(part, 2 * each, 1000):
                keys = np.arange(start, min(start + 1000, 2 * each), 2, dtype=np.uint32)
                values = keys.astype(np.uint64)
                map.update(keys, np.repeat(values[:, None], cpus, 1) if cpus else values)
            running[0] -= 1

        def drain() -> None:
            while running[0] or map.count():
                drained.append(map.drain())

        threads = [threading.Thread(target=store, args=(part,)) for part in (0, 1)]
        threads += [threading.Thread(target=drain) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert map.count() == 0
    keys = np.concatenate([one[0] for one in drained])
    values = np.concatenate([one[1][:, 0] if cpus else one[1] for one in drained])
    assert sorted(keys.tolist()) == [*range(2 * each)]
    assert (keys == values).all()


@pytest.mark.parametrize("type", [MapType.HASH, MapType.LPM_TRIE])
def test_what_was_drained_before_a_failure_is_in_the_error(type: MapType) -> None:
    """Another thread closes the map when the last key but some of its walk is gone."""
    key = prefix if type == MapType.LPM_TRIE else word
    for _ in range(50):  # a drain may end before the other thread gets that far
        with made(type, 60_000) as map, map.__class__(map.fd.dup(), map.spec) as twin:
            twin.update([key(number) for number in range(50_000)], range(50_000))
            half = [*twin][25_000 if type == MapType.LPM_TRIE else 8_000]

            def close(map: Map[Any, Any] = map, twin: Any = twin, half: Any = half) -> None:
                while half in twin:
                    pass
                map.close()

            thread = threading.Thread(target=close)
            thread.start()
            try:
                map.drain()
            except ClosedError as error:
                found = error.evidence
            else:
                continue
            finally:
                thread.join()
            taken = found["values"].tolist()
            assert len(found["keys"]) == len(taken) > 0
            assert sorted([*taken, *twin.values()]) == [*range(50_000)]
            return
    pytest.fail("no drain was ever interrupted")


def test_an_interrupt_ends_the_reading_of_many_maps() -> None:
    """It was put by, like the failure of a map, and lost to that of an earlier one."""
    interrupted = threading.Event()
    main = threading.get_ident()

    class Interrupted(Map):
        """Ctrl-C comes while the main thread reads this one."""

        def read(self, *, lock: bool = False) -> Any:
            if threading.get_ident() == main:
                interrupted.set()
                raise KeyboardInterrupt
            interrupted.wait()
            return super().read(lock=lock)

    with made() as closed, made() as open:
        closed.close()
        view = Interrupted(open.fd.dup(), open.spec)
        with view, pytest.raises(KeyboardInterrupt):
            read_all([closed, *[view] * 8])
        with pytest.raises(ClosedError):
            read_all([closed, *[open] * 8])
