"""The main job: probes, HTTP server and view together in one asyncio loop, until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import Protocol

from skep.agent import address
from skep.agent.plain import PlainView
from skep.agent.status import Phase
from skep.agent.supervisor import Supervisor, sentence
from skep.errors import PrivilegeError, SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from typing import TextIO

    from skep.agent.probe import Probe
    from skep.agent.status import Snapshot

# A second signal ends the agent at once, but not one that arrives together with the first:
# a terminal and a supervisor may both send it.
IMPATIENT_AFTER = 1.0


class View(Protocol):
    """What shows snapshots to a person."""

    def start(self) -> None:
        """Take the terminal."""

    def update(self, snapshot: Snapshot) -> None:
        """Show *snapshot*."""

    def stop(self) -> None:
        """Give the terminal back. Idempotent."""


def run(
    probes: Sequence[Probe],
    *,
    listen: tuple[str, int],
    interval: float,
    duration: float | None,
    version: str,
    output: TextIO,
    errors: TextIO,
) -> None:
    """Run the agent until SIGTERM, SIGINT or the end of *duration* seconds, then detach all.

    Shows the live table when *output* is a terminal, else a line now and then. Sentences about
    probes that failed go to *errors*. Raises `SkepError` when it cannot listen or when no probe
    at all could be attached; a single one that failed is reported and the others go on. Raises
    BrokenPipeError, with everything detached, when nobody reads *output* any more.
    """
    # Before anything is loaded: a port in use is known in a millisecond.
    sock = address.listen(*listen)
    try:
        agent = Agent(
            probes, sock, interval=interval, version=version, output=output, errors=errors
        )
        asyncio.run(agent.run(duration))
    finally:
        sock.close()


class Agent:
    """One run of the agent. Use once."""

    def __init__(
        self,
        probes: Sequence[Probe],
        sock: socket.socket,
        *,
        interval: float,
        version: str,
        output: TextIO,
        errors: TextIO,
    ) -> None:
        self._probes = probes
        self._sock = sock
        self._interval = interval
        self._version = version
        self._output = output
        self._errors = errors
        host, port = sock.getsockname()[:2]
        self.url = f"http://{address.show(host, port)}"
        self._exposed = not address.is_loopback(host)

    async def run(self, duration: float | None) -> None:
        """Open, serve and show until stopped, then close everything in reverse."""
        from skep.agent import http
        from skep.agent.metrics import Exporter

        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        if duration is not None:
            loop.call_later(duration, stop.set)
        view = self._view()
        with signals(stop, view):
            async with Supervisor(self._probes, interval=self._interval) as supervisor:
                exporter = Exporter(supervisor.snapshot, version=self._version)
                app = http.application(exporter, supervisor.snapshot, version=self._version)
                server = http.server(app)
                serving = asyncio.create_task(server.serve(sockets=[self._sock]), name="http")
                try:
                    await first_of(stop.wait(), supervisor.opened())
                    self._report_failures(supervisor)
                    await self._show(supervisor, view, stop, serving)
                finally:
                    server.stop()
                    await serving
            self._report_closing(supervisor)

    async def _show(
        self, supervisor: Supervisor, view: View, stop: asyncio.Event, serving: asyncio.Task[None]
    ) -> None:
        await first_of(stop.wait(), supervisor.read_once(), asyncio.sleep(self._interval))
        if stop.is_set():
            return
        if isinstance(view, PlainView):
            self._announce(supervisor)
        loop = asyncio.get_running_loop()
        view.start()
        try:
            due = loop.time()
            while not stop.is_set() and not serving.done():
                view.update(supervisor.snapshot())
                due = max(due + self._interval, loop.time())
                await first_of(stop.wait(), asyncio.sleep(due - loop.time()), serving)
        finally:
            view.stop()

    def _view(self) -> View:
        # A dumb terminal (an editor's, Emacs' shell) has no second screen to draw on.
        if not self._output.isatty() or os.environ.get("TERM", "dumb") == "dumb":
            return PlainView(self._output)
        from rich.console import Console

        from skep.agent.live import LiveView

        header = f"skep {self._version}  {self.url}/metrics"
        return LiveView(Console(file=self._output), header=header)

    def _announce(self, supervisor: Supervisor) -> None:
        snapshot = supervisor.snapshot()
        self._output.write(
            f"skep {self._version} serves {self.url}/metrics, "
            f"{snapshot.up} of {len(snapshot.probes)} probes up\n"
        )
        self._output.flush()
        if self._exposed:
            self._say(f"anyone who can reach {self.url} can read it; there is no password")

    def _report_failures(self, supervisor: Supervisor) -> None:
        failed = supervisor.errors()
        if failed and len(failed) == len(self._probes):
            refuse(failed)
        for name, error in failed:
            self._say(f"{name} is not running: {sentence(error)}")

    def _report_closing(self, supervisor: Supervisor) -> None:
        for probe in supervisor.snapshot().probes:
            if probe.phase is Phase.CLOSED and probe.problem:
                self._say(f"{probe.name}: {probe.problem}")

    def _say(self, sentence: str) -> None:
        self._errors.write(f"skep: {sentence}\n")
        self._errors.flush()


def refuse(failed: Sequence[tuple[str, Exception]]) -> None:
    """Raise the one error that says why none of the probes runs."""
    for _, error in failed:
        if isinstance(error, PrivilegeError):
            raise error  # the same for all of them
    reasons = dict.fromkeys(sentence(error) for _, error in failed)
    raise SkepError(f"none of the {len(failed)} probes could be attached: {'; '.join(reasons)}")


@contextlib.contextmanager
def signals(stop: asyncio.Event, view: View) -> Iterator[None]:
    """Let SIGTERM and SIGINT set *stop*; a second one, later, ends the process at once.

    Ending at once is safe: nothing is pinned, so the kernel frees programs, maps and links with
    the file descriptors of the process.
    """
    loop = asyncio.get_running_loop()
    first: list[float] = []

    def caught(number: int) -> None:
        if not first:
            first.append(loop.time())
            stop.set()
        elif loop.time() - first[0] > IMPATIENT_AFTER:
            view.stop()
            os._exit(128 + number)

    handled = (signal.SIGTERM, signal.SIGINT)
    for number in handled:
        loop.add_signal_handler(number, caught, int(number))
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


async def first_of(*awaitables: Awaitable[object]) -> None:
    """Wait until the first of *awaitables* is done; coroutines that are not are cancelled.

    A task or future that was passed in as such belongs to the caller and goes on.
    """
    ours: list[asyncio.Future[object]] = []
    waited: list[asyncio.Future[object]] = []
    for awaitable in awaitables:
        future = asyncio.ensure_future(awaitable)
        waited.append(future)
        if future is not awaitable:
            ours.append(future)
    try:
        done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for mine in ours:
            mine.cancel()
        await asyncio.gather(*ours, return_exceptions=True)
    for finished in done:
        if not finished.cancelled() and finished in ours:
            finished.result()


def main(
    probes: Callable[[], Sequence[Probe]],
    *,
    listen: str,
    interval: float,
    duration: float | None,
    check: bool,
    version: str,
) -> int:
    """Do what ``skep run`` was asked to with the process's own streams; returns the exit status."""
    if check:
        from skep.agent.check import check as examine

        works = asyncio.run(examine(probes(), output=sys.stdout))
        return 0 if works else 1
    run(
        probes(),
        listen=address.parse(listen),
        interval=interval,
        duration=duration,
        version=version,
        output=sys.stdout,
        errors=sys.stderr,
    )
    return 0
