"""CPU time by process name."""

from __future__ import annotations

import os
import time

from skep.agent.families import Counter
from skep.agent.probes.tool_probe import ToolProbe
from skep.agent.series import OTHER, Totals
from skep.tools.frame import SnapshotTool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from skep.agent.families import AnyFamily

# Names exported at a time; the rest is "other". A large machine runs a few hundred.
MAX_SERIES = 256
# A task that has held its CPU for this long is asked for by name before it gives it up: one
# that computes without pause would else show up only once it does.
LONG_NS = 50_000_000
PF_KTHREAD = 0x00200000  # include/linux/sched.h


class CpuTimeTool(SnapshotTool):
    """The object next to this module; a tool only so far that it can be opened."""

    name = "cputime"
    summary = "CPU time by process name"

    @property
    def path(self) -> str:
        """Where the built object is: here, not with the tools."""
        return os.path.join(os.path.dirname(__file__), "cputime.bpf.o")


class CpuTime(ToolProbe):
    """Time between switches, added up in the kernel by the name of the process that ran.

    The sum over all names is the time that all CPUs were not idle; what the kernel's bounded map
    forgot is under ``"other"``.
    """

    name = "cpu_time"
    title = "CPU time by process"

    def __init__(self) -> None:
        super().__init__(CpuTimeTool())
        self._totals = Totals(MAX_SERIES)
        self._shown: dict[str, int] = {}
        self._base = 0

    def open(self) -> None:
        """Load and attach; counters go on from where a former life of the probe left them."""
        self._totals.forget_baseline()
        self._base = self._totals.sum
        super().open()

    def collect(self) -> Sequence[AnyFamily]:
        """Return the seconds used by each name since the probe was opened."""
        maps = self.running.object.maps
        now = time.monotonic()
        # The grand total first: whatever is in it now is in the map, unless forgotten.
        accounted = sum(cpu.total for cpu in maps["cpus"][0])
        self._totals.update({key.comm: value for key, value in maps["by_name"].items()}, now)
        forgotten = self._base + accounted - self._totals.sum
        if forgotten > 0:
            self._totals.add(OTHER, forgotten, now)
        shown = self._totals.read()
        for name, ns in long_running(maps["cpus"]):
            # Only names that have a series: one more would break the limit.
            place = name if name in shown else OTHER
            shown[place] = shown.get(place, 0) + ns
        # What was shown of a slice before its end may exceed what it comes to by a moment.
        for name, ns in shown.items():
            shown[name] = max(ns, self._shown.get(name, 0))
        self._shown = shown
        return [
            Counter(
                "skep_process_cpu_seconds_total",
                "CPU time of processes and kernel threads, by the name of the process.",
                {(name,): ns / 1e9 for name, ns in shown.items()},
                labels=("comm",),
            )
        ]


def long_running(cpus: Any) -> Iterable[tuple[str, int]]:
    """Yield (name, nanoseconds so far) of tasks that have held a CPU for long."""
    # bpf_ktime_get_ns() is CLOCK_MONOTONIC. A CPU's `since` and `running` are written one after
    # the other: equal times in two reads mean that they belong together.
    before, after, now = cpus[0], cpus[0], time.monotonic_ns()
    for first, second in zip(before, after, strict=True):
        held = now - second.since
        if second.running and second.since and first.since == second.since and held >= LONG_NS:
            name = name_of(second.running)
            if name:
                yield name, held


def name_of(pid: int) -> str:
    """Return a process's name as the BPF program would; "" when there is none any more."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except OSError:
        return ""
    # proc(5): pid (comm) state ppid pgrp session tty_nr tpgid flags ...; comm may contain ")".
    comm, _, rest = stat.partition(b"(")[2].rpartition(b")")
    fields = rest.split()
    if len(fields) > 6 and int(fields[6]) & PF_KTHREAD:
        comm = comm.partition(b"/")[0]
    return comm.decode("utf-8", "surrogateescape")
