"""funclatency: how long a user-space function takes, from entry to return."""

from __future__ import annotations

import os

from skep.errors import NotFoundError, RangeError
from skep.tools.frame import Running, SnapshotTool
from skep.tools.histogram import UNITS, Histogram
from skep.tools.options import MICROSECONDS, MILLISECONDS, PID, Argument, Option
from skep.tools.snapshot import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import ClassVar

    from skep.links.link import Links
    from skep.object.object import Object
    from skep.object.spec import ObjectSpec
    from skep.tools.options import Options

MAX_FUNCTIONS = 500


def parse(text: str) -> tuple[str, str]:
    """Split ``BINARY:SYMBOL``. Raises `RangeError`.

    The symbol may contain colons (``a.out:ns::f``), the binary's path may not.
    """
    binary, colon, symbol = text.partition(":")
    if not colon or not binary or not symbol:
        raise RangeError(
            f"{text!r} is not BINARY:SYMBOL",
            hint="give a path, a program or a library, and a function, as in c:malloc",
        )
    return binary, symbol


def matching(binary: str, pattern: str, pid: int | None) -> list[str]:
    """Return the functions of *binary* whose whole name matches the regular expression.

    Raises `NotFoundError` for none, `RangeError` for too many or a broken pattern.
    """
    import re

    from skep.elf.binary import Binary, resolve_binary

    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise RangeError(f"{pattern!r} is not a regular expression: {error}") from error
    path = resolve_binary(binary, pid)
    with Binary(path) as elf:
        names = sorted({one.name for one in elf.functions() if wanted.fullmatch(one.name)})
    if not names:
        raise NotFoundError(
            f"no function of {path} matches {pattern!r}",
            hint="the whole name has to match; .* stands for anything",
            name=pattern,
            where=path,
        )
    if len(names) > MAX_FUNCTIONS:
        raise RangeError(
            f"{len(names)} functions of {path} match {pattern!r}, more than {MAX_FUNCTIONS}",
            hint="narrow the pattern",
        )
    return names


class Funclatency(SnapshotTool):
    """A uprobe and a uretprobe on each function; a histogram in the kernel."""

    name = "funclatency"
    summary = "how long a user-space function takes, as a histogram"
    description = (
        "Measures the time from a function's entry to its return, calls that it makes included. "
        "BINARY is a path, a program in PATH, or a library by its short name, as in c:malloc."
    )
    examples = (
        ("funclatency c:malloc", "every malloc of every process"),
        ("funclatency -p 185 -u ./server:handle 1", "one process, in microseconds, every second"),
        ("funclatency -r 'c:.*read' -F -d 10", "functions by pattern, one histogram for each"),
    )
    arguments = (Argument("target", metavar="BINARY:SYMBOL", help="The function."),)
    options = (
        PID,
        MICROSECONDS,
        MILLISECONDS,
        Option("-r", "--regexp", help="SYMBOL is a regular expression for whole names."),
        Option("-F", "--function", help="One histogram for each function."),
    )
    losses: ClassVar[Mapping[str, str]] = {
        "unmatched": "returns were not counted, because their entry was not seen"
    }

    def check(self, options: Options) -> None:
        """Refuse a malformed target and two units at once."""
        parse(options.target)
        if options.microseconds and options.milliseconds:
            raise RangeError("-u and -m exclude each other")

    def tracing(self, options: Options) -> str:
        """Name the function."""
        where = f" in process {options.pid}" if options.pid else ""
        return f"{options.target}{where}"

    def unit(self, options: Options) -> str:
        """Return the histograms' unit."""
        return "us" if options.microseconds else "ms" if options.milliseconds else "ns"

    def functions(self, options: Options) -> list[str]:
        """Return the names of the functions to probe."""
        binary, symbol = parse(options.target)
        return matching(binary, symbol, options.pid) if options.regexp else [symbol]

    def configure(self, spec: ObjectSpec, options: Options) -> None:
        """Set the unit, and make room for each function."""
        options.functions = self.functions(options)
        spec.variables["unit_ns"] = UNITS[self.unit(options)]
        spec.variables["return_pops"] = 8 if os.uname().machine == "x86_64" else 0
        spec.variables["by_function"] = options.function
        if options.function:
            spec.maps["latency"].max_entries = len(options.functions)

    def attach(self, obj: Object, options: Options) -> Links:
        """Attach both programs to each function."""
        from skep.links import Links, uprobe

        binary, _ = parse(options.target)
        # The entry first: a return is then never seen without it.
        return Links(
            uprobe(
                obj.programs[name], binary, symbol=symbol, pid=options.pid,
                retprobe=name == "returned", cookie=index if options.function else 0,
            )
            for index, symbol in enumerate(options.functions)
            for name in ("entered", "returned")
        )  # fmt: skip

    def snapshot(self, running: Running) -> Snapshot:
        """Return one histogram, or one for each function."""
        unit = self.unit(running.options)
        latency = running.object.maps["latency"]
        if not running.options.function:
            return Snapshot(histograms=[Histogram.from_records(latency[0], unit=unit)])
        return Snapshot(
            histograms=[
                Histogram.from_records(latency[index], unit=unit, labels={"function": name})
                for index, name in enumerate(running.options.functions)
            ]
        )

    def present(self, snapshot: Snapshot, options: Options) -> Snapshot:
        """Leave out functions that were not called; the one called most comes last."""
        called = [one for one in snapshot.histograms if one.total or not one.labels]
        return snapshot.replace(histograms=sorted(called, key=lambda one: one.total))


tool = Funclatency()
