"""One map in many threads at once: what is made when it is first needed, and all of it in use.

Meant for an interpreter without a GIL (``make test-free-threaded``), and true on any.
"""

from __future__ import annotations

import collections
import sys
import threading
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import numpy as np
import pytest
from needs import rounds

import skep
from skep.arrow import callbacks
from skep.errors import ClosedError, SkepError
from skep.kernel.constants import MapFlags, MapType
from skep.maps.map import Map
from skep.maps.spec import MapSpec
from skep.maps.types.array import ArrayMap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    R = TypeVar("R")

THREADS = 8


class Stat(skep.Record):
    calls: Annotated[int, "u64"]
    total: Annotated[int, "u64"]


@pytest.fixture(autouse=True)
def eager() -> Iterator[None]:
    """Let threads change places as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(work: Callable[[int], R]) -> list[R]:
    """Return what *work* returns in each of the threads, which all begin together."""
    found: dict[int, R] = {}
    failed: list[BaseException] = []
    gate = threading.Barrier(THREADS)

    def run(index: int) -> None:
        try:
            gate.wait(60)
            found[index] = work(index)
        except BaseException as error:  # noqa: BLE001 - told to the main thread
            failed.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return [found[index] for index in range(THREADS)]


def stats(entries: int = 64) -> MapSpec:
    """Return a map with BTF of its own, of which nothing has been made yet."""
    return MapSpec(name="stats", type="hash", key="u32", value=Stat, max_entries=entries)


def test_what_is_made_at_first_use_is_the_same_for_all() -> None:
    for _ in range(rounds(20)):
        with stats().create() as map:
            seed: Any = {"calls": 7, "total": 8}

            def work(index: int, map: Map[Any, Any] = map, seed: Any = seed) -> tuple[Any, ...]:
                key = index + 1
                map[key] = seed
                first = map[key]
                bound = map.bind(value=Stat)[key]
                named = map.bind(enums="names", byteorder={"calls": "big"})[key]
                keys, values = map.read()
                row = values[list(keys).index(key)].item()
                table = map.to_arrow()
                capsules = table.__arrow_c_array__()
                assert len(capsules) == 2
                assert dict(map.items())[key] == first == bound == row == (7, 8)
                assert named == (7 << 56, 8)
                return type(first), type(bound), table.names, values.dtype

            for kinds in zip(*at_once(work), strict=True):
                assert len(set(kinds)) == 1


def test_the_code_for_exports_is_put_into_memory_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):  # each leaves a page in this process
        monkeypatch.setattr(callbacks, "_code", [])
        made = at_once(lambda _: callbacks.code())
        assert len(set(map(id, made))) == 1


def test_a_ring_has_one_reader_however_many_ask_at_once() -> None:
    with MapSpec(name="ring", type=MapType.RINGBUF, max_entries=4096).create() as ring:

        def ask(_: int) -> Any:
            try:
                return ring.stream()
            except SkepError as error:
                assert "open reader already" in str(error)  # noqa: PT017 - the others are told
                return None

        for _ in range(rounds(30)):
            (stream,) = (one for one in at_once(ask) if one is not None)
            stream.close()


def test_all_of_a_map_in_many_threads_until_it_is_closed() -> None:
    """Each thread has keys of its own, which only it changes, and looks at everything."""
    own = 16
    live = stats(own * THREADS * 2).create()
    array = MapSpec(
        name="array", type="array", key="u32", value="u64", max_entries=THREADS,
        flags=int(MapFlags.MMAPABLE),
    ).create()  # fmt: skip
    assert isinstance(array, ArrayMap)
    exported: collections.deque[object] = collections.deque()
    turns = rounds(15)
    worked, closed = threading.Semaphore(0), threading.Event()

    def work(index: int) -> int:
        mine = range(index * own, (index + 1) * own)
        view = live.bind(value=Stat)
        slots = array.view()
        for turn in range(1, turns + 1):
            value = Stat(calls=index, total=turn)
            for key in mine:
                live[key] = value
            live.insert(own * THREADS + index, value)
            assert [view[key] for key in mine] == [value] * own
            assert live.pop(own * THREADS + index) == value
            keys, values = live.read()
            rows = values[(keys >= mine.start) & (keys < mine.stop)]
            assert len(rows) == own
            assert set(rows["total"].tolist()) == {turn}
            items = {key: item for key, item in live.items() if key in mine}
            assert items == dict.fromkeys(mine, value)
            slots[index] += 1
            assert array.load_u64(index) == turn
            assert array[index] == turn
            # Exported here, and let go of by whichever thread comes next.
            exported.append(live.to_arrow().__arrow_c_array__())
            exported.append(array.to_arrow().__arrow_c_stream__())
            if len(exported) > THREADS:
                exported.popleft()
            with Map.from_id(live.id) as other:
                assert tuple(other[mine.start]) == (index, turn)
            with stats().create() as another:
                another[0] = value
                assert another[0] == value
        worked.release()

        def read_on() -> None:
            while True:
                assert tuple(live[mine.start]) == (index, turns)
                assert array[index] == turns

        with pytest.raises(ClosedError):
            read_on()
        assert closed.wait(60)
        with pytest.raises(ClosedError):
            view[mine.start]
        with pytest.raises(ClosedError):
            live.read()
        with pytest.raises(ClosedError):
            array.view()
        return int(slots[index])  # the memory stays as long as somebody looks at it

    def closing() -> None:
        for _ in range(THREADS):
            worked.acquire(timeout=60)
        live.close()
        array.close()
        closed.set()

    closer = threading.Thread(target=closing)
    closer.start()
    try:
        assert at_once(work) == [turns] * THREADS
    finally:
        for _ in range(THREADS):  # after a failure, nobody else does
            worked.release()
        closer.join()
        exported.clear()
    assert live.closed
    assert array.closed


def test_variables_of_one_section_are_written_apart(live_numbers: Map[int, int]) -> None:
    """Neighbours in one page of shared memory, each with a thread of its own."""
    slots = live_numbers.memory()
    assert slots is not None
    numbers = np.frombuffer(slots.view, np.uint64)
    turns = rounds(2000)

    def count(index: int) -> None:
        for _ in range(turns):
            numbers[index] += np.uint64(1)

    at_once(count)
    assert [live_numbers[index] for index in range(THREADS)] == [turns] * THREADS


@pytest.fixture
def live_numbers() -> Iterator[Map[int, int]]:
    spec = MapSpec(
        name="numbers", type="array", key="u32", value="u64", max_entries=THREADS,
        flags=int(MapFlags.MMAPABLE),
    )  # fmt: skip
    with spec.create() as made:
        yield made
