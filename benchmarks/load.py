"""Whole process: load an object and leave; the memory that takes; what `import skep` costs."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess

from benchmarks import many
from benchmarks.measure import (
    OUT,
    PYTHON,
    Row,
    Times,
    build_object,
    build_peer,
    elapsed,
    interleave,
)

PROGRAM = "import sys, skep; skep.ObjectSpec.from_file(sys.argv[1]).load().close()"
MEMORY = """
import sys, skep
with skep.ObjectSpec.from_file(sys.argv[1]).load():
    with open("/proc/self/status") as file:
        found = {key: value for key, _, value in (line.partition(":") for line in file)}
print('{"resident": %s, "peak": %s}' % (found["VmRSS"].split()[0], found["VmHWM"].split()[0]))
"""


def run(rounds: int = 21) -> list[Row]:
    """Return the rows for loading, memory and importing."""
    small, large = build_object("load"), build_object("many", many.source())
    peer = build_peer("load")
    cache = OUT / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    with_index, without = {"SKEP_CACHE": str(cache)}, {"SKEP_CACHE": "off"}

    def load(path: str, variables: dict[str, str]) -> Times:
        return elapsed([*PYTHON, "-c", PROGRAM, path], **variables)

    medians = interleave(
        {
            "libbpf": lambda: elapsed([peer, small]),
            "cached": lambda: load(small, with_index),  # the warm-up writes the index
            "uncached": lambda: load(small, without),
            "libbpf, large": lambda: elapsed([peer, large]),
            "large, cached": lambda: load(large, with_index),
            "large, uncached": lambda: load(large, without),
            "import": lambda: elapsed([*PYTHON, "-c", "import skep"]),
            "python": lambda: elapsed([*PYTHON, "-c", "pass"]),
        },
        rounds,
    )

    def row(case: str, ours: str, peer: str, target: float) -> Row:
        mine, theirs = medians[ours], medians[peer]
        note = f"CPU {mine.cpu:.1f} / {theirs.cpu:.1f} = {mine.cpu / theirs.cpu:.2f}"
        return Row(case, "libbpf in C", mine.wall, theirs.wall, "ms", target, note)

    bare = medians["python"]
    added = medians["import"].wall - bare.wall
    return [
        row("load 5 programs, BTF index", "cached", "libbpf", 1.3),
        row("load 5 programs, no index", "uncached", "libbpf", 2.0),
        row("load 50 programs, BTF index", "large, cached", "libbpf, large", 2.0),
        row("load 50 programs, no index", "large, uncached", "libbpf, large", 2.0),
        Row(
            "python -c pass",
            "libbpf in C, 5 programs",
            bare.wall,
            medians["libbpf"].wall,
            "ms",
            None,
        ),
        _memory("memory, 5 programs loaded", small),
        _memory("memory, 50 programs loaded", large),
        # Budgets rather than peers: import skep may add 20 ms to a bare interpreter.
        Row("import skep", "the budget of 20 ms", added, 20.0, "ms", 1.0),
    ]


def _memory(case: str, path: str, rounds: int = 5) -> Row:
    """Return the row for the resident memory, without the index."""
    command = ["/usr/bin/env", "SKEP_CACHE=off", *PYTHON, "-c", MEMORY, path]
    found = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(rounds)
    ]
    resident = statistics.median(each["resident"] for each in found) / 1024
    peak = statistics.median(each["peak"] for each in found) / 1024
    note = f"at most {peak:.1f} while it loads"
    return Row(case, "the budget of 30 MB", resident, 30.0, "MB", 1.0, note)
