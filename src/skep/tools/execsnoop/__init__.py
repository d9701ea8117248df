"""execsnoop: programs that start, with their arguments; how they end, and attempts that fail."""

from __future__ import annotations

import errno
import re
import shlex
import signal
import time

from skep.errors import RangeError
from skep.tools.frame import EventTool, Running
from skep.tools.options import DURATION, OUTPUT, Option
from skep.tools.output import stamp
from skep.tools.spans import span
from skep.tools.syscalls import Syscalls
from skep.tools.table import KEY, VALUE, Column, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, ClassVar

    from skep.object.object import Object
    from skep.object.spec import ObjectSpec
    from skep.tools.options import Options

# execsnoop.bpf.c: enum kind, and the sizes of what follows the head of a record.
EVENTS = {1: "exec", 2: "fail", 3: "exit"}
FILE = 128
ARGUMENT = 128
REMEMBERED = 32768

TIME = Column("clock", "TIME", width=8)
SECONDS = Column("seconds", "TIME(s)", role=VALUE, digits=3, width=8)
UID = Column("uid", "UID", role=VALUE, width=5)
COLUMNS = (
    Column("event", width=5),
    Column("comm", "PCOMM", width=16),
    Column("pid", role=KEY, width=7),
    Column("ppid", width=7),
    Column("status", "RET", width=7),
    Column("duration", "DURATION", role=VALUE, width=8),
    Column("args", "ARGS"),
)


class State:
    """What a run remembers: when it began, and the arguments of what it reported."""

    __slots__ = ("arguments", "clock_offset", "ends", "line", "name", "started")

    def __init__(self, options: Options) -> None:
        self.started = time.monotonic_ns()
        # bpf_ktime_get_ns() is CLOCK_MONOTONIC; this makes wall clock times of it.
        self.clock_offset = time.time_ns() - self.started
        self.arguments: dict[int, list[str]] = {}
        self.ends = not options.no_exit
        self.name = re.compile(options.name) if options.name else None
        self.line = re.compile(options.line) if options.line else None

    @property
    def filtering(self) -> bool:
        """Whether some programs are not shown."""
        return bool(self.name or self.line)

    def shows(self, comm: str, arguments: Sequence[str]) -> bool:
        """Whether a program is one of those asked for."""
        if self.name and not self.name.search(comm):
            return False
        return not self.line or bool(self.line.search(" ".join(arguments)))

    def remember(self, pid: int, arguments: list[str]) -> None:
        """Keep the arguments of *pid* until it ends; forget the oldest when there are too many."""
        self.arguments.pop(pid, None)
        self.arguments[pid] = arguments
        if len(self.arguments) > REMEMBERED:
            del self.arguments[next(iter(self.arguments))]


def text_of(data: bytes) -> str:
    """Decode up to the first NUL; bytes that are not UTF-8 become surrogates."""
    return data.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def arguments_of(data: bytes, size: int) -> list[str]:
    """Split *size* bytes of a process's memory: arguments, each ending in a NUL."""
    parts = data[:size].split(b"\0")
    if parts and not parts[-1]:
        parts.pop()
    return [part.decode("utf-8", "surrogateescape") for part in parts]


def status_of(result: int) -> tuple[int | None, str | None, bool]:
    """Return exit code, signal name and whether there was a core dump, from wait(2)'s status."""
    number = result & 0x7F
    if not number:
        return result >> 8 & 0xFF, None, False
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"SIG{number}"
    return None, name, bool(result & 0x80)


def user(text: str) -> int:
    """Return the number of a user given by number or name. Raises `RangeError`."""
    import pwd

    if text.isdecimal() and int(text) < 0xFFFFFFFF:
        return int(text)
    try:
        return pwd.getpwnam(text).pw_uid
    except KeyError:
        raise RangeError(f"there is no user {text!r}") from None


class Execsnoop(EventTool):
    """Programs on sched_process_exec and _exit, and on sys_exit for attempts that fail."""

    name = "execsnoop"
    summary = "programs that start, with arguments, exit code and duration"
    description = (
        "Prints a line when a program starts (exec) and one when it ends, with its exit code or "
        "the signal that killed it and how long it ran. Programs that were already running are "
        "not reported."
    )
    examples = (
        ("execsnoop", "all programs"),
        ("execsnoop -x", "also attempts to start one that fail"),
        ("execsnoop -T -U", "with the time of day and the user"),
        ("execsnoop -u 1000 --no-exit", "starts by one user"),
        ("execsnoop -n '^ssh' -o json", "programs by name, as JSON"),
    )
    options = (
        Option("-x", "--fails", help="Also report attempts that fail."),
        Option("-T", "--time", help="Print the time of day."),
        Option("-t", "--timestamp", help="Print the seconds since the start."),
        Option("-U", "--print-uid", help="Print the user id."),
        Option("-u", "--uid", kind=str, metavar="USER", help="Only this user: a name or a number."),
        Option("-P", "--ppid", kind=int, metavar="PPID", minimum=1, help="Only this parent."),
        Option("-n", "--name", kind=str, metavar="REGEXP", help="Only names that match."),
        Option("-l", "--line", kind=str, metavar="REGEXP", help="Only arguments that match."),
        Option("-q", "--quote", help="Quote arguments as a shell would need them."),
        Option("--no-exit", help="Do not report ends."),
        Option(
            "--max-args", kind=int, metavar="N", minimum=1, default=20,
            help="Print at most so many arguments.",
        ),
    )  # fmt: skip
    presentation = (DURATION, OUTPUT)
    losses: ClassVar[Mapping[str, str]] = {
        "untracked": "ends will not be reported, because more than 32768 programs run"
    }

    def check(self, options: Options) -> None:
        """Refuse a user that does not exist and broken patterns."""
        if options.uid is not None:
            user(options.uid)
        for pattern in (options.name, options.line):
            try:
                re.compile(pattern or "")
            except re.error as error:
                raise RangeError(f"{pattern!r} is not a regular expression: {error}") from error

    def tracing(self, options: Options) -> str:
        """Say what."""
        return "programs that start"

    def configure(self, spec: ObjectSpec, options: Options) -> None:
        """Set the filters; leave out what watches every system call unless it is needed."""
        syscalls = Syscalls()
        spec.variables["nr_execve"] = syscalls.number("execve")
        spec.variables["nr_execveat"] = syscalls.number("execveat")
        spec.variables["only_uid"] = 0xFFFFFFFF if options.uid is None else user(options.uid)
        spec.variables["only_parent"] = options.ppid or 0
        spec.programs["returned"].autoload = options.fails
        spec.programs["ended"].autoload = not options.no_exit
        spec.variables["starts_only"] = options.no_exit

    def state(self, obj: Object, options: Options) -> State:
        """Return what to remember."""
        return State(options)

    def rows(self, running: Running, records: Sequence[bytes]) -> list[dict[str, Any]]:
        """Turn records into rows, those that are asked for."""
        decoder = running.stream.decoder
        head: int = decoder.size
        rows = []
        for data in records:
            event = decoder.unpack(data, 0, len(data))
            row = self._row(running, event, data[head:]) if event is not None else None
            if row is not None:
                rows.append(row)
        return rows

    def _row(self, running: Running, event: Any, rest: bytes) -> dict[str, Any] | None:
        state: State = running.state
        kind = EVENTS.get(event.kind, "")
        row: dict[str, Any] = {
            "event": kind,
            "time": stamp((event.time_ns + state.clock_offset) / 1e9),
            "seconds": round((event.time_ns - state.started) / 1e9, 6),
            "pid": event.pid,
            "ppid": event.parent_pid,
            "uid": event.uid,
            "comm": event.comm,
            "parent": event.parent,
        }
        if kind == "exit":
            arguments = state.arguments.pop(event.pid, None)
            if arguments is None and state.filtering:
                return None
            code, name, core = status_of(event.result)
            row |= {"code": code, "signal": name, "core": core, "duration_ns": event.duration_ns}
            return row | {"args": arguments or []}
        if kind == "exec":
            arguments = arguments_of(rest[FILE:], event.size)
        else:
            places = range(FILE, FILE + event.size * ARGUMENT, ARGUMENT)
            arguments = [text_of(rest[place : place + ARGUMENT]) for place in places]
            row["errno"] = errno.errorcode.get(-event.result, str(-event.result))
        if not state.shows(event.comm, arguments):
            state.arguments.pop(event.pid, None)  # it may have been another program before
            return None
        if kind == "exec" and state.ends:
            state.remember(event.pid, arguments)
        return row | {"file": text_of(rest[:FILE]), "args": arguments, "cut": bool(event.cut)}

    def columns(self, options: Options) -> Sequence[Column]:
        """Return the columns asked for."""
        extra = [(options.time, TIME), (options.timestamp, SECONDS), (options.print_uid, UID)]
        return [*(column for wanted, column in extra if wanted), *COLUMNS]

    def text(self, row: Mapping[str, Any], column: Column, options: Options) -> str:
        """Return one cell for people."""
        match column.name:
            case "clock":
                return clock(row["time"])
            case "status":
                if row["event"] == "exit":
                    return str(row["signal"] or row["code"])
                return str(row.get("errno", "0"))
            case "duration":
                return span(row["duration_ns"]).replace(" ", "") if "duration_ns" in row else ""
            case "args":
                shown = row["args"][: options.max_args]
                if options.quote:
                    shown = [shlex.quote(argument) for argument in shown]
                more = len(row["args"]) > len(shown) or row.get("cut")
                return printable(" ".join(shown)) + (" ..." if more else "")
        return column.text(row.get(column.name))

    def style(self, row: Mapping[str, Any]) -> str:
        """Show ends dim; what went wrong, in colour."""
        if row["event"] == "fail":
            return "yellow"
        if row["event"] == "exit":
            return "red" if row["signal"] or row["code"] else "dim"
        return ""


def clock(time_stamp: str) -> str:
    """Return an ISO 8601 time in UTC as the local time of day."""
    import calendar

    seconds = calendar.timegm(time.strptime(time_stamp[:19], "%Y-%m-%dT%H:%M:%S"))
    return time.strftime("%H:%M:%S", time.localtime(seconds))


tool = Execsnoop()
