"""Pages as programs: their fenced blocks, and commands run as a reader would type them.

A block says after its language what it is a part of: ``c NAME`` and ``python NAME`` are files,
``console`` holds commands (``$ ``) and what they print, ``pycon`` is a session at Python's prompt.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

ROOT = Path(__file__).resolve().parents[3]
DOCS, EXAMPLES = ROOT / "docs", ROOT / "examples"

FENCE = re.compile(r"^```(\S*) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HOME = "/home/ada/try"  # what the pages call the folder that everything happens in
PATIENCE = 60.0

# What a process without privileges is here: user 0, to whom this checkout is readable, less
# every capability, so that the kernel refuses what it refuses anyone.
UNPRIVILEGED = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]


class Block:
    """One fenced block: `language`, `name` (what follows it), `text`, and `line` in its page."""

    def __init__(self, language: str, name: str, text: str, line: int) -> None:
        self.language, self.name, self.text, self.line = language, name, text, line

    def steps(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the commands of a console, each with the lines that it prints."""
        command, printed = "", list[str]()
        for line in self.text.splitlines():
            if line.startswith("$ "):
                if command:
                    yield command, printed
                command, printed = line[2:], []
            else:
                printed.append(line)
        yield command, printed


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of *page*."""
    text = page.read_text()
    return [
        Block(*match.groups(), line=text.count("\n", 0, match.start()) + 1)
        for match in FENCE.finditer(text)
    ]


def prepare(folder: Path) -> None:
    """Put the virtual environment where the pages have it."""
    (folder / ".venv").symlink_to(sys.prefix)


class Run:
    """A command of a page at work. Its output, errors included, is read line by line."""

    def __init__(self, command: str, folder: Path) -> None:
        plain = command.removeprefix("sudo ")
        prefix = [] if plain != command else UNPRIVILEGED
        # A resource that is not closed shows up in the output, which then is not the page's.
        settings = {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "always::ResourceWarning"}
        self.folder = folder
        self.process = subprocess.Popen(
            [*prefix, "bash", "-c", f"exec {plain}" if "\n" not in plain else plain],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **settings},
        )
        self._out = cast("IO[bytes]", self.process.stdout)
        self._pending = b""
        self._deadline = time.monotonic() + PATIENCE
        os.set_blocking(self._out.fileno(), False)

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self) -> str | None:
        """Return the next line; None at the end. Fails when there is none for a minute."""
        with selectors.DefaultSelector() as ready:
            ready.register(self._out, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                left = self._deadline - time.monotonic()
                assert left > 0 and ready.select(left), f"no line after {self._pending!r}"  # noqa: PT018
                data = os.read(self._out.fileno(), 1 << 16)
                if not data:
                    break
                self._pending += data
        if not self._pending:
            return None
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode().replace(str(self.folder), HOME)

    def until(self, pattern: str) -> list[str]:
        """Return the lines up to the first in which *pattern* is found."""
        lines = []
        while (line := self.line()) is not None:
            lines.append(line)
            if re.search(pattern, line):
                return lines
        raise AssertionError(f"{pattern} is not in {lines}")

    def rest(self) -> list[str]:
        """Return all lines that are left, and see the command end."""
        lines = []
        while (line := self.line()) is not None:
            lines.append(line)
        self.process.wait(PATIENCE)
        return lines

    def say(self, text: str) -> None:
        """Type a line."""
        stdin = cast("IO[bytes]", self.process.stdin)
        stdin.write(text.encode() + b"\n")
        stdin.flush()

    def interrupt(self) -> list[str]:
        """Press Ctrl-C and return the lines that follow."""
        self.process.send_signal(signal.SIGINT)
        return self.rest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._out.close()
        cast("IO[bytes]", self.process.stdin).close()


def shape(lines: list[str]) -> list[str]:
    """Return *lines* with every number as 0 and every run of blanks as one."""
    plain = [re.sub(r"\d+(\.\d+)?", "0", line) for line in lines]
    return [re.sub(r" +", " ", line).strip() for line in plain]
