"""Running a tool for a person: open, print every interval or as things happen, end in order."""

from __future__ import annotations

import time

from skep.errors import RangeError
from skep.tools.frame import EventTool, SnapshotTool, told
from skep.tools.stop import Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from skep.tools.frame import Running, Tool
    from skep.tools.output import Output


class Schedule:
    """When to print and when to end, in seconds from the start. None means never."""

    __slots__ = ("count", "duration", "interval")

    def __init__(
        self, interval: float | None = None, count: int | None = None, duration: float | None = None
    ) -> None:
        if count is not None and interval is None:
            raise RangeError("a number of outputs needs an interval")
        self.interval = interval
        self.count = count
        self.duration = duration

    def next(self, done: int) -> tuple[float | None, bool]:
        """Return when the output after *done* others is due, and whether it is the last."""
        due = None if self.interval is None else self.interval * (done + 1)
        if self.duration is not None and (due is None or due >= self.duration):
            return self.duration, True
        return due, self.count is not None and done + 1 >= self.count

    @property
    def until(self) -> str:
        """How it ends, for a person."""
        if self.duration is not None:
            return f"Ends after {self.duration:g} s, or with Ctrl-C"
        return "Hit Ctrl-C to end"


def run(tool: Tool, given: Mapping[str, Any], output: Output, schedule: Schedule) -> None:
    """Run *tool* with the options *given* until its schedule or a signal ends it.

    Whatever was counted until then is printed. Raises what `Tool.open` raises, and `OSError`
    when the output cannot be written.
    """
    with Stop() as stop, tool.open(**given) as running:
        output.begin(tool.tracing(running.options), until=schedule.until)
        if isinstance(tool, SnapshotTool):
            _intervals(tool, running, output, schedule, stop)
        elif isinstance(tool, EventTool):
            _events(tool, running, output, schedule, stop)
        for sentence in told(tool, running.lost()):
            output.warn(sentence)


def _intervals(
    tool: SnapshotTool, running: Running, output: Output, schedule: Schedule, stop: Stop
) -> None:
    earlier = None
    done, last = 0, False
    while not last:
        # Due times are multiples of the interval from the start: printing takes none of it.
        due, last = schedule.next(done)
        left = None if due is None else running.opened + due - time.monotonic()
        last = stop.wait(left) or last
        now = running.snapshot()
        output.snapshot(tool.present(now.since(earlier), running.options))
        earlier = now
        done += 1


def _events(
    tool: EventTool, running: Running, output: Output, schedule: Schedule, stop: Stop
) -> None:
    output.head(tool)
    end = None if schedule.duration is None else running.opened + schedule.duration
    over = False
    while not over:
        left = None if end is None else end - time.monotonic()
        over = stop.wait(left, running.fileno()) or (left is not None and left <= 0)
        # Also when it is over: what happened before the end is reported.
        rows = running.read(0)
        if rows:
            output.rows(tool, rows)
