"""Whole process: `skep check` of one object, against a budget."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from benchmarks.measure import (
    OUT,
    Row,
    Times,
    UnavailableError,
    build_object,
    build_peer,
    elapsed,
    interleave,
)


def run(rounds: int = 15) -> list[Row]:
    """Return one row against the budget of 150 ms; loading alone, in C, for comparison."""
    command = Path(sys.executable).parent / "skep"
    if not command.exists():
        raise UnavailableError("there is no skep command: pip install 'skep[cli]'")
    path, peer = build_object("load"), build_peer("load")
    cache = OUT / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    medians = interleave(
        {
            "check": lambda: _quiet([str(command), "check", path], SKEP_CACHE=str(cache)),
            "json": lambda: _quiet([str(command), "check", "--json", path], SKEP_CACHE="off"),
            "libbpf": lambda: elapsed([peer, path]),
        },
        rounds,
    )
    note = f"libbpf loads it in {medians['libbpf'].wall:.1f}"

    def row(case: str, name: str, note: str = "") -> Row:
        taken = medians[name]
        note = f"CPU {taken.cpu:.1f}{note and '; '}{note}"
        return Row(case, "the budget of 150 ms", taken.wall, 150.0, "ms", 1.0, note)

    return [row("skep check", "check", note), row("skep check --json, no index", "json")]


def _quiet(command: list[str], **variables: str) -> Times:
    return elapsed(["/bin/sh", "-c", 'exec "$@" >/dev/null', "sh", *command], **variables)
