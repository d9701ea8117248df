"""From totals to what is happening now: rates and recent history, from one snapshot to the next.

Knows nothing of particular probes: a counter becomes rates per label, a histogram what was added
to it last, so a new probe shows up on the terminal without a line of code here.
"""

from __future__ import annotations

from collections import deque

from skep.agent.families import Counter, Distribution, Histogram

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from skep.agent.families import AnyFamily
    from skep.agent.status import Snapshot

HISTORY = 60  # reads remembered for sparklines


class CounterTrend:
    """How fast a counter grows: per combination of labels, and in all.

    `rates` is sorted by falling rate and holds only what grew; `total` is their sum; `history`
    holds the last totals, `histories` the same by label.
    """

    __slots__ = ("_last", "histories", "history", "name", "rates", "total")

    def __init__(self, name: str) -> None:
        self.name = name
        self.rates: list[tuple[tuple[str, ...], float]] = []
        self.total = 0.0
        self.history: deque[float] = deque(maxlen=HISTORY)
        self.histories: dict[tuple[str, ...], deque[float]] = {}
        self._last: dict[tuple[str, ...], float] | None = None

    def update(self, family: Counter, seconds: float) -> None:
        """Take the state of the counter *seconds* after the last one."""
        last, self._last = self._last, dict(family.samples)
        if last is None or seconds <= 0:
            return
        rates = {
            labels: max(0.0, value - last.get(labels, 0.0)) / seconds
            for labels, value in family.samples.items()
        }
        self.histories = {
            labels: self.histories.get(labels) or deque(maxlen=HISTORY) for labels in rates
        }
        for labels, rate in rates.items():
            self.histories[labels].append(rate)
        self.rates = sorted(
            (item for item in rates.items() if item[1] > 0), key=lambda item: (-item[1], item[0])
        )
        self.total = sum(rates.values())
        self.history.append(self.total)


class HistogramTrend:
    """What was added to a histogram (all its labels together) between the last two reads."""

    __slots__ = ("_last", "history", "latest", "name", "rate")

    def __init__(self, name: str) -> None:
        self.name = name
        self.latest: Distribution | None = None
        self.rate = 0.0
        self.history: deque[float] = deque(maxlen=HISTORY)  # of the 99th percentile
        self._last: Distribution | None = None

    def update(self, family: Histogram, seconds: float) -> None:
        """Take the state of the histogram *seconds* after the last one."""
        now = merged(list(family.samples.values()))
        if now is None:
            return
        last, self._last = self._last, now
        if last is None or seconds <= 0:
            return
        self.latest = now.since(last)
        self.rate = self.latest.total / seconds
        self.history.append(self.latest.quantile(0.99) or 0.0)


def merged(parts: Sequence[Distribution]) -> Distribution | None:
    """Return the sum of histograms that have the same bounds, or None of nothing."""
    if len(parts) < 2:
        return parts[0] if parts else None
    counts = [sum(column) for column in zip(*(part.counts for part in parts), strict=True)]
    return Distribution(parts[0].bounds, counts, sum(part.sum for part in parts))


class Trends:
    """The trends of every counter and histogram, by probe, in the order the probes have them."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, CounterTrend | HistogramTrend]] = {}
        self._read: dict[str, float] = {}

    def update(self, snapshot: Snapshot) -> None:
        """Take a snapshot; probes that were not read since the last one stay as they were."""
        for probe in snapshot.probes:
            if probe.last_read is None or self._read.get(probe.name) == probe.last_read:
                continue
            seconds = probe.last_read - self._read.get(probe.name, probe.last_read)
            self._read[probe.name] = probe.last_read
            trends = self._of.setdefault(probe.name, {})
            for family in probe.families:
                self._take(trends, family, seconds)

    @staticmethod
    def _take(
        trends: dict[str, CounterTrend | HistogramTrend], family: AnyFamily, seconds: float
    ) -> None:
        trend = trends.get(family.name)
        if isinstance(family, Counter):
            if not isinstance(trend, CounterTrend):
                trend = trends[family.name] = CounterTrend(family.name)
            trend.update(family, seconds)
        elif isinstance(family, Histogram):
            if not isinstance(trend, HistogramTrend):
                trend = trends[family.name] = HistogramTrend(family.name)
            trend.update(family, seconds)

    def of(self, probe: str) -> Sequence[CounterTrend | HistogramTrend]:
        """Return the trends of one probe."""
        return tuple(self._of.get(probe, {}).values())
