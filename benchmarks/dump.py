"""Dump a whole hash map of 100 000 entries (u32 to 16 bytes) as columns."""

from __future__ import annotations

import statistics
import subprocess
import time

import numpy as np

import skep
from benchmarks.measure import Row, build_object, build_peer

ENTRIES = 100_000
CHUNK = 8192


def run(rounds: int = 9) -> list[Row]:
    """Return one row; ours and the peer's rounds alternate on the same filled map."""
    peer = build_peer("dump")
    ours, theirs = [], []
    with skep.ObjectSpec.from_file(build_object("dump")).load() as obj:
        entries = obj.maps["entries"]
        keys = np.arange(ENTRIES, dtype=np.uint32)
        values = np.zeros(ENTRIES, dtype=[("count", "<u8"), ("total", "<u8")])
        values["count"] = keys
        entries.update(keys, values)
        command = [peer, str(entries.info.id), str(ENTRIES), "1", str(CHUNK)]
        for number in range(rounds + 1):
            start = time.perf_counter_ns()
            columns = entries.read()
            took = time.perf_counter_ns() - start
            assert len(columns[0]) == ENTRIES
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            if number:  # the first round warms up
                ours.append(took / ENTRIES)
                theirs.append(int(printed) / ENTRIES)
    return [
        Row(
            "dump 100 000 entries",
            "libbpf batch in C",
            statistics.median(ours),
            statistics.median(theirs),
            "ns/entry",
            1.2,
        )
    ]
