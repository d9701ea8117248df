"""What readers do while a command of a page runs, and what they then must see."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import IO, TYPE_CHECKING, Self, cast

from docs_support import Run

from skep.kernel.cpus import possible_cpus

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def start(*command: str) -> int:
    """Start a program as a shell does, see it end, and return its process id."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        return child.pid


def watch_all(command: str, folder: Path) -> list[str]:
    """Other programs start meanwhile, on a machine that is alive: leave those out."""
    with Run(command, folder) as run:
        shown = run.until("Watching")
        for name in ("ls", "date"):
            pid = start(name)
            shown.append(run.until(rf"^{pid} ")[-1])
            assert shown[-1] == f"{pid} {os.getpid()} {name}"
        last = run.interrupt()[-1]
    assert "+ 0 lost + 0 pending" in last
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
    assert shown[-1] == f"{pid} {me} date"
    assert [line.split()[2] for line in shown[1:]] == ["sh", "date"]
    assert last == ["<StreamStats 2 produced = 2 delivered + 0 lost + 0 pending>"]
    # The shell itself is a child, too; the page's reader types one command.
    return [shown[0], shown[-1], *last]


class Worker:
    """A process that calls getppid a thousand times when told to."""

    def __init__(self) -> None:
        source = (
            "import os\n"
            "while input():\n"
            "    for _ in range(1000):\n"
            "        os.getppid()\n"
            "    print('done', flush=True)"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", source],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.go()  # it is a process at work, not one that is still importing

    def go(self) -> None:
        stdin, stdout = cast("IO[str]", self.process.stdin), cast("IO[str]", self.process.stdout)
        stdin.write("go\n")
        stdin.flush()
        assert stdout.readline() == "done\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def one_process(command: str, folder: Path, *, terminal: bool = True) -> list[str]:
    """Run a tool on a process that makes a thousand calls meanwhile."""
    with Worker() as worker:
        pid = str(worker.process.pid)
        with Run(command.replace("4711", pid), folder, terminal=terminal) as run:
            shown = run.until("Tracing")
            worker.go()
            return shown + run.interrupt()


def count_calls(command: str, folder: Path) -> list[str]:
    shown = one_process(command, folder)
    assert re.match(r" getppid +1,000 ", shown[-1])
    return shown


def time_calls(command: str, folder: Path) -> list[str]:
    shown = one_process(command, folder)
    assert re.match(r" 1,000 values +mean ", shown[-1])
    rows = [line.split() for line in shown if line.rstrip().count("%") == 1]
    assert sum(int(row[4].replace(",", "")) for row in rows) == 1000
    return shown


def time_waits(command: str, folder: Path) -> list[str]:
    """The worker waits to be told, so it is woken up once at least."""
    shown = one_process(command, folder)
    found = re.match(r" (\d+) values? +mean ", shown[-1])
    assert found
    assert int(found[1]) >= 1
    return shown


def watch_children(command: str, folder: Path) -> list[str]:
    with Run(command.replace("4711", str(os.getpid())), folder, terminal=True) as run:
        shown = run.until("EVENT")
        pid = start("sh", "-c", "exit 3")
        shown += run.until(rf"^exit +sh +{pid}")
        shown += run.interrupt()
    rows = [line.split() for line in shown[2:]]
    me = str(os.getpid())
    assert rows[0] == ["exec", "sh", str(pid), me, "0", "sh", "-c", "exit", "3"]
    assert rows[1][:5] == ["exit", "sh", str(pid), me, "3"]
    return [*shown, ""]


def calls_as_json(command: str, folder: Path) -> list[str]:
    """Every second a document; the worker works after the first."""
    with Worker() as worker:
        pid = str(worker.process.pid)
        with Run(command.replace("4711", pid), folder) as run:
            shown = run.until("rows")
            worker.go()
            while sum(called(line) for line in shown) < 1000:
                shown += run.until("rows")
            shown += run.interrupt()
    assert [called(shown[0]), called(shown[-1])] == [0, 0]
    assert sum(called(line) for line in shown) == 1000
    return shown


def called(line: str) -> int:
    """Return how many calls of getppid a document counts, and see that it counts no others."""
    document = json.loads(line)
    assert document["lost"] == {}
    assert all(row["syscall"] == "getppid" for row in document["rows"])
    return sum(row["count"] for row in document["rows"])


def kernels_numbers(command: str, folder: Path) -> list[str]:
    """A kernel's own numbers: offsets, a program's tag, where a map is in memory."""
    with Run(command, folder) as run:
        shown = "\n".join(run.rest())
    shown, tags = re.subn(r"\b[0-9a-f]{16}\b", SEEN_TAG, shown)
    assert tags == ("check" in command)
    return re.sub(r"0x[0-9a-f]{16}", SEEN_ADDRESS, shown).splitlines()


def map_of_the_page(command: str, folder: Path) -> list[str]:
    """A map has an id, and a per-CPU one a value for each CPU of this machine."""
    with Run(command, folder) as run:
        shown = "\n".join(run.rest())
    shown = re.sub(r"\bid \d+", "id 41", shown)
    cpus = possible_cpus()
    shown = shown.replace(f"gives {cpus} values", "gives 2 values")
    shown = shown.replace(f" {8 * cpus} bytes together", " 16 bytes together")
    head, found, keys = shown.partition("[key-padding]\n")
    if found:  # a hash has no order
        lines = keys.splitlines()
        shown = head + found + "\n".join([*sorted(lines[:3]), *lines[3:]])
    return shown.splitlines()


def plain(command: str, folder: Path) -> list[str]:
    """Numbers differ from kernel to kernel, and nothing else."""
    with Run(command, folder) as run:
        return run.rest()


# What docs/commands.md has for them.
SEEN_TAG, SEEN_ADDRESS = "c295b79b4627a783", "0xffff8881d7658000"

DRIVERS: dict[tuple[str, str], Callable[[str, Path], list[str]]] = {
    **{
        ("misreadings", f"sudo .venv/bin/skep map check {name}"): map_of_the_page
        for name in ("flows", "peers", "samples --object natural.bpf.o", "errors", "packets")
    },
    ("getting-started", "sudo .venv/bin/python starts.py"): watch_all,
    ("getting-started", "sudo .venv/bin/python starts.py 47990"): watch_one_parent,
    ("tools", "sudo .venv/bin/skep syscount -p 4711 -T 1"): count_calls,
    ("tools", "sudo .venv/bin/skep funclatency -p 4711 libc:getppid"): time_calls,
    ("tools", "sudo .venv/bin/skep runqlat -p 4711"): time_waits,
    ("tools", "sudo .venv/bin/skep execsnoop -P 4711"): watch_children,
    ("tools", "sudo .venv/bin/skep syscount -p 4711 -T 1 -i 1 -o json"): calls_as_json,
    ("btf", ".venv/bin/skep btf minimize who.bpf.o -o who.btf"): plain,
    ("btf", ".venv/bin/skep btf dump --format raw who.btf | grep -A 3 task_struct"): plain,
    ("commands", ".venv/bin/skep object relocations watch.bpf.o"): kernels_numbers,
    ("commands", "sudo .venv/bin/skep check watch.bpf.o"): kernels_numbers,
    (
        "commands",
        "sudo .venv/bin/skep check watch.bpf.o --json | .venv/bin/python -m json.tool | head -n 9",
    ): kernels_numbers,
}
