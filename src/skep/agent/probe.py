"""A probe: one thing the agent measures, with a life of its own.

The supervisor gives every probe its own thread and calls it only there, in this order: `open`,
then `collect` and `health` again and again, then `close`. So a probe needs no locks, and one
that is slow or stuck holds up no other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skep.agent.families import AnyFamily


class Attachment:
    """A program that a probe has in the kernel: its name, what it hangs on, its ids there."""

    __slots__ = ("link_id", "program", "program_id", "target")

    def __init__(self, program: str, target: str, *, program_id: int, link_id: int) -> None:
        self.program = program
        self.target = target
        self.program_id = program_id
        self.link_id = link_id

    def asdict(self) -> dict[str, object]:
        """Return a JSON-ready mapping."""
        return {
            "program": self.program,
            "target": self.target,
            "program_id": self.program_id,
            "link_id": self.link_id,
        }


class Probe(ABC):
    """What the supervisor needs of anything that can be measured.

    `name` is unique within an agent: it is the label of the self-metrics and the key in
    ``/healthz``. `title` is a few words for people.
    """

    name: str
    title: str

    @abstractmethod
    def open(self) -> None:
        """Load and attach. Raises `skep.errors.SkepError`, and then has left nothing behind."""

    @abstractmethod
    def collect(self) -> Sequence[AnyFamily]:
        """Read everything once and return it. Counters never fall from one call to the next."""

    @abstractmethod
    def health(self) -> str:
        """Look at the kernel objects themselves: return "" when all are there, else what is not."""

    @abstractmethod
    def close(self) -> None:
        """Detach and free everything. May be called twice, and after a failed `open`."""

    def attachments(self) -> Sequence[Attachment]:
        """Return the programs this probe has attached."""
        return ()

    def losses(self) -> Mapping[str, int]:
        """Return how many events were lost so far, by reason. Never falls."""
        return {}

    def recent(self) -> Sequence[str]:
        """Return the last few things seen, newest last, as lines for a person. May be empty."""
        return ()
