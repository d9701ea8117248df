"""What the cases share: building peers, interleaving runs, medians and the table."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
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
    """One line of the table: *ours* against *peer*, and the ratio that is aimed at."""

    case: str
    peer_name: str
    ours: float
    peer: float
    unit: str
    target: float
    note: str = ""

    @property
    def ratio(self) -> float:
        """How many times the peer's figure ours is."""
        return self.ours / self.peer


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


def build_object(name: str) -> str:
    """Compile ``bpf/NAME.bpf.c`` and return the object's path."""
    OUT.mkdir(exist_ok=True)
    path = OUT / f"{name}.bpf.o"
    compile_bpf(str(HERE / "bpf" / f"{name}.bpf.c"), str(path), compiler="ziglang")
    return str(path)


def elapsed(command: list[str]) -> float:
    """Run *command* and return its wall-clock time from fork to exit, in milliseconds."""
    start = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ)
    _, status = os.waitpid(pid, 0)
    took = (time.perf_counter() - start) * 1e3
    if status:
        raise RuntimeError(f"{' '.join(command)} failed with status {status}")
    return took


def interleave(cases: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Run every case once a round, *rounds* times after one warm-up; return the medians."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, run in cases.items():
            result = run()
            if number:
                taken[name].append(result)
    return {name: statistics.median(results) for name, results in taken.items()}


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
            f"<= {row.target:g}",
            "ok" if row.ratio <= row.target else "MISSED",
            row.peer_name + (f"; {row.note}" if row.note else ""),
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in [heads, *cells]) for i in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [heads, *cells]
    )
