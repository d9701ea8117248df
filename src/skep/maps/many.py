"""Reading many maps at once: what a scrape does."""

from __future__ import annotations

from _thread import allocate_lock, start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    import numpy as np

    from skep.maps.map import Map

    Columns = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]

_WORTH = 2  # maps from which on a second thread is started


def read_all(maps: Iterable[Map]) -> list[Columns]:
    """Return ``map.read()`` of each of *maps*, in their order, read on all processors at once.

    Reading is the kernel's work, done without Python's lock, so threads divide it: one for each
    processor that this process may use, the calling one included. They have ended when the call
    returns. When a map cannot be read the error of the first such map is raised, after the others
    have been read. An interrupt (Ctrl-C) ends it before.
    """
    from skep.maps.dump import processors

    wanted = list(maps)
    results: list[Any] = [None] * len(wanted)
    failures: dict[int, Exception] = {}
    waiting = list(range(len(wanted) - 1, -1, -1))

    def work() -> None:
        while True:
            try:
                number = waiting.pop()  # one step for all threads
            except IndexError:
                return
            try:
                results[number] = wanted[number].read()
            except Exception as error:  # noqa: BLE001  raised when all have been read
                failures[number] = error

    running = []
    if len(wanted) >= _WORTH:
        for _ in range(min(processors(), len(wanted)) - 1):
            lock = allocate_lock()
            lock.acquire()
            try:
                start_new_thread(_then_release, (work, lock))
            except RuntimeError:  # no more threads: the others do it
                break
            running.append(lock)
    try:
        work()
    except BaseException:
        waiting.clear()  # the others end with what they have begun
        raise
    finally:
        for lock in running:
            lock.acquire()
    if failures:
        raise failures[min(failures)]
    return results


def _then_release(work: Any, lock: Any) -> None:
    try:
        work()
    finally:
        lock.release()
