"""A probe that measures nothing, for tests of everything that is not a probe."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from skep.agent.families import Counter, Distribution, Gauge, Histogram
from skep.agent.probe import Attachment, Probe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skep.agent.families import AnyFamily


class MemoryProbe(Probe):
    """Counts its own reads. What it does can be changed while it runs, from any thread."""

    title = "Reads of itself"

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.fail_open: Exception | None = None
        self.fail_collect: Exception | None = None
        self.fail_close: Exception | None = None
        self.problem = ""
        self.opened = 0
        self.closed = 0
        self.reads = 0
        self.threads: set[str] = set()
        # Cleared, it holds whoever calls collect() until it is set again.
        self.go_on = threading.Event()
        self.go_on.set()
        self.entered = threading.Event()

    def open(self) -> None:
        """Open, or raise what was asked for."""
        self.threads.add(threading.current_thread().name)
        if self.fail_open is not None:
            raise self.fail_open
        self.opened += 1

    def collect(self) -> Sequence[AnyFamily]:
        """Count this read."""
        self.threads.add(threading.current_thread().name)
        self.entered.set()
        self.go_on.wait()
        if self.fail_collect is not None:
            raise self.fail_collect
        self.reads += 1
        bounds = (0.001, 0.002, 0.004)
        return (
            Counter("test_reads_total", "Reads.", {(): float(self.reads)}),
            Counter(
                "test_by_name_total", "By name.", {("a",): 1.0, ('q"\\\n',): 2.0}, labels=["n"]
            ),
            Gauge("test_level", "A level.", {(): -1.5}),
            Histogram("test_seconds", "Times.", {(): Distribution(bounds, (1, 0, 2, 1), 0.5)}),
        )

    def health(self) -> str:
        """Return the problem that was set."""
        return self.problem

    def close(self) -> None:
        """Count the close."""
        self.threads.add(threading.current_thread().name)
        self.closed += 1
        if self.fail_close is not None:
            raise self.fail_close

    def attachments(self) -> Sequence[Attachment]:
        """Return one that does not exist."""
        return (Attachment("program", "tp_btf/nothing", program_id=1, link_id=2),)

    def losses(self) -> dict[str, int]:
        """Return a loss for one reason."""
        return {"full": 7}
