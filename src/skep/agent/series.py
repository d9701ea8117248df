"""Totals that never go back, from kernel counters that may, with a bounded set of labels.

A kernel map can forget (an LRU map evicts, a probe is loaded again), and a label such as a
process name has no natural limit. Prometheus wants neither: a counter that falls looks like a
restart, and an unbounded label fills its memory. `Totals` stands between the two.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

OTHER = "other"


class Totals:
    """Running totals by name, at most *limit* names, the rest under ``"other"``.

    `update` takes what the kernel's map holds now, and adds what each name grew by since the
    last call. A name whose value fell was forgotten by the kernel and counted anew, so all of
    its value is growth. When every place is taken, a newcomer gets the place of a name that
    has not grown for *idle* seconds, whose total moves to ``"other"``; when there is no such
    name the newcomer itself counts under ``"other"``. So the sum over all names is always the
    sum of everything counted, and no total falls, except that a name which lost its place for
    idleness starts from nothing if it comes back (Prometheus takes that for a restart).

    Not thread-safe: one probe owns it and reads it on its own thread.
    """

    __slots__ = ("_grown", "_last", "_totals", "idle", "limit")

    def __init__(self, limit: int, *, idle: float = 900.0) -> None:
        self.limit = limit
        self.idle = idle
        self._totals: dict[str, int] = {}
        # When each name last grew, oldest first: growing moves a name to the end.
        self._grown: dict[str, float] = {}
        self._last: dict[str, int] = {}

    def update(self, raw: Mapping[str, int], now: float) -> None:
        """Account for *raw*, the kernel's counters at *now* (seconds of any steady clock)."""
        last = self._last
        for name, value in raw.items():
            before = last.get(name, 0)
            growth = value - before if value >= before else value
            if growth:
                self.add(name, growth, now)
        self._last = dict(raw)

    def forget_baseline(self) -> None:
        """Say that the kernel's counters start from nothing: the probe was loaded again."""
        self._last = {}

    def add(self, name: str, growth: int, now: float) -> None:
        """Add *growth* to one name directly."""
        if name != OTHER and name not in self._totals and not self._place_for_one_more(now):
            name = OTHER
        self._totals[name] = self._totals.get(name, 0) + growth
        if name != OTHER:
            self._grown.pop(name, None)
            self._grown[name] = now

    def _place_for_one_more(self, now: float) -> bool:
        if len(self._grown) < self.limit:
            return True
        oldest = next(iter(self._grown), None)
        if oldest is None or now - self._grown[oldest] < self.idle:
            return False
        del self._grown[oldest]
        self._totals[OTHER] = self._totals.get(OTHER, 0) + self._totals.pop(oldest)
        return True

    @property
    def sum(self) -> int:
        """Everything counted so far, under whatever name."""
        return sum(self._totals.values())

    def read(self) -> dict[str, int]:
        """Return a copy of the totals, by name."""
        return dict(self._totals)
