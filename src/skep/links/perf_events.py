"""`perf_event`: runs a program at every n-th event, or n times a second: sampling."""

from __future__ import annotations

import errno
import os

from skep.errors import KernelError, NotFoundError, RangeError, SkepError
from skep.kernel import cpus as machine
from skep.kernel import perf
from skep.kernel.constants import PerfType, ProgramType
from skep.links.events import hold
from skep.links.failure import attaching, require_type
from skep.links.link import Link, Links

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from skep.links.attachable import Attachable

NEEDS = ("CAP_PERFMON",)

# enum perf_hw_id and perf_sw_ids (include/uapi/linux/perf_event.h) by perf(1)'s names.
_HARDWARE = (
    "cycles instructions cache-references cache-misses branches branch-misses bus-cycles"
    " stalled-cycles-frontend stalled-cycles-backend ref-cycles"
)
_SOFTWARE = (
    "cpu-clock task-clock page-faults context-switches cpu-migrations minor-faults major-faults"
    " alignment-faults emulation-faults dummy bpf-output cgroup-switches"
)
EVENTS = {
    name: (kind, config)
    for kind, names in ((PerfType.HARDWARE, _HARDWARE), (PerfType.SOFTWARE, _SOFTWARE))
    for config, name in enumerate(names.split())
}

_MEANING = {
    errno.ENODEV: ("the CPU is offline", "leave `cpus` out to sample those that are online"),
    errno.EINVAL: (
        "the kernel finds the request invalid",
        "the frequency may exceed /proc/sys/kernel/perf_event_max_sample_rate",
    ),
}


def perf_event(
    program: Attachable,
    event: str = "cpu-clock",
    *,
    type: int | None = None,
    config: int = 0,
    frequency: int | None = None,
    period: int | None = None,
    pid: int | None = None,
    cpus: Iterable[int] | None = None,
    cookie: int = 0,
) -> Links:
    """Run *program* for every sample of *event*, by name, or of perf's *type* and *config*.

    Give *frequency* (samples a second) or *period* (events per sample; nanoseconds for the
    clocks); the default is 99 a second. Without *pid* there is one link per CPU of *cpus*
    (default: those online now). With *pid* there is one per thread of that process, following
    it over all CPUs and inherited by the threads and processes it starts. All links have the same
    *cookie* (Linux 5.15).

    Raises `NotFoundError` for an unknown event or a vanished process, `RangeError`,
    `PrivilegeError`, `UnsupportedError` for a cookie on a kernel without, `AttachError`.
    """
    name = event if type is None else f"perf event {type}:{config}"
    where = f"process {pid}" if pid is not None else "all CPUs" if cpus is None else "some CPUs"
    with attaching(program, to=f"{name} on {where}", needs=NEEDS, meaning=_MEANING, pid=pid):
        require_type(program, name, types=(ProgramType.PERF_EVENT,), sections='"perf_event"')
        attr = _attr(event, type, config, frequency, period, inherit=pid is not None)
        if pid is None:
            return Links(_per_cpu(program, attr, name, cpus, cookie))
        if cpus is not None:
            raise RangeError("pid and cpus exclude each other", hint="leave one of them out")
        return _per_thread(program, attr, name, pid, cookie)


def _attr(
    event: str,
    kind: int | None,
    config: int,
    frequency: int | None,
    period: int | None,
    *,
    inherit: bool,
) -> perf.PerfEventAttr:
    if kind is None:
        if event not in EVENTS:
            raise NotFoundError(
                f"there is no event named {event}", hint=f"known: {', '.join(EVENTS)}",
                name=event, where="perf events",
            )  # fmt: skip
        kind, config = EVENTS[event]
    if frequency is not None and period is not None:
        raise RangeError("frequency and period exclude each other", hint="give one of them")
    if frequency is None and period is None:
        frequency = 99
    for rate in (frequency, period):
        if rate is not None and rate < 1:
            raise RangeError(f"a frequency or period of {rate} is not above zero")
    return perf.PerfEventAttr(
        type=kind,
        config=config,
        frequency=frequency or 0,
        period=period or 0,
        inherit=inherit,
        disabled=True,
    )


def _per_cpu(
    program: Attachable,
    attr: perf.PerfEventAttr,
    name: str,
    cpus: Iterable[int] | None,
    cookie: int,
) -> Iterator[Link]:
    for cpu in machine.online_cpus() if cpus is None else cpus:
        try:
            event = perf.perf_event_open(attr, pid=-1, cpu=cpu, what=f"{name} on CPU {cpu}")
        except SkepError as error:
            if cpus is None and error.evidence.get("errno") == errno.ENODEV:
                continue  # went offline since the list was read
            raise
        target = f"{name} on CPU {cpu}"
        yield hold(program, event, kind="perf_event", target=target, cookie=cookie)


def _per_thread(
    program: Attachable, attr: perf.PerfEventAttr, name: str, pid: int, cookie: int
) -> Links:
    """One link per thread.

    perf follows one thread and what it starts *after* its event exists, and what it starts
    inherits the program only when that is set. So a thread born while we attach would be
    missed: attach again until the same threads are there before and after.
    """
    for attempt in range(10, 0, -1):
        threads = _threads(pid)
        links = Links(_each_thread(program, attr, name, pid, threads, cookie))
        if _threads(pid) <= threads or attempt == 1:
            return links
        links.close()
    raise AssertionError


def _each_thread(
    program: Attachable,
    attr: perf.PerfEventAttr,
    name: str,
    pid: int,
    threads: set[int],
    cookie: int,
) -> Iterator[Link]:
    for thread in sorted(threads):
        try:
            event = perf.perf_event_open(attr, pid=thread, cpu=-1, what=name)
        except KernelError as error:
            if error.errno == errno.ESRCH and thread != pid:
                continue  # ended since the list was read
            raise
        target = f"{name} on process {pid}" + (f" thread {thread}" if thread != pid else "")
        yield hold(program, event, kind="perf_event", target=target, pid=pid, cookie=cookie)


def _threads(pid: int) -> set[int]:
    try:
        return {int(entry) for entry in os.listdir(f"/proc/{pid}/task")}
    except (FileNotFoundError, ProcessLookupError) as error:
        raise KernelError(
            f"no process has the id {pid}", errno=errno.ESRCH, call="perf_event_open"
        ) from error
