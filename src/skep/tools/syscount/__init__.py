"""syscount: system calls by name or by process, their failures and their time."""

from __future__ import annotations

import errno
import os

from skep.errors import RangeError
from skep.tools.frame import Running, SnapshotTool
from skep.tools.groups import Groups
from skep.tools.options import DURATION, INTERVAL, OUTPUT, PID, Option
from skep.tools.snapshot import Snapshot
from skep.tools.syscalls import Syscalls
from skep.tools.table import COUNTER, KEY, TEXT, VALUE, Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, ClassVar

    from skep.object.object import Object
    from skep.object.spec import ObjectSpec
    from skep.tools.options import Options

SYSCALL = Column("syscall", role=KEY)
PROCESS = (Column("pid", role=KEY), Column("comm", role=TEXT))
COUNT = Column("count", role=COUNTER)
ERRORS = Column("errors", role=COUNTER)
# Averages and times are cumulative numbers of nanoseconds; people get microseconds.
TOTAL = {
    "us": Column("total_ns", "TIME (us)", role=COUNTER, unit="ns", scale=1e3, digits=3),
    "ms": Column("total_ns", "TIME (ms)", role=COUNTER, unit="ns", scale=1e6, digits=3),
}
MEAN = {
    "us": Column("mean_ns", "AVG (us)", role=VALUE, unit="ns", scale=1e3, digits=3),
    "ms": Column("mean_ns", "AVG (ms)", role=VALUE, unit="ns", scale=1e6, digits=3),
}


class Syscount(SnapshotTool):
    """Programs on sys_enter and sys_exit, counting in an array (or a hash of processes)."""

    name = "syscount"
    summary = "system calls: counts, failures and latency"
    description = (
        "Counts system calls until Ctrl-C and prints the most frequent ones; with -L the time "
        "spent in them. Calls are counted when they start; with -L, -x or -e when they end. The "
        "tool's own calls are left out."
    )
    examples = (
        ("syscount", "the ten most frequent calls until Ctrl-C"),
        ("syscount -i 1 -T 5", "the first five, every second"),
        ("syscount -L -p 185", "where a process spends its time"),
        ("syscount -P -d 10", "by process, for 10 s"),
        ("syscount -x", "only calls that fail"),
        ("syscount -e ENOENT", "only calls that fail with ENOENT"),
    )
    options = (
        PID,
        Option("-t", "--tid", kind=int, metavar="TID", minimum=1, help="Only this thread."),
        Option("-x", "--failures", help="Only calls that fail."),
        Option(
            "-e", "--errno", kind=str, metavar="ERRNO",
            help="Only calls that fail with this error: a name (ENOENT) or a number.",
        ),
        Option("-L", "--latency", help="Measure the time spent in the calls; sort by it."),
        Option("-m", "--milliseconds", help="Show times in milliseconds, not microseconds."),
        Option("-P", "--process", help="Count by process instead of by call."),
        Option("--syscall", kind=str, metavar="NAME", help="Only this call."),
        Option(
            "-T", "--top", kind=int, metavar="N", minimum=1, default=10, help="Print the first N."
        ),
        Option("-l", "--list", help="Print the names of all system calls and end."),
    )  # fmt: skip
    presentation = (
        INTERVAL,
        DURATION,
        Option("--timestamp", help="Print the time of day."),
        OUTPUT,
    )
    losses: ClassVar[Mapping[str, str]] = {
        "untimed": "calls were not counted, because more than 32768 were in progress",
        "ungrouped": "calls were not counted, because there were more than 10240 processes",
    }

    def check(self, options: Options) -> None:
        """Refuse names that do not exist before anything is loaded."""
        self.errno(options)
        if options.syscall:
            Syscalls().number(options.syscall)

    def errno(self, options: Options) -> int:
        """Return the error number asked for, 0 for any. Raises `RangeError`."""
        given = options.errno
        if not given:
            return 0
        number = int(given) if given.isdecimal() else getattr(errno, given.upper(), None)
        if not isinstance(number, int) or not 0 < number <= 4095:
            raise RangeError(f"there is no error {given!r}", hint="give a name such as ENOENT")
        return number

    def answer(self, options: Options) -> str:
        """List the calls."""
        return "\n".join(Syscalls().names()) if options.list else ""

    def tracing(self, options: Options) -> str:
        """Say which calls."""
        text = "failed system calls" if options.failures or options.errno else "system calls"
        if options.errno:
            text += f" ({errno.errorcode.get(self.errno(options), options.errno)})"
        return text + (f" of process {options.pid}" if options.pid else "")

    def configure(self, spec: ObjectSpec, options: Options) -> None:
        """Set the filters, and leave out the programs that the question does not need."""
        failing = options.failures or bool(options.errno)
        spec.variables["only_tgid"] = options.pid or 0
        spec.variables["only_tid"] = options.tid or 0
        spec.variables["skip_tgid"] = 0 if options.pid else os.getpid()
        spec.variables["only_call"] = Syscalls().number(options.syscall) if options.syscall else -1
        spec.variables["only_errno"] = self.errno(options)
        spec.variables["only_failures"] = failing
        spec.variables["measure"] = options.latency
        spec.variables["by_process"] = options.process
        spec.programs["entered"].autoload = options.latency or not failing
        spec.programs["returned"].autoload = options.latency or failing
        spec.programs["exited"].autoload = options.latency
        if not options.latency:
            spec.maps["started"].max_entries = 1
        if not options.process:
            spec.maps["processes"].max_entries = 1

    def state(self, obj: Object, options: Options) -> tuple[Syscalls, Groups]:
        """Return the names, and how to read processes for long."""
        return Syscalls(), Groups(obj.maps["processes"])

    def snapshot(self, running: Running) -> Snapshot:
        """Return one table: by call, or by process."""
        syscalls, processes = running.state
        options = running.options
        rows: Iterable[tuple[Any, ...]]
        if options.process:
            columns = [*PROCESS, COUNT, ERRORS]
            found = processes.read().items()
            rows = [(pid, one.comm, one.count, one.errors, one.total_ns) for pid, one in found]
        else:
            columns = [SYSCALL, COUNT, ERRORS]
            rows = []
            for index, per_cpu in running.object.maps["calls"].items():
                count = sum(one.count for one in per_cpu)
                if count:
                    errors = sum(one.errors for one in per_cpu)
                    total = sum(one.total_ns for one in per_cpu)
                    rows.append((syscalls.name(index), count, errors, total))
        columns.append(TOTAL["ms" if options.milliseconds else "us"])
        return Snapshot(tables=[Table(columns, rows)])

    def present(self, snapshot: Snapshot, options: Options) -> Snapshot:
        """Sort by time or count, add the average, and leave out what was not measured."""
        table = snapshot.tables[0].top("total_ns" if options.latency else "count", options.top)
        columns = list(table.columns)
        rows = [list(row) for row in table.rows]
        if options.latency:
            # The time first: it is what the rows are sorted by.
            columns.append(MEAN["ms" if options.milliseconds else "us"])
            count, total = table.index("count"), table.index("total_ns")
            for row in rows:
                row.append(round(row[total] / row[count], 1) if row[count] else 0.0)
        unknown = [] if options.latency else ["total_ns"]
        if not options.latency:
            # At the start of a call nobody knows; among failures all of them are.
            unknown.append("errors")
        keep = [place for place, column in enumerate(columns) if column.name not in unknown]
        shown = [[row[place] for place in keep] for row in rows]
        made = Table([columns[place] for place in keep], shown, sorted_by=table.sorted_by)
        return snapshot.replace(tables=[made])


tool = Syscount()
