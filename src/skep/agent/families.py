"""What a probe measured, as plain immutable values: counters, gauges and histograms.

The exporters (`skep.agent.metrics`) and the terminal (`skep.agent.live`) both read these; nothing
in here knows Prometheus, BPF or a clock. Units are the base units of Prometheus' naming rules:
seconds, bytes, plain counts.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Family:
    """A named metric with one value for each combination of label values.

    `samples` maps a tuple of label values, in the order of `labels`, to the value; a metric with
    no labels has the one key ``()``. Treat it as immutable: it is shared between threads.
    """

    __slots__ = ("help", "labels", "name", "samples")

    def __init__(
        self,
        name: str,
        help: str,
        samples: Mapping[tuple[str, ...], float],
        *,
        labels: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.help = help
        self.labels = tuple(labels)
        self.samples = samples

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} with {len(self.samples)} samples>"


class Counter(Family):
    """A total that only grows. `name` ends in ``_total``."""

    __slots__ = ()


class Gauge(Family):
    """A value that goes up and down."""

    __slots__ = ()


class Distribution:
    """One histogram's contents: `counts[i]` values were at most `bounds[i]`.

    `counts` is not cumulative and is one longer than `bounds`: the last is what lies above every
    bound. `sum` is the sum of all values, in the unit of the bounds.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float], counts: Sequence[int], sum: float) -> None:
        if len(counts) != len(bounds) + 1:
            raise ValueError(
                f"{len(bounds)} bounds need {len(bounds) + 1} counts, not {len(counts)}"
            )
        self.bounds = tuple(bounds)
        self.counts = tuple(counts)
        self.sum = sum

    @property
    def total(self) -> int:
        """How many values were counted."""
        return sum(self.counts)

    def since(self, earlier: Distribution | None) -> Distribution:
        """Return what was added after *earlier*, a previous state of the same histogram."""
        if earlier is None or earlier.bounds != self.bounds:
            return self
        counts = [max(0, now - was) for now, was in zip(self.counts, earlier.counts, strict=True)]
        return Distribution(self.bounds, counts, max(0.0, self.sum - earlier.sum))

    def quantile(self, share: float) -> float | None:
        """Return the bound below which at least *share* (0..1) of the values lie, None when empty.

        An upper estimate: the true value lies in the bucket that ends there. Values above the
        last bound are reported as that bound.
        """
        wanted = share * self.total
        if not wanted:
            return None
        seen = 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            seen += count
            if seen >= wanted:
                return bound
        return self.bounds[-1] if self.bounds else None


class Histogram:
    """A family whose values are `Distribution` objects."""

    __slots__ = ("help", "labels", "name", "samples")

    def __init__(
        self,
        name: str,
        help: str,
        samples: Mapping[tuple[str, ...], Distribution],
        *,
        labels: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.help = help
        self.labels = tuple(labels)
        self.samples = samples

    def __repr__(self) -> str:
        return f"<Histogram {self.name} with {len(self.samples)} samples>"


AnyFamily = Counter | Gauge | Histogram


def log2_bounds(unit: float, slots: int) -> tuple[float, ...]:
    """Upper bounds of a log2 histogram's *slots*, in seconds, when it counts in *unit* seconds.

    Slot *i* holds integers from 2**i up to and without 2**(i+1) (slot 0 also holds 0), so its
    bound is 2**(i+1) units. The same for every read: a bucket that appears later would break
    ``histogram_quantile`` and ``rate``.
    """
    # Dividing by the unit's inverse gives the shortest decimal (0.001024, not 0.0010240000000001).
    inverse = round(1 / unit)
    return tuple((1 << (slot + 1)) / inverse for slot in range(slots))
