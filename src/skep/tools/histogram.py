"""Log2 histograms as plain values: what `struct skep_hist` counted, with its unit and labels."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

# Nanoseconds in a unit.
UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000}
SLOTS = 64


class Histogram:
    """How often values of each magnitude occurred. Immutable; share it between threads freely.

    `counts[0]` counts the values 0 and 1, ``counts[i]`` those from 2**i to 2**(i+1) - 1, in
    `unit` ("ns", "us", "ms"). `sum_ns` is the exact sum in nanoseconds, None when it is not
    known: an average is then an estimate from the slots. `labels` says what was measured, such as
    ``{"pid": 12, "comm": "sh"}``; empty for a histogram of everything.
    """

    __slots__ = ("counts", "labels", "sum_ns", "unit")

    def __init__(
        self,
        counts: Sequence[int],
        *,
        unit: str,
        sum_ns: int | None = None,
        labels: Mapping[str, str | int] | None = None,
    ) -> None:
        self.counts = tuple(counts)
        self.unit = unit
        self.sum_ns = sum_ns
        self.labels = dict(labels or {})

    @classmethod
    def from_records(
        cls,
        records: Iterable[Any],
        *,
        unit: str,
        labels: Mapping[str, str | int] | None = None,
    ) -> Histogram:
        """Add up *records* of ``struct skep_hist`` (one, or one for each CPU)."""
        counts = [0] * SLOTS
        total = 0
        for record in records:
            total += record.sum
            for slot, count in enumerate(record.slots):
                if count:
                    counts[slot] += count
        return cls(counts, unit=unit, sum_ns=total, labels=labels)

    def __repr__(self) -> str:
        labels = "".join(f" {name}={value}" for name, value in self.labels.items())
        return f"<Histogram{labels} of {self.total} values in {self.unit}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return (self.counts, self.unit, self.sum_ns, self.labels) == (
            other.counts, other.unit, other.sum_ns, other.labels,
        )  # fmt: skip

    __hash__ = None  # type: ignore[assignment]

    @property
    def key(self) -> tuple[tuple[str, str | int], ...]:
        """What identifies the histogram among others: its labels but for names that may change."""
        return tuple(item for item in self.labels.items() if item[0] != "comm")

    @property
    def total(self) -> int:
        """How many values were counted."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """The average in `unit`; 0.0 of nothing."""
        total = self.total
        if not total:
            return 0.0
        if self.sum_ns is not None:
            return self.sum_ns / UNITS[self.unit] / total
        middles = ((bucket[0] + bucket[1]) / 2 * bucket[2] for bucket in self.buckets())
        return sum(middles) / total

    def quantile(self, share: float) -> float:
        """Estimate the value below which *share* (0..1) of the values lie, in `unit`.

        Values are taken to be spread evenly within a slot, so the estimate may be off by the
        width of one slot, which is at most the value itself.
        """
        wanted = share * self.total
        seen = 0
        for low, high, count in self.buckets():
            if count and seen + count >= wanted:
                return low + (high + 1 - low) * (wanted - seen) / count
            seen += count
        return 0.0

    def buckets(self) -> list[tuple[int, int, int]]:
        """Return (lowest value, highest value, count) from 0 to the last slot that is not empty."""
        last = max((slot for slot, count in enumerate(self.counts) if count), default=-1)
        return [
            (0 if slot == 0 else 1 << slot, (2 << slot) - 1, self.counts[slot])
            for slot in range(last + 1)
        ]

    def since(self, earlier: Histogram | None) -> Histogram:
        """Return what was added after *earlier*, a former state of the same histogram.

        If anything fell, the counting was started anew, and all of it is new.
        """
        if earlier is None or earlier.unit != self.unit:
            return self
        counts = [now - was for now, was in zip(self.counts, earlier.counts, strict=False)]
        if min(counts, default=0) < 0 or len(counts) != len(self.counts):
            return self
        # A read between a program's two additions sees the one without the other.
        sum_ns = None
        if self.sum_ns is not None and earlier.sum_ns is not None:
            sum_ns = max(0, self.sum_ns - earlier.sum_ns)
        return Histogram(counts, unit=self.unit, sum_ns=sum_ns, labels=self.labels)

    def asdict(self) -> dict[str, Any]:
        """Return a JSON-ready mapping; empty slots at both ends are left out."""
        buckets = self.buckets()
        first = next((index for index, bucket in enumerate(buckets) if bucket[2]), 0)
        return {
            **({"labels": self.labels} if self.labels else {}),
            "unit": self.unit,
            "count": self.total,
            "mean": round(self.mean, 3),
            "sum_ns": self.sum_ns,
            "p50": round(self.quantile(0.50), 3),
            "p99": round(self.quantile(0.99), 3),
            "buckets": [
                {"low": low, "high": high, "count": count} for low, high, count in buckets[first:]
            ],
        }
