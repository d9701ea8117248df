"""The supervisor: owns the probes, opens them, reads each at an interval, closes them.

One asyncio task and one thread a probe. The task keeps time and publishes; the thread does what
blocks. Everything published is an immutable `Status`, replaced as a whole in the loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
from time import monotonic, perf_counter

from skep.agent.status import Phase, Snapshot, Status
from skep.agent.worker import Worker
from skep.errors import SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from skep.agent.probe import Probe

# How long closing waits for a read that is under way before the probe is left to the end of
# the process. Detaching itself waits for the kernel's grace periods: tens of milliseconds.
CLOSE_TIMEOUT = 5.0

# How long a probe waits with opening for the one before it. One after the other, they share
# what the first has to find out (the kernel's types); all at once, each does it by itself, and
# the process stays larger by what that took. One that is stuck holds up none for longer.
TURN_TIMEOUT = 1.0


class Supervisor:
    """Runs *probes*, reading each every *interval* seconds. Use as ``async with``.

    Entering starts opening the probes and returns at once; `opened` waits until each is attached
    or has failed, `read_once` until each was read as well. A probe that
    fails or is stuck does not hold up the others (its `Status` says why). Leaving closes them
    all. `snapshot` may be called at any time from the loop's thread and never waits.
    """

    def __init__(self, probes: Sequence[Probe], *, interval: float) -> None:
        names = [probe.name for probe in probes]
        if len(set(names)) != len(names):
            raise ValueError(f"two probes of one agent share a name: {names}")
        self.interval = interval
        self._keepers = [Keeper(probe, interval) for probe in probes]

    async def __aenter__(self) -> Self:
        before: Keeper | None = None
        for keeper in self._keepers:
            keeper.start(before)
            before = keeper
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def opened(self) -> None:
        """Wait until every probe is attached or has failed to."""
        await asyncio.gather(*(keeper.opened.wait() for keeper in self._keepers))

    async def read_once(self) -> None:
        """Wait until the first read of every probe has ended, well or not."""
        await asyncio.gather(*(keeper.tried.wait() for keeper in self._keepers))

    def snapshot(self) -> Snapshot:
        """Return every probe's state as of its last read."""
        return Snapshot(monotonic(), [keeper.status for keeper in self._keepers])

    def errors(self) -> list[tuple[str, Exception]]:
        """Return the probes that could not be opened, by name, and why."""
        return [(k.probe.name, k.error) for k in self._keepers if k.error is not None]

    async def close(self) -> list[str]:
        """Detach and close every probe; idempotent. Returns the names of those still stuck."""
        ended = await asyncio.gather(*(keeper.close() for keeper in self._keepers))
        return [k.probe.name for k, end in zip(self._keepers, ended, strict=True) if not end]


class Keeper:
    """Keeps one probe: its thread, its reading task, and the `status` it last published.

    `opened` is set once the probe is attached or has failed to; `tried` once the first read has
    ended, well or not, or can never happen.
    """

    def __init__(self, probe: Probe, interval: float) -> None:
        self.probe = probe
        self.interval = interval
        self.error: Exception | None = None
        self.status = Status(probe.name, probe.title, interval=interval)
        self.opened = asyncio.Event()
        self.tried = asyncio.Event()
        self._worker: Worker | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def start(self, before: Keeper | None = None) -> None:
        """Start the thread and the task that opens the probe, after *before*, and then reads it."""
        self._worker = Worker(f"skep-{self.probe.name}")
        life = self._live(self._worker, before)
        self._task = asyncio.create_task(life, name=f"keep {self.probe.name}")
        self._task.add_done_callback(self._stopped)

    async def _live(self, worker: Worker, before: Keeper | None) -> None:
        if before is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TURN_TIMEOUT):
                    await before.opened.wait()
        try:
            await worker.call(self.probe.open)
        except Exception as error:  # noqa: BLE001  one probe's bug must not end the others
            self.error = error
            self.status = self.status.but(phase=Phase.FAILED, problem=sentence(error))
            return
        finally:
            self.opened.set()
        self.status = self.status.but(phase=Phase.RUNNING)
        await self._read(worker)
        self.tried.set()
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            # From the time it was due, not from now, so that reads do not drift; but those
            # missed while one took too long are not made up for.
            due = max(due + self.interval, loop.time())
            await asyncio.sleep(due - loop.time())
            await self._read(worker)

    async def _read(self, worker: Worker) -> None:
        try:
            self.status = await worker.call(self._read_on_worker)
        except Exception as error:  # noqa: BLE001  reported, and tried again at the next interval
            self.status = self.status.but(
                problem=f"reading it failed: {sentence(error)}",
                read_errors=self.status.read_errors + 1,
            )

    def _read_on_worker(self) -> Status:
        started = perf_counter()
        families = tuple(self.probe.collect())
        problem = self.probe.health()
        before = self.status
        return before.but(
            problem=problem,
            last_read=monotonic(),
            reads=before.reads + 1,
            read_seconds=perf_counter() - started,
            families=families,
            losses=dict(self.probe.losses()),
            attachments=tuple(self.probe.attachments()),
            recent=tuple(self.probe.recent()),
        )

    def _stopped(self, task: asyncio.Task[None]) -> None:
        self.opened.set()
        self.tried.set()
        # Only close() ends the task on purpose, by cancelling it, and a failed open().
        if not task.cancelled() and self.status.phase is not Phase.FAILED:
            error = task.exception()
            why = sentence(error) if isinstance(error, Exception) else repr(error)
            self.status = self.status.but(problem=f"its reader ended: {why}")

    async def close(self) -> bool:
        """Stop reading and close the probe; True when its thread has ended. Idempotent."""
        if self._closed:
            return self._worker is None or not self._worker.alive
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._worker is None:
            return True
        # Queued behind a read that is under way; a stuck one is left behind after the timeout.
        closing = self._worker.call(self.probe.close)
        ended = await self._worker.close(CLOSE_TIMEOUT)
        problem = ""
        if ended:
            (failure,) = await asyncio.gather(closing, return_exceptions=True)
            if isinstance(failure, Exception):
                problem = f"closing it failed: {sentence(failure)}"
        else:
            closing.cancel()
            problem = f"it did not stop within {CLOSE_TIMEOUT:g} s"
        if self.status.phase is not Phase.FAILED:
            self.status = self.status.but(phase=Phase.CLOSED, problem=problem)
        return ended


def sentence(error: BaseException) -> str:
    """Say what *error* means in one sentence; a bug of ours is named by its type and place."""
    if isinstance(error, SkepError):
        return str(error)
    where = ""
    trace = error.__traceback__
    while trace is not None:
        where = f" at {trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"unexpected {type(error).__name__}{where}: {error}"
