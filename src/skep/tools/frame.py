"""What all tools share: a declaration that opens into something running, which can be read.

A tool is a subclass of `SnapshotTool` (counts in the kernel) or `EventTool` (rows as things
happen) in a folder of its own, next to its ``NAME.bpf.c`` and ``NAME.bpf.o``. It says its name,
options and losses, sets the object's constants in `configure`, and turns maps into values in
`snapshot`, or records into rows in `rows`. Everything else is here and in the modules beside.
"""

from __future__ import annotations

import mmap
import os
import time

from skep.errors import NotFoundError
from skep.kernel import process
from skep.owner import Closing
from skep.tools.options import BUFFER, DURATION, INTERVAL, OUTPUT, TIMESTAMP, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, ClassVar

    from skep.links.link import Links
    from skep.object.object import Object
    from skep.object.spec import ObjectSpec
    from skep.tools.options import Argument, Option
    from skep.tools.snapshot import Snapshot
    from skep.tools.table import Column


STREAM_LOSSES = {
    "ring_full": "records were lost, because the buffer was full",
    "decode_error": "records were lost, because they were shorter than their type",
}


class Tool:
    """The declaration of a tool. One instance serves any number of runs, from any thread."""

    name: ClassVar[str]
    summary: ClassVar[str]
    """One line for the list of tools."""
    description: ClassVar[str] = ""
    """A few sentences for ``--help``."""
    examples: ClassVar[Sequence[tuple[str, str]]] = ()
    """Command lines (without ``skep``) and what they show."""
    arguments: ClassVar[Sequence[Argument]] = ()
    options: ClassVar[Sequence[Option]] = ()
    """What can be measured and how: the names `open` takes."""
    common: ClassVar[Sequence[Option]] = ()
    """Further ones that all tools of a kind have."""
    presentation: ClassVar[Sequence[Option]] = ()
    """When and how to print: for the command line alone."""
    losses: ClassVar[Mapping[str, str]] = {}
    """Variables of the object that count what it could not, and what that means as a phrase."""

    @property
    def path(self) -> str:
        """Where the built object is."""
        return os.path.join(os.path.dirname(__file__), self.name, f"{self.name}.bpf.o")

    @property
    def accepted(self) -> tuple[Option, ...]:
        """Everything that `open` takes."""
        return (*self.arguments, *self.options, *self.common)

    def options_of(self, given: Mapping[str, Any]) -> Options:
        """Check *given* options and return all of them.

        Raises `RangeError`, and `NotFoundError` for a ``pid`` that is gone.
        """
        options = Options.of(self.accepted, given, who=self.name)
        pid = getattr(options, "pid", None)
        if pid and not process.exists(pid):
            raise NotFoundError(f"there is no process {pid}", name=str(pid), where="/proc")
        self.check(options)
        return options

    def check(self, options: Options) -> None:
        """Raise `RangeError` for options that contradict each other."""

    def answer(self, options: Options) -> str:
        """Return a text that answers by itself, with nothing to measure; "" otherwise."""
        return ""

    def configure(self, spec: ObjectSpec, options: Options) -> None:
        """Set variables, map sizes and which programs to load, before loading."""

    def prepare(self, spec: ObjectSpec, options: Options) -> None:
        """Do what is the same for all tools of a kind; `configure` comes after it."""

    def attach(self, obj: Object, options: Options) -> Links:
        """Attach the programs of *obj*, which then owns the links."""
        return obj.attach()

    def state(self, obj: Object, options: Options) -> Any:
        """Return what a run keeps between two reads."""
        return None

    def tracing(self, options: Options) -> str:
        """Say what is measured, after "Tracing ", for the line a person sees first."""
        return self.summary

    def open(self, **given: Any) -> Running:
        """Load the object, attach it and return the run; close it when done.

        Raises `RangeError` for options, `NotFoundError` for what they name, and what loading
        and attaching raise (`PrivilegeError`, `VerifierError`, `AttachError`...). After an
        error nothing is left in the kernel.
        """
        from skep.object.spec import ObjectSpec

        options = self.options_of(given)
        spec = ObjectSpec.from_file(self.path)
        self.prepare(spec, options)
        self.configure(spec, options)
        obj = spec.load()
        try:
            links = self.attach(obj, options)
            return Running(self, options, obj, links)
        except BaseException:
            obj.close()
            raise


class SnapshotTool(Tool):
    """A tool that counts in the kernel and is read now and then."""

    presentation = (INTERVAL, DURATION, TIMESTAMP, OUTPUT)

    def snapshot(self, running: Running) -> Snapshot:
        """Read everything counted since the run was opened."""
        raise NotImplementedError

    def present(self, snapshot: Snapshot, options: Options) -> Snapshot:
        """Sort and cut a snapshot (mostly a difference of two) for people and JSON."""
        return snapshot


class EventTool(Tool):
    """A tool that reports things as they happen."""

    presentation = (DURATION, OUTPUT)
    common = (BUFFER,)
    stream: ClassVar[str] = "events"
    """The ring buffer's name."""

    def prepare(self, spec: ObjectSpec, options: Options) -> None:
        """Give the ring buffer the size asked for."""
        if options.buffer:
            # The kernel wants a power of two, and a multiple of the page size.
            size = max(options.buffer * 1024, mmap.PAGESIZE)
            spec.maps[self.stream].max_entries = 1 << (size - 1).bit_length()

    def columns(self, options: Options) -> Sequence[Column]:
        """Return what to show of a row to people; JSON has everything."""
        raise NotImplementedError

    def rows(self, running: Running, records: Sequence[bytes]) -> list[dict[str, Any]]:
        """Turn raw records into rows with JSON-ready values."""
        raise NotImplementedError

    def text(self, row: Mapping[str, Any], column: Column, options: Options) -> str:
        """Return one cell for people."""
        return column.text(row.get(column.name))

    def style(self, row: Mapping[str, Any]) -> str:
        """Return the colour of a row on a terminal, as `rich` names it; "" for none."""
        return ""


class Running(Closing):
    """A tool at work: owns the loaded object and its links. Close it, or use it in ``with``.

    Not thread-safe: one thread reads it.
    """

    def __init__(self, tool: Tool, options: Options, obj: Object, links: Links) -> None:
        self.tool = tool
        self.options = options
        self.object = obj
        self.links = links
        self.opened = time.monotonic()
        self.stream: Any = None
        if isinstance(tool, EventTool):
            self.stream = obj.maps[tool.stream].stream()
        self.state: Any = tool.state(obj, options)

    def __repr__(self) -> str:
        return f"<Running {self.tool.name} {self.options!r}>"

    def snapshot(self) -> Snapshot:
        """Read everything counted since the run was opened. Counters never fall, rows may go."""
        assert isinstance(self.tool, SnapshotTool), "only a SnapshotTool has snapshots"
        taken = self.tool.snapshot(self)
        taken.seconds = time.monotonic() - self.opened
        taken.lost.update(self.lost())
        return taken

    def read(self, timeout: float | None = None) -> list[dict[str, Any]]:
        """Return the rows of what happened, waiting for some up to *timeout* seconds."""
        assert isinstance(self.tool, EventTool), "only an EventTool has rows"
        return self.tool.rows(self, self.stream.read_raw(timeout))

    def fileno(self) -> int:
        """Return a descriptor that polls readable when `read` has something, for an event tool."""
        number: int = self.stream.fileno()
        return number

    def lost(self) -> dict[str, int]:
        """Return how much was not counted or reported so far, by reason; only what is not 0."""
        variables = self.object.variables
        lost = {reason: int(variables[reason].value) for reason in self.tool.losses}
        if self.stream is not None:
            lost.update(self.stream.stats().lost)
        return {reason: count for reason, count in lost.items() if count}

    def close(self) -> None:
        """Detach and free everything. May be called again."""
        if self.stream is not None:
            self.stream.close()
        self.links.close()
        self.object.close()


def told(tool: Tool, lost: Mapping[str, int]) -> list[str]:
    """Return one sentence for each reason in *lost*."""
    phrases = {**STREAM_LOSSES, **tool.losses}
    return [f"{count} {phrases.get(reason, reason)}" for reason, count in lost.items()]
