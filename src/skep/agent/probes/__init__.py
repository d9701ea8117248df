"""The probes that the agent brings with it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.agent.probe import Probe


def default() -> list[Probe]:
    """Return new probes of the default set; each is opened and closed by whoever runs it."""
    from skep.agent.probes.cputime import CpuTime
    from skep.agent.probes.process_starts import ProcessStarts
    from skep.agent.probes.run_queue import RunQueue
    from skep.agent.probes.system_calls import SystemCalls

    return [RunQueue(), SystemCalls(), CpuTime(), ProcessStarts()]
