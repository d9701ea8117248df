"""A probe made of a tool: the tool loads, attaches and counts; the agent reads."""

from __future__ import annotations

from typing import cast

from skep.agent.probe import Attachment, Probe
from skep.errors import KernelError, SkepError
from skep.kernel import bpf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from skep.kernel.fd import FD
    from skep.links.link import Link
    from skep.tools.frame import Running, Tool


class ToolProbe(Probe):
    """Runs *tool* with *options*. A subclass says `name` and `title` and reads in `collect`."""

    def __init__(self, tool: Tool, **options: Any) -> None:
        self._tool = tool
        self._options = options
        self._running: Running | None = None
        self._attachments: list[tuple[Link, Attachment]] = []
        self._lost: dict[str, int] = {}

    @property
    def running(self) -> Running:
        """The tool at work; only between `open` and `close`."""
        if self._running is None:
            raise RuntimeError(f"the probe {self.name} is not open")
        return self._running

    def open(self) -> None:
        """Load and attach the tool."""
        self._running = self._tool.open(**self._options)
        try:
            # Listed from the start: a counter that appears with its first loss has no rate.
            reasons = [*self._tool.losses]
            if self._running.stream is not None:
                reasons += self._running.stream.stats().lost
            self._lost = dict.fromkeys(reasons, 0) | self._lost
            self._attachments = [(link, attachment(link)) for link in self._running.links]
        except BaseException:
            self.close()
            raise

    def health(self) -> str:
        """Ask the kernel about every link: that it is there, and the one it was."""
        if not self._attachments:
            return "no program is attached"
        for link, known in self._attachments:
            problem = verify(link, known)
            if problem:
                return f"program {known.program} is no longer attached to {known.target}: {problem}"
        return ""

    def attachments(self) -> Sequence[Attachment]:
        """Return what was attached."""
        return [known for _, known in self._attachments]

    def losses(self) -> Mapping[str, int]:
        """Return what the tool could not count, by every reason it knows."""
        self._lost.update(self.running.lost())
        return self._lost

    def close(self) -> None:
        """Detach and free everything."""
        running, self._running = self._running, None
        self._attachments = []
        if running is not None:
            running.close()


def attachment(link: Link) -> Attachment:
    """Describe a link that was just made."""
    return Attachment(link.program, link.target, program_id=link.program_id, link_id=link.id or 0)


def verify(link: Link, known: Attachment) -> str:
    """Return "" when *link* still is what it was, else what happened to it."""
    try:
        if not known.link_id:
            link.fileno()  # a perf event before Linux 5.15 has no number to compare
            return ""
        info = bpf.link_info(cast("FD", _Held(link)))
    except KernelError as error:
        return f"the kernel does not know link {known.link_id} any more ({error.message})"
    except SkepError as error:
        return error.message
    if (info.id, info.prog_id) != (known.link_id, known.program_id):
        return f"its descriptor now holds link {info.id} instead of {known.link_id}"
    return ""


class _Held:
    """What `bpf.link_info` needs of a descriptor, lent by a link."""

    __slots__ = ("fileno", "what")

    def __init__(self, link: Link) -> None:
        self.fileno = link.fileno
        self.what = str(link)
