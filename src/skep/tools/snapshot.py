"""A snapshot: everything a running tool has counted so far, read at one moment."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skep.tools.histogram import Histogram
    from skep.tools.table import Table


class Snapshot:
    """Histograms and tables since the tool was opened. Immutable; share it freely.

    `taken` is the wall clock (`time.time`), `seconds` how long the counting took: since the
    tool was opened, or for a difference since the earlier snapshot. `lost` says how many things
    were not counted, by reason; nothing else is missing.
    """

    __slots__ = ("histograms", "lost", "seconds", "tables", "taken")

    def __init__(
        self,
        *,
        histograms: Sequence[Histogram] = (),
        tables: Sequence[Table] = (),
        lost: Mapping[str, int] | None = None,
        seconds: float = 0.0,
        taken: float | None = None,
    ) -> None:
        self.histograms = tuple(histograms)
        self.tables = tuple(tables)
        self.lost = dict(lost or {})
        self.seconds = seconds
        self.taken = time.time() if taken is None else taken

    def __repr__(self) -> str:
        return (
            f"<Snapshot of {len(self.histograms)} histograms and {len(self.tables)} tables "
            f"over {self.seconds:.1f} s>"
        )

    def since(self, earlier: Snapshot | None) -> Snapshot:
        """Return what was added after *earlier*, a former snapshot of the same tool.

        Histograms and rows to which nothing was added are left out; a histogram without labels
        stays, even empty.
        """
        if earlier is None:
            return self
        before = {histogram.key: histogram for histogram in earlier.histograms}
        histograms = [one.since(before.get(one.key)) for one in self.histograms]
        tables = [
            table.since(earlier.tables[place] if place < len(earlier.tables) else None)
            for place, table in enumerate(self.tables)
        ]
        lost = {reason: count - earlier.lost.get(reason, 0) for reason, count in self.lost.items()}
        return Snapshot(
            histograms=[one for one in histograms if one.total or not one.labels],
            tables=tables,
            lost={reason: count for reason, count in lost.items() if count > 0},
            seconds=self.seconds - earlier.seconds,
            taken=self.taken,
        )

    def replace(
        self,
        *,
        histograms: Sequence[Histogram] | None = None,
        tables: Sequence[Table] | None = None,
    ) -> Snapshot:
        """Return a copy with other histograms or tables: sorted, cut, filtered."""
        return Snapshot(
            histograms=self.histograms if histograms is None else histograms,
            tables=self.tables if tables is None else tables,
            lost=self.lost,
            seconds=self.seconds,
            taken=self.taken,
        )
