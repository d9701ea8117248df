"""Process starts: how many programs were started, and the last few of them."""

from __future__ import annotations

from collections import deque

from skep.agent.families import Counter
from skep.agent.probes.tool_probe import ToolProbe
from skep.tools.execsnoop import Execsnoop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from skep.agent.families import AnyFamily
    from skep.object.spec import ObjectSpec
    from skep.tools.options import Options

REMEMBERED = 16
RING_BYTES = 1 << 20


class Starts(Execsnoop):
    """The tool execsnoop, only starts, with a buffer for the agent's slower pace of reading."""

    def configure(self, spec: ObjectSpec, options: Options) -> None:
        """Make the ring small: only what is shown has to fit, the ledger counts the rest."""
        super().configure(spec, options)
        spec.maps["events"].max_entries = RING_BYTES


class ProcessStarts(ToolProbe):
    """The tool execsnoop without the ends of programs.

    The counter is the BPF side's own ledger: it is exact even when the buffer overflows and
    some starts are missing from `recent` (counted as lost, reason ``ring_full``).
    """

    name = "process_starts"
    title = "Process starts"

    def __init__(self) -> None:
        self._starts = Starts()
        super().__init__(self._starts, no_exit=True)
        self._recent: deque[str] = deque(maxlen=REMEMBERED)

    def collect(self) -> Sequence[AnyFamily]:
        """Return the number of programs started (exec) since the probe was opened."""
        running = self.running
        while records := running.stream.read_raw(0):
            # All are taken, so that the buffer is free again; the last few are looked at.
            for row in self._starts.rows(running, records[-REMEMBERED:]):
                self._recent.append(f"{row['pid']:>7}  {' '.join(row['args']) or row['file']}")
        return [
            Counter(
                "skep_process_starts_total",
                "Programs started (successful execve and execveat).",
                {(): float(running.stream.stats().produced)},
            )
        ]

    def recent(self) -> Sequence[str]:
        """Return the last programs that were started: pid and arguments."""
        return tuple(self._recent)
