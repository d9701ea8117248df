"""runqlat: how long tasks wait for a CPU once they could run."""

from __future__ import annotations

from skep.errors import RangeError
from skep.tools.frame import Running, SnapshotTool
from skep.tools.groups import Groups
from skep.tools.histogram import UNITS, Histogram
from skep.tools.options import MILLISECONDS, PID, Option
from skep.tools.snapshot import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import ClassVar

    from skep.object.object import Object
    from skep.object.spec import ObjectSpec
    from skep.tools.options import Options

# enum group in runqlat.bpf.c, and what the map's key then is.
EVERYTHING = 0
GROUPS = {"pids": (1, "pid"), "tids": (2, "tid"), "pidnss": (3, "pidns")}


class Runqlat(SnapshotTool):
    """Programs on sched_wakeup, sched_wakeup_new and sched_switch; histograms in the kernel."""

    name = "runqlat"
    summary = "how long tasks wait for a CPU, as a histogram"
    description = (
        "Measures the time from the moment a task can run (woken up, created, or taken off a CPU "
        "while it still had work) to the moment it does: the run-queue latency. Long waits mean "
        "that there is more work than there are CPUs."
    )
    examples = (
        ("runqlat", "all waits until Ctrl-C"),
        ("runqlat 1 10", "every second, ten times"),
        ("runqlat -mT 5", "in milliseconds, every 5 s, with the time of day"),
        ("runqlat -P -d 5", "one histogram for each process"),
        ("runqlat -p 185 -o json 1", "one process, as JSON"),
    )
    options = (
        PID,
        MILLISECONDS,
        Option("-P", "--pids", help="One histogram for each process."),
        Option("-L", "--tids", help="One histogram for each thread."),
        Option("--pidnss", help="One histogram for each pid namespace."),
        Option(
            "--top", kind=int, metavar="N", minimum=1,
            help="Of many histograms, only the N with the most waits.",
        ),
    )  # fmt: skip
    losses: ClassVar[Mapping[str, str]] = {
        "untracked": "waits were not measured, because more than 16384 tasks were waiting",
        "ungrouped": "waits were not counted, because there were more than 10240 groups",
    }

    def check(self, options: Options) -> None:
        """Only one way of grouping at a time."""
        if sum(getattr(options, name) for name in GROUPS) > 1:
            raise RangeError("-P, -L and --pidnss exclude each other")

    def tracing(self, options: Options) -> str:
        """Name the process, if there is one."""
        return "run queue latency" + (f" of process {options.pid}" if options.pid else "")

    def grouping(self, options: Options) -> tuple[int, str]:
        """Return the value of ``group_by`` and the label's name."""
        for name, grouping in GROUPS.items():
            if getattr(options, name):
                return grouping
        return EVERYTHING, ""

    def unit(self, options: Options) -> str:
        """Return the histograms' unit."""
        return "ms" if options.milliseconds else "us"

    def configure(self, spec: ObjectSpec, options: Options) -> None:
        """Set the filter, the unit and the grouping."""
        group_by, _ = self.grouping(options)
        spec.variables["only_tgid"] = options.pid or 0
        spec.variables["unit_ns"] = UNITS[self.unit(options)]
        spec.variables["group_by"] = group_by
        if group_by == EVERYTHING:
            spec.maps["groups"].max_entries = 1

    def state(self, obj: Object, options: Options) -> Groups:
        """Return how to read groups for long."""
        return Groups(obj.maps["groups"])

    def snapshot(self, running: Running) -> Snapshot:
        """Return one histogram, or one for each group."""
        unit = self.unit(running.options)
        group_by, label = self.grouping(running.options)
        if group_by == EVERYTHING:
            per_cpu = running.object.maps["total"][0]
            return Snapshot(histograms=[Histogram.from_records(per_cpu, unit=unit)])
        histograms = []
        for key, group in running.state.read().items():
            labels: dict[str, str | int] = {label: key}
            if label != "pidns":
                labels["comm"] = group.comm
            histograms.append(Histogram.from_records([group.waits], unit=unit, labels=labels))
        return Snapshot(histograms=histograms)

    def present(self, snapshot: Snapshot, options: Options) -> Snapshot:
        """Put the histogram with the most waits last, where a terminal ends."""
        ordered = sorted(snapshot.histograms, key=lambda one: one.total)
        return snapshot.replace(histograms=ordered[-options.top :] if options.top else ordered)


tool = Runqlat()
