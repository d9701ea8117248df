"""One thread that does what it is told, for one asyncio task that waits for it.

Not a ThreadPoolExecutor: its threads are joined when the interpreter ends, so a probe stuck in
a system call would keep a stopped agent alive. This thread is a daemon: `close` waits for it as
long as it is told to and then leaves it to the end of the process.
"""

from __future__ import annotations

import asyncio
import threading
from queue import SimpleQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")


class Worker:
    """A named daemon thread. `call` runs a function on it; `close` ends it."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = (
            SimpleQueue()
        )
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Hand *function* to the thread; await the result, or what it raised.

        Calls run one after another in the order they were made. Cancelling the wait does not
        stop the function: the thread finishes it and drops the result.
        """
        if self._closing:
            raise RuntimeError("the worker was told to end")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put((function, future))
        return future

    @property
    def alive(self) -> bool:
        """False once the thread has ended."""
        return self._thread.is_alive()

    async def close(self, patience: float) -> bool:
        """End the thread after what it was told so far; True if it ended within *patience* s."""
        self._closing = True
        self._jobs.put(None)
        deadline = asyncio.get_running_loop().time() + patience
        while self._thread.is_alive():
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(0.005)
        self._thread.join()
        return True

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            _do(*job)
            del job  # or the last result would live until the next call


def _do(function: Callable[[], Any], future: asyncio.Future[Any]) -> None:
    try:
        result = function()
    except StopIteration as error:  # a future refuses to carry this one
        _tell(future, _fail, RuntimeError(f"{function!r} raised {error!r}"))
    except BaseException as error:  # noqa: BLE001  the caller decides, even about SystemExit
        _tell(future, _fail, error)
    else:
        _tell(future, _finish, result)


def _tell(future: asyncio.Future[Any], how: Callable[..., None], answer: object) -> None:
    loop = future.get_loop()
    try:
        loop.call_soon_threadsafe(how, future, answer)
    except RuntimeError:
        # The agent has ended and waits for no answer; anything else is a bug to be seen.
        if not loop.is_closed():
            raise


def _finish(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
