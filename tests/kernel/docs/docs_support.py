"""Pages as programs: their fenced blocks, and commands run as a reader would type them.

A block says after its language what it is a part of: ``c NAME`` and ``python NAME`` are files,
``console`` holds commands (``$ ``) and what they print, ``pycon`` is a session at Python's prompt.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import selectors
import signal
import struct
import subprocess
import sys
import termios
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
COLOUR = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
BAR = re.compile(r" [█▉▊▋▌▍▎▏]+(?= |$)")

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
        Block(match[1], match[2], match[3], text.count("\n", 0, match.start()) + 1)
        for match in FENCE.finditer(text)
    ]


def prepare(folder: Path) -> None:
    """Put the virtual environment where the pages have it."""
    (folder / ".venv").symlink_to(sys.prefix)


class Run:
    """A command of a page at work. Its output, errors included, is read line by line."""

    def __init__(self, command: str, folder: Path, *, terminal: bool = False) -> None:
        plain = command.removeprefix("sudo ")
        prefix = [] if plain != command else UNPRIVILEGED
        # A resource that is not closed shows up in the output, which then is not the page's.
        settings = {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "always::ResourceWarning"}
        self.folder = folder
        reader, writer = pty.openpty() if terminal else os.pipe()
        if terminal:
            fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
        try:
            self.process = subprocess.Popen(
                [*prefix, "bash", "-c", f"exec {plain}"],
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=writer,
                stderr=writer,
                env={**os.environ, **settings, "TERM": "xterm"},
            )
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        self._out = reader
        self._pending = b""
        self._deadline = time.monotonic() + PATIENCE

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self) -> str | None:
        """Return the next line; None at the end. Fails when there is none for a minute."""
        with selectors.DefaultSelector() as ready:
            ready.register(self._out, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                left = max(0.0, self._deadline - time.monotonic())
                assert ready.select(left), f"no line after {self._pending!r}"
                data = self._read()
                if not data:
                    break
                self._pending += data
        if not self._pending:
            return None
        line, _, self._pending = self._pending.partition(b"\n")
        text = COLOUR.sub("", line.decode()).rstrip("\r")
        return text.replace(str(self.folder), HOME)

    def _read(self) -> bytes:
        try:
            return os.read(self._out, 1 << 16)
        except OSError as error:
            if error.errno != errno.EIO:  # a terminal that nobody writes to any more
                raise
            return b""

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
        os.close(self._out)
        cast("IO[bytes]", self.process.stdin).close()


def shape(lines: list[str]) -> list[str]:
    """Return *lines* with what differs from run to run made equal.

    Every number is 0, every run of blanks is one, bars are gone, and of equal lines that follow
    one another one is left: a histogram may have any number of rows.
    """
    made: list[str] = []
    for line in lines:
        plain = re.sub(r"\d[\d,]*(\.\d+)?", "0", BAR.sub("", line))
        plain = re.sub(r"0 ?(ns|µs|ms|s)\b", "0 s", re.sub(r" +", " ", plain).strip())
        if not made or made[-1] != plain:
            made.append(plain)
    return made
