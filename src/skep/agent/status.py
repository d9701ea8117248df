"""What is known about the probes at one moment: immutable, shared by every reader.

The supervisor publishes a new `Status` per probe after each read; a `Snapshot` is all of them
together. A scrape, a health check and the terminal each take one snapshot and look at nothing
else, so they never wait for a probe and never see half of a read.
"""

from __future__ import annotations

from enum import Enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skep.agent.families import AnyFamily
    from skep.agent.probe import Attachment

# A probe is late after this many intervals without a successful read.
LATE_AFTER = 3


class Phase(Enum):
    """Where a probe is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    CLOSED = "closed"


class Status:
    """One probe as of its last read.

    `problem` is why it is not doing its work ("" when nothing is known to be wrong). `last_read`
    is when the last successful read ended, on the monotonic clock, or None before the first.
    """

    __slots__ = (
        "attachments", "families", "interval", "last_read", "losses", "name", "phase", "problem",
        "read_errors", "read_seconds", "reads", "recent", "title",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        title: str,
        *,
        interval: float,
        phase: Phase = Phase.STARTING,
        problem: str = "",
        last_read: float | None = None,
        reads: int = 0,
        read_errors: int = 0,
        read_seconds: float = 0.0,
        families: Sequence[AnyFamily] = (),
        losses: Mapping[str, int] | None = None,
        attachments: Sequence[Attachment] = (),
        recent: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.title = title
        self.interval = interval
        self.phase = phase
        self.problem = problem
        self.last_read = last_read
        self.reads = reads
        self.read_errors = read_errors
        self.read_seconds = read_seconds
        self.families = tuple(families)
        self.losses = dict(losses or {})
        self.attachments = tuple(attachments)
        self.recent = tuple(recent)

    def but(self, **changes: object) -> Status:
        """Return a copy with some attributes changed."""
        values: dict[str, object] = {name: getattr(self, name) for name in self.__slots__}
        values.update(changes)
        return Status(**values)  # type: ignore[arg-type]

    def reason(self, now: float) -> str:
        """Why this probe is not up at *now* (monotonic seconds), or "" when it is."""
        if self.phase is Phase.STARTING:
            return "it has not been attached yet"
        if self.phase is Phase.CLOSED:
            return "it was closed"
        if self.problem:
            return self.problem
        if self.last_read is None:
            return "it has not been read yet"
        age = now - self.last_read
        if age > LATE_AFTER * self.interval:
            return f"it was last read {age:.1f} s ago and should be every {self.interval:g} s"
        return ""


class Snapshot:
    """Every probe's `Status`, as they were at `time` (monotonic seconds)."""

    __slots__ = ("probes", "time")

    def __init__(self, time: float, probes: Sequence[Status]) -> None:
        self.time = time
        self.probes = tuple(probes)

    @property
    def healthy(self) -> bool:
        """True while every probe is attached and being read; False when there is none."""
        return bool(self.probes) and not any(probe.reason(self.time) for probe in self.probes)

    @property
    def up(self) -> int:
        """How many probes are up."""
        return sum(not probe.reason(self.time) for probe in self.probes)

    def family(self, name: str) -> AnyFamily | None:
        """Return the family called *name* from whichever probe has it."""
        for probe in self.probes:
            for family in probe.families:
                if family.name == name:
                    return family
        return None
