"""What readers do while a command of a page runs, and what they then must see."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from docs_support import Run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Driver = "Callable[[str, Path], list[str]]"


def start(*command: str) -> int:
    """Start a program as a shell does, see it end, and return its process id."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        pid = child.pid
    return pid


def watch_all(command: str, folder: Path) -> list[str]:
    """Other programs start meanwhile, on a machine that is alive: leave those out."""
    with Run(command, folder) as run:
        shown = run.until("Watching")
        for name in ("ls", "date"):
            pid = start(name)
            shown.append(run.until(rf"^{pid} ")[-1])
            assert shown[-1] == f"{pid} {os.getpid()} {name}"
        last = run.interrupt()[-1]
    assert ", 0 lost" in last or "+ 0 lost +" in last
    return [*shown, last]


def watch_one_parent(command: str, folder: Path) -> list[str]:
    """Programs of another parent (each gets its own shell) must not be shown."""
    me = os.getpid()
    with Run(command.replace("47990", str(me)), folder) as run:
        shown = run.until("Watching")
        start("sh", "-c", "ls; ls")
        pid = start("date")
        shown += run.until(rf"^{pid} ")
        last = run.interrupt()
    assert shown[1:-1] and shown[-1] == f"{pid} {me} date"
    assert all(line.split()[1] == str(me) for line in shown[1:])
    # The shell itself is a child, too; the page's reader types one command.
    return [shown[0], shown[-1], *last]


DRIVERS: dict[tuple[str, str], Callable[[str, Path], list[str]]] = {
    ("getting-started", "sudo .venv/bin/python starts.py"): watch_all,
    ("getting-started", "sudo .venv/bin/python starts.py 47990"): watch_one_parent,
}
