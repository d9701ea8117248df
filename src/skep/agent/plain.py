"""The agent's output when it is not on a terminal: one line now and then."""

from __future__ import annotations

from time import strftime

from skep.agent.text import clean, duration, number
from skep.agent.trend import CounterTrend, HistogramTrend, Trends

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from skep.agent.status import Snapshot

EVERY = 10.0  # seconds


class PlainView:
    """Writes one line to *stream* every *every* seconds, and one at once when health changes."""

    def __init__(self, stream: TextIO, *, every: float = EVERY) -> None:
        self._stream = stream
        self._every = every
        self._next: float | None = None
        self._trends = Trends()
        self._problems: dict[str, str] = {}

    def start(self) -> None:
        """Do nothing: there is no screen to set up."""

    def stop(self) -> None:
        """Do nothing."""

    def update(self, snapshot: Snapshot) -> None:
        """Take a snapshot; write what is due."""
        if self._next is None:
            self._trends.update(snapshot)  # where the first line's rates start
            self._next = snapshot.time + self._every
        self._report_changes(snapshot)
        if snapshot.time >= self._next:
            self._next = max(self._next + self._every, snapshot.time)
            # Once a line, so that its rates are those of the whole time since the last one.
            self._trends.update(snapshot)
            self._write(summary(snapshot, self._trends))

    def _report_changes(self, snapshot: Snapshot) -> None:
        for probe in snapshot.probes:
            # Only what the probe said itself: an age would be another sentence every time.
            problem = probe.problem or ("late" if probe.reason(snapshot.time) else "")
            if problem != self._problems.get(probe.name, ""):
                self._problems[probe.name] = problem
                reason = probe.reason(snapshot.time)
                self._write(f"{probe.name}: {reason or 'up again'}")

    def _write(self, line: str) -> None:
        self._stream.write(f"{strftime('%H:%M:%S')} {clean(line)}\n")
        self._stream.flush()


def summary(snapshot: Snapshot, trends: Trends) -> str:
    """Return what happens now in one line: every probe's rates, the largest labels named."""
    parts = [f"up {snapshot.up}/{len(snapshot.probes)}"]
    for probe in snapshot.probes:
        for trend in trends.of(probe.name):
            if isinstance(trend, HistogramTrend) and trend.latest is not None:
                p50, p99 = trend.latest.quantile(0.5), trend.latest.quantile(0.99)
                if p50 is not None and p99 is not None:
                    values = f"p50<{duration(p50)} p99<{duration(p99)} {number(trend.rate)}/s"
                    parts.append(f"{probe.name} {values}")
            elif isinstance(trend, CounterTrend):
                parts.append(f"{probe.name} {rate(trend, trend.total)}{largest(trend)}")
    return "  ".join(parts)


def rate(trend: CounterTrend, value: float) -> str:
    """Write a rate: seconds per second are a share of one CPU, all else is a number a second."""
    return f"{value * 100:.1f}%" if trend.name.endswith("_seconds_total") else f"{number(value)}/s"


def largest(trend: CounterTrend) -> str:
    """Name the two labels that grow fastest, in parentheses."""
    top = [(labels[0], value) for labels, value in trend.rates[:2] if labels]
    return f" ({', '.join(f'{label} {rate(trend, value)}' for label, value in top)})" if top else ""
