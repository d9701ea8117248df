"""What the cases share: building peers, interleaving runs, medians and the table."""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skep.build.compiler import compile as compile_bpf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HERE = Path(__file__).parent
OUT = HERE / "out"
PYTHON = [sys.executable, "-I"]


class UnavailableError(Exception):
    """A peer cannot be built on this machine; the message says what to install."""


@dataclass(frozen=True)
class Row:
    """One line of the table: *ours* against *peer*, and the ratio that is aimed at, if any."""

    case: str
    peer_name: str
    ours: float
    peer: float
    unit: str
    target: float | None
    note: str = ""

    @property
    def ratio(self) -> float:
        """How many times the peer's figure ours is."""
        return self.ours / self.peer

    @property
    def missed(self) -> bool:
        """Whether the ratio is over its target."""
        return self.target is not None and self.ratio > self.target


def build_peer(name: str) -> str:
    """Compile ``peers/NAME.c`` against the system's libbpf and return the program's path."""
    compiler = shutil.which("cc")
    if compiler is None or not Path("/usr/include/bpf/libbpf.h").exists():
        raise UnavailableError(
            "the C peers need a C compiler and libbpf: apt install gcc libbpf-dev"
        )
    OUT.mkdir(exist_ok=True)
    program = OUT / name
    source = HERE / "peers" / f"{name}.c"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        command = [compiler, "-O2", "-Wall", "-Werror", "-o", str(program), str(source), "-lbpf"]
        subprocess.run(command, check=True)
    return str(program)


def build_object(name: str, source: str = "") -> str:
    """Compile ``bpf/NAME.bpf.c``, or the C text *source*, and return the object's path."""
    OUT.mkdir(exist_ok=True)
    path = OUT / f"{name}.bpf.o"
    text = HERE / "bpf" / f"{name}.bpf.c"
    if source:
        text = OUT / f"{name}.bpf.c"
        text.write_text(source)
    compile_bpf(str(text), str(path), compiler="ziglang")
    return str(path)


@dataclass(frozen=True)
class Times:
    """How long a process took from fork to exit, and its processor time, in milliseconds.

    The two are equal on a machine with nothing else to do; where they are not, the ratio of the
    processor times is the one to believe.
    """

    wall: float
    cpu: float


def elapsed(command: Sequence[str], **variables: str) -> Times:
    """Run *command* and say what it took. *variables* are added to its environment."""
    environment = {**os.environ, **variables}
    start = time.perf_counter()
    pid = os.posix_spawn(command[0], list(command), environment)
    _, status, usage = os.wait4(pid, 0)
    took = (time.perf_counter() - start) * 1e3
    if status:
        raise RuntimeError(f"{' '.join(command)} failed with status {status}")
    return Times(took, (usage.ru_utime + usage.ru_stime) * 1e3)


def interleave(cases: Mapping[str, Callable[[], Times]], rounds: int) -> dict[str, Times]:
    """Run every case once a round, *rounds* times after one warm-up; return the medians."""
    taken: dict[str, list[Times]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, run in cases.items():
            result = run()
            if number:
                taken[name].append(result)
    return {
        name: Times(
            statistics.median(each.wall for each in results),
            statistics.median(each.cpu for each in results),
        )
        for name, results in taken.items()
    }


def keep(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Write the figures to ``out/NAMES.json`` and return the file's path."""
    OUT.mkdir(exist_ok=True)
    path = OUT / f"{'-'.join(names)}.json"
    document = {
        "kernel": platform.release(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "rows": [{**asdict(row), "ratio": row.ratio, "missed": row.missed} for row in rows],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
    return str(path)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as aligned text."""
    heads = ("case", "skep", "peer", "unit", "ratio", "target", "", "peer is")
    cells = [
        (
            row.case,
            f"{row.ours:.4g}",
            f"{row.peer:.4g}",
            row.unit,
            f"{row.ratio:.2f}",
            "" if row.target is None else f"<= {row.target:g}",
            "" if row.target is None else "MISSED" if row.missed else "ok",
            row.peer_name + (f"; {row.note}" if row.note else ""),
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in [heads, *cells]) for i in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [heads, *cells]
    )
