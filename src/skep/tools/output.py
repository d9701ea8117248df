"""Where a tool's results go: to a terminal, into a pipe as text, or as JSON lines.

Each `Output` writes to one text stream and flushes after every result, so that what reads the
pipe sees it at once. Progress and warnings go to standard error, never among the data.
"""

from __future__ import annotations

import json
import sys
import time

from skep.tools import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, TextIO

    from skep.tools.frame import EventTool, Tool
    from skep.tools.options import Options
    from skep.tools.snapshot import Snapshot
    from skep.tools.table import Column


def stamp(seconds: float) -> str:
    """Return a wall clock time as ISO 8601 in UTC, to the microsecond."""
    whole, micro = divmod(round(seconds * 1_000_000), 1_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{micro:06d}Z"


class Output:
    """Plain text, as bcc's tools print it. The base of the others."""

    def __init__(self, tool: Tool, options: Options, stream: TextIO, *, timestamp: bool) -> None:
        self.tool = tool
        self.options = options
        self.stream = stream
        self.timestamp = timestamp
        self.columns: Sequence[Column] = ()

    def write(self, *lines: str) -> None:
        """Write lines and flush. A byte that is not UTF-8 is written as it was."""
        text = "".join(f"{line}\n" for line in lines)
        try:
            self.stream.write(text)
        except UnicodeEncodeError:
            encoding = self.stream.encoding or "utf-8"
            self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self.stream.flush()

    def tell(self, message: str) -> None:
        """Say something to the person, on standard error."""
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()

    def begin(self, tracing: str, *, until: str) -> None:
        """Say what is going on."""
        if sys.stderr.isatty() and not self.stream.isatty():
            self.tell(f"Tracing {tracing}... {until}.")
        elif self.stream.isatty():
            self.write(f"Tracing {tracing}... {until}.")

    def warn(self, message: str) -> None:
        """Say what is missing from the results."""
        self.tell(f"skep: warning: {message}")

    def snapshot(self, snapshot: Snapshot) -> None:
        """Write one snapshot."""
        lines = [""]
        if self.timestamp:
            lines.append(time.strftime("%H:%M:%S", time.localtime(snapshot.taken)))
        for place, histogram in enumerate(snapshot.histograms):
            lines += ([""] if place else []) + plain.histogram(histogram)
        for table in snapshot.tables:
            lines += plain.table(table)
        self.write(*lines)

    def head(self, tool: EventTool) -> None:
        """Write the head of a stream of rows."""
        self.columns = tool.columns(self.options)
        self.write(plain.head(self.columns))

    def rows(self, tool: EventTool, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows."""
        columns = self.columns
        self.write(
            *(
                plain.row(columns, {one.name: tool.text(row, one, self.options) for one in columns})
                for row in rows
            )
        )


class JsonOutput(Output):
    """One JSON document a line: a snapshot, or an event."""

    def begin(self, tracing: str, *, until: str) -> None:
        """Say nothing."""

    def head(self, tool: EventTool) -> None:
        """Write nothing: every row names its values."""

    def dump(self, document: Mapping[str, Any]) -> str:
        """Return *document* as a line of ASCII; a broken byte stays a lone surrogate's escape."""
        return json.dumps(document, separators=(", ", ": "))

    def snapshot(self, snapshot: Snapshot) -> None:
        """Write one snapshot as one document."""
        document: dict[str, Any] = {
            "tool": self.tool.name,
            "time": stamp(snapshot.taken),
            "seconds": round(snapshot.seconds, 6),
        }
        if snapshot.histograms:
            document["histograms"] = [one.asdict() for one in snapshot.histograms]
        for table in snapshot.tables:
            document["rows"] = table.dicts()
        document["lost"] = snapshot.lost
        self.write(self.dump(document))

    def rows(self, tool: EventTool, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write each row as a document."""
        self.write(*(self.dump(row) for row in rows))


class TerminalOutput(Output):
    """Bars and colours, with rich."""

    def __init__(self, tool: Tool, options: Options, stream: TextIO, *, timestamp: bool) -> None:
        super().__init__(tool, options, stream, timestamp=timestamp)
        from rich.console import Console

        self.console = Console(file=stream, highlight=False, soft_wrap=True)

    def begin(self, tracing: str, *, until: str) -> None:
        """Say what is going on, dimly."""
        self.console.print(f"Tracing {tracing}… {until}.", style="dim", markup=False)

    def warn(self, message: str) -> None:
        """Say what is missing from the results, in yellow."""
        self.console.print(f"warning: {message}", style="yellow", markup=False)

    def snapshot(self, snapshot: Snapshot) -> None:
        """Show one snapshot."""
        from skep.tools import terminal

        console = self.console
        console.print()
        if self.timestamp:
            clock = time.strftime("%H:%M:%S", time.localtime(snapshot.taken))
            console.print(clock, style="bold cyan")
        for place, histogram in enumerate(snapshot.histograms):
            if place:
                console.print()
            if histogram.labels:
                console.print(terminal.heading(histogram))
            if histogram.total:
                console.print(terminal.histogram(histogram, console.width))
            console.print(terminal.summary(histogram))
        for table in snapshot.tables:
            if table.title:
                console.print(table.title, style="bold", markup=False)
            console.print(terminal.table(table))
            if not table.rows:
                console.print(" nothing was recorded", style="dim")

    def head(self, tool: EventTool) -> None:
        """Show the head of a stream of rows."""
        self.columns = tool.columns(self.options)
        self.console.print(plain.head(self.columns), style="bold", markup=False)

    def rows(self, tool: EventTool, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show rows, each in its colour."""
        for row in rows:
            cells = {column.name: tool.text(row, column, self.options) for column in self.columns}
            line = plain.row(self.columns, cells)
            self.console.print(line, style=tool.style(row), markup=False)


def choose(
    tool: Tool, options: Options, *, kind: str, timestamp: bool, stream: TextIO | None = None
) -> Output:
    """Return the output for *kind* ("columns", "json") on *stream* (standard output)."""
    stream = stream or sys.stdout
    if kind == "json":
        return JsonOutput(tool, options, stream, timestamp=timestamp)
    if stream.isatty():
        try:
            return TerminalOutput(tool, options, stream, timestamp=timestamp)
        except ImportError:
            pass  # without the extra, a terminal gets the plain form
    return Output(tool, options, stream, timestamp=timestamp)
