"""Run-queue latency: how long tasks that could run waited for a CPU."""

from __future__ import annotations

from skep.agent.families import Distribution, Histogram, log2_bounds
from skep.agent.probes.tool_probe import ToolProbe
from skep.tools.runqlat import tool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from skep.agent.families import AnyFamily

# Microseconds, up to 2**24 (16.8 s): what waits longer is in +Inf.
SLOTS = 24
BOUNDS = log2_bounds(1e-6, SLOTS)


class RunQueue(ToolProbe):
    """The tool runqlat, in microseconds, all processes together."""

    name = "run_queue"
    title = "Run-queue latency"

    def __init__(self) -> None:
        super().__init__(tool)

    def collect(self) -> Sequence[AnyFamily]:
        """Return the histogram of all waits since the probe was opened."""
        (measured,) = self.running.snapshot().histograms
        counts = measured.counts
        distribution = Distribution(
            BOUNDS, [*counts[:SLOTS], sum(counts[SLOTS:])], (measured.sum_ns or 0) / 1e9
        )
        return [
            Histogram(
                "skep_run_queue_latency_seconds",
                "Time that tasks which could run waited for a CPU.",
                {(): distribution},
            )
        ]
