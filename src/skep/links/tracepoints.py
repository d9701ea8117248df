"""`tracepoint`: attaches to a tracepoint by category and name, with its stable record."""

from __future__ import annotations

from skep.kernel import perf, tracefs
from skep.kernel.constants import PerfType, ProgramType
from skep.links.events import hold
from skep.links.failure import attaching, require_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.links.attachable import Attachable
    from skep.links.link import Link

# Measured on 6.1-7.2: tracefs is 0700, so reading a tracepoint's id needs the second one.
NEEDS = ("CAP_PERFMON", "CAP_DAC_READ_SEARCH")


def tracepoint(program: Attachable, category: str, name: str, *, cookie: int = 0) -> Link:
    """Attach *program* to the tracepoint ``category:name``, on all CPUs and for all processes.

    *cookie* (64 bits, Linux 5.15) is what `bpf_get_attach_cookie()` returns in the program.
    A `raw_tracepoint` or `tracing` program costs less and needs fewer privileges.

    Raises `NotFoundError` for an unknown tracepoint (close names in the hint),
    `PrivilegeError`, `UnsupportedError` (a cookie on an old kernel), `AttachError`.
    """
    target = f"tracepoint {category}:{name}"
    with attaching(program, to=target, needs=NEEDS):
        require_type(
            program, target, types=(ProgramType.TRACEPOINT,), sections='"tracepoint/sched/..."'
        )
        number = tracefs.tracepoint_id(category, name)
        attr = perf.PerfEventAttr(type=PerfType.TRACEPOINT, config=number, disabled=True)
        # One event on one CPU: the kernel runs the programs of a tracepoint on every CPU
        # (perf_trace_run_bpf_submit, before it looks for that CPU's events).
        event = perf.perf_event_open(attr, pid=-1, cpu=0, what=target)
        return hold(program, event, kind="tracepoint", target=f"{category}:{name}", cookie=cookie)
