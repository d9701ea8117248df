"""The life of a live map: one owner, closing while others use it, and what forgetting says."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from needs import rounds

from skep.errors import ClosedError
from skep.kernel import bpf
from skep.kernel.constants import MapFlags, MapType
from skep.kernel.fd import FD
from skep.maps.live import lock
from skep.maps.spec import MapSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skep.maps.map import Map


def spec(name: str = "counts", type: MapType = MapType.HASH, flags: int = 0) -> MapSpec:
    return MapSpec(name=name, type=type, key_size=4, value_size=8, max_entries=64, flags=flags)


KEY = b"\0\0\0\0"


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Let threads change places as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def opened() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def read_item(map: Map) -> bytes:
    return bytes(map[KEY])


def read_columns(map: Map) -> bytes:
    return bytes(map.read()[1].tobytes()[:8])


def walk(map: Map) -> bytes:
    return next(bytes(value) for value in map.values())


@pytest.mark.parametrize("read", [read_item, read_columns, walk])
def test_a_map_closed_under_its_readers_is_closed_and_never_another(
    eager_threads: None, read: Callable[[Map], bytes]
) -> None:
    """Whenever a map closes, maps with other contents take every free number at once."""
    current: list[tuple[Map, bytes]] = []
    wrong: list[object] = []
    right, closed = [0], [0]
    stop = threading.Event()

    def reader() -> None:
        while not stop.is_set():
            map, expected = current[0]
            try:
                value = read(map)
            except ClosedError:
                closed[0] += 1
            except BaseException as error:  # noqa: BLE001 - told to the main thread
                wrong.append(error)
                return
            else:
                right[0] += 1
                if value != expected:
                    wrong.append((value, expected))

    def fresh(tag: int) -> tuple[Map, bytes]:
        map, value = spec().create(), tag.to_bytes(8, "little")
        map[KEY] = value
        return map, value

    current.append(fresh(0))
    threads = [threading.Thread(target=reader) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for round in range(1, max(40, rounds(150))):
            old, current[0] = current[0][0], fresh(2 * round)
            old.close()
            decoys = [fresh(2 * round + 1)[0] for _ in range(3)]
            for decoy in decoys:
                decoy.close()
            # The map that everybody is reading, this time.
            current[0][0].close()
            others = [fresh(2 * round + 1)[0] for _ in range(3)]
            current[0] = fresh(2 * round)
            for other in others:
                other.close()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        current[0][0].close()
    assert not wrong
    assert right[0]
    assert closed[0]


def test_a_write_under_way_never_lands_in_another_map(eager_threads: None) -> None:
    current: list[Map] = [spec().create()]
    failed: list[BaseException] = []
    stop = threading.Event()

    def writer() -> None:
        while not stop.is_set():
            try:
                current[0][KEY] = b"intruder"
            except ClosedError:
                pass
            except BaseException as error:  # noqa: BLE001 - told to the main thread
                failed.append(error)
                return

    threads = [threading.Thread(target=writer) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(rounds(200)):
            current[0].close()
            bystanders = [spec("bystander").create() for _ in range(3)]
            current[0] = spec().create()
            for bystander in bystanders:
                assert bystander.count() == 0
                bystander.close()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        current[0].close()
    assert not failed


def test_a_retired_number_stays_taken_while_somebody_holds_the_descriptor() -> None:
    live = spec().create()
    held = live.fd
    number = held.fileno()
    id = live.id
    live.close()
    assert held.closed
    with spec("next").create() as other:
        assert other.fileno() != number
        # What a thread does that has read the number already: the kernel finds no map there.
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.read(number, 1)
        assert not os.get_inheritable(number)
    with pytest.raises(OSError, match="no such map"):
        bpf.fd_by_id("map", id)  # the kernel freed it although the number is still taken
    assert os.fstat(number)
    del held
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_the_kernel_s_bad_descriptor_is_told_as_closed() -> None:
    """The very race, in slow motion: the number is in the attribute when the map is closed."""
    live = spec().create()

    class Slow(FD):
        def fileno(self) -> int:
            number = super().fileno()
            live.close()
            return number

    slow = Slow(live.fd.detach(), "map 'counts'")
    live._fd = slow
    with pytest.raises(ClosedError, match="map 'counts' is closed") as caught:
        live[KEY]
    assert caught.value.hint == "another thread closed it during the call"
    for call in (
        lambda: bpf.map_update(slow, KEY, bytes(8)),
        lambda: bpf.map_info(slow),
        slow.dup,
    ):
        with pytest.raises(ClosedError):
            call()


def every_number() -> list[int]:
    """Open files until there is no number left; return them."""
    taken = []
    with contextlib.suppress(OSError):
        while True:
            taken.append(os.open("/", os.O_PATH))
    return taken


def test_closing_without_a_free_number_still_closes() -> None:
    """Every number taken: the file goes with the last reference instead."""
    import resource

    live = spec().create()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (live.fileno() + 1, hard))
    try:
        taken = every_number()
        live.close()
        assert live.closed
        for number in taken:
            os.close(number)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_closing_is_idempotent_from_many_threads() -> None:
    lives = [spec().create() for _ in range(50)]
    before = threading.Barrier(4)

    def close_all() -> None:
        before.wait()
        for live in lives:
            live.close()

    threads = [threading.Thread(target=close_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(live.closed for live in lives)


def test_memory_and_streams_close_with_their_map() -> None:
    array = spec("array", MapType.ARRAY, flags=int(MapFlags.MMAPABLE)).create()
    memory = array.memory()
    assert memory is not None
    kept = np.frombuffer(memory.view, np.uint64)
    array.close()
    assert memory.closed
    assert kept.sum() == 0  # a view outlives its map: old data, no crash
    with pytest.raises(ClosedError, match="map 'array' is closed"):
        array.memory()
    ring = MapSpec(name="ring", type=MapType.RINGBUF, max_entries=4096).create()
    stream = ring.stream()
    ring.close()
    assert stream.closed
    with pytest.raises(ClosedError, match="map 'ring' is closed"):
        ring.stream()
    del kept
    gc.collect()


def test_forgetting_a_map_says_which_and_where_it_was_opened() -> None:
    line = sys._getframe().f_lineno + 1
    lives = [spec("forgotten").create()]
    with pytest.warns(ResourceWarning) as caught:
        lives.clear()
    (warning,) = caught  # one, not one for each part
    assert str(warning.message) == (
        f"map 'forgotten' (hash) was never closed; it was opened at {__file__}:{line}"
    )


def test_forgetting_an_array_with_memory_is_one_warning() -> None:
    lives = [spec("array", MapType.ARRAY, flags=int(MapFlags.MMAPABLE)).create()]
    lives[0].memory()
    with pytest.warns(ResourceWarning, match=r"map 'array' \(array\) was never closed") as caught:
        lives.clear()
    assert len(caught) == 1


def test_a_view_shares_the_map_and_closes_with_it() -> None:
    live = spec("array", MapType.ARRAY, flags=int(MapFlags.MMAPABLE)).create()
    view, other = live.viewed(live.cells), live.viewed(live.cells)
    view[3] = b"12345678"
    assert live[3] == b"12345678"
    assert view.memory() is live.memory()
    other.close()
    assert other.closed
    assert live[3] == b"12345678"
    live.close()
    assert view.closed
    with pytest.raises(ClosedError):
        view[3]
    with pytest.raises(ClosedError):
        view.memory()


def test_a_view_freezes_its_map_though_the_map_is_mapped() -> None:
    """It asked the kernel while the map's own pages were mapped writable: EBUSY."""
    with spec("array", MapType.ARRAY, flags=int(MapFlags.MMAPABLE)).create() as array:
        assert array.memory() is not None
        view = array.bind()
        view.freeze()
        assert array.frozen
        assert view.frozen
        memory = array.memory()
        assert memory is not None
        assert memory.view.readonly


LOADS = """
import sys, threading
from skep.errors import ClosedError
from skep.maps.spec import MapSpec
sys.setswitchinterval(1e-6)
spec = MapSpec(name="words", type="array", key="u32", value="u64", max_entries=8, flags=1 << 10)
current, stop, loads = [None], [], [0, 0]

def load(part):
    while not stop:
        try:
            while (words := current[0]) is not None:
                assert words.load_u64(0) == 7
                words.store_u64(1, 5)
                loads[part] += 1
        except ClosedError:
            pass

threads = [threading.Thread(target=load, args=(part,)) for part in (0, 1)]
for thread in threads:
    thread.start()
for _ in range(int(sys.argv[1])):
    words = spec.create()
    words[0] = 7
    words.memory()
    current[0] = words
    for _ in range(20):
        words.load_u64(0)
    words.close()
stop.append(True)
current[0] = None
for thread in threads:
    thread.join()
assert all(loads)
"""


def test_words_are_loaded_while_another_thread_closes_the_map() -> None:
    """The pages went between the address and the access: SIGSEGV, so in a process of its own."""
    command = [sys.executable, "-c", LOADS, str(rounds(1500))]
    ended = subprocess.run(command, check=False, capture_output=True)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_child_forked_while_another_thread_maps_closes_its_maps() -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    with spec().create() as map:
        thread.start()
        held.wait()
        pid = os.fork()
        if not pid:
            try:
                signal.alarm(20)  # which ends a child that waits for ever
                map.close()
            finally:
                os._exit(0 if map.closed else 1)
        _, status = os.waitpid(pid, 0)
        done.set()
        thread.join()
    assert status == 0


def test_a_map_is_true_even_when_it_is_empty() -> None:
    with spec().create() as live:
        assert live
        assert live.count() == 0


def test_many_cycles_leave_nothing_behind() -> None:
    before = opened()
    for _ in range(rounds(2000)):
        with spec().create() as live:
            live[KEY] = bytes(8)
    assert opened() == before
