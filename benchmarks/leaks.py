"""``python -m benchmarks.leaks [SCRAPES [CYCLES]]``: what is left behind after very many reads.

First SCRAPES scrapes of six maps, by default the 17 280 of three days at one every 15 seconds, with
programs' work simulated by updates in between; then CYCLES (10 000) objects that are loaded, read
and closed. Prints memory, descriptors, threads and mappings on the way; exits with 1 when a number
of things grew, or memory by more than 1 MiB after the first tenth.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

import skep
from benchmarks.measure import build_object
from skep.maps.many import read_all
from skep.maps.types.array import ArrayMap

if TYPE_CHECKING:
    from collections.abc import Callable

SCRAPES = 3 * 24 * 60 * 4
CYCLES = 10_000
ROWS = 256
MAY_GROW = 1024  # KiB

SOURCE = """\
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Written by benchmarks/leaks.py.
#include <skep/bpf.h>

struct caller { __u64 calls; char comm[16]; };

#define MAP(NAME, TYPE, VALUE, FLAGS) \\
	struct { \\
		__uint(type, BPF_MAP_TYPE_##TYPE); \\
		__uint(max_entries, 256); \\
		__uint(map_flags, FLAGS); \\
		__type(key, __u32); \\
		__type(value, VALUE); \\
	} NAME SEC(".maps")

MAP(hash, HASH, struct caller, 0);
MAP(lru, LRU_HASH, __u64, 0);
MAP(per_cpu, PERCPU_HASH, __u64, 0);
MAP(array, ARRAY, __u64, 0);
MAP(shared, ARRAY, __u64, BPF_F_MMAPABLE);
MAP(histogram, PERCPU_ARRAY, __u64, 0);
__u64 total = 1;

char LICENSE[] SEC("license") = "GPL";
"""


class Held:
    """What this process holds now: KiB of memory, and numbers of other things."""

    def __init__(self) -> None:
        gc.collect()
        with open("/proc/self/status") as lines:
            status = dict(line.split(":", 1) for line in lines)
        self.memory = int(status["RssAnon"].split()[0])
        self.threads = int(status["Threads"])
        self.descriptors = len(os.listdir("/proc/self/fd"))
        with open("/proc/self/maps") as lines:
            self.mappings = sum(1 for _ in lines)

    def __str__(self) -> str:
        return (
            f"{self.memory:8} KiB  {self.descriptors:3} descriptors  {self.threads} threads"
            f"  {self.mappings:4} mappings"
        )


def watch(what: str, times: int, step: Callable[[int], None]) -> bool:
    """Do *step* *times* times; print what is held at each tenth; return whether it is flat."""
    print(f"{times} {what}")
    samples: list[Held] = []
    started = time.perf_counter()
    for number in range(times):
        step(number)
        if (number + 1) % max(1, times // 10) == 0:
            samples.append(Held())
            print(f"  {number + 1:6}  {samples[-1]}", flush=True)
    took = time.perf_counter() - started
    first, last = samples[0], samples[-1]
    flat = (
        last.memory - first.memory <= MAY_GROW
        and last.descriptors == first.descriptors
        and last.threads == first.threads
    )
    grown = last.memory - first.memory
    print(f"  {took:.0f} s; memory {grown:+} KiB: {'flat' if flat else 'IT GROWS'}")
    return flat


def scrapes(times: int) -> bool:
    """Scrape the maps of one object *times* times, in every way that there is."""
    keys = np.arange(ROWS, dtype=np.uint32)
    counts = keys.astype(np.uint64)
    with skep.ObjectSpec.from_file(build_object("leaks", source=SOURCE)).load() as obj:
        maps = [m for name, m in obj.maps.items() if not name.startswith(".")]
        cpus = obj.maps["per_cpu"].cells.cpus
        shared = obj.maps["shared"]
        assert isinstance(shared, ArrayMap)

        def step(number: int) -> None:
            some = keys + np.uint32(number % 7)
            obj.maps["lru"].update(some, counts)
            obj.maps["per_cpu"].update(some, np.full((ROWS, cpus), number, np.uint64))
            obj.maps["hash"].update({number % 500: {"calls": number, "comm": "leak"}})
            sums = [int(values.view(np.uint8).sum()) for _, values in read_all(maps[1:])]
            table = obj.maps["hash"].to_arrow()
            table.__arrow_c_stream__()  # a capsule that nobody takes
            sums.append(len(table))
            sums.append(sum(1 for _ in obj.maps["lru"].items()))
            sums.append(int(shared.view().sum()))
            obj.variables["total"] = obj.variables["total"].value + sum(sums) % 3
            obj.maps["per_cpu"].drain()
            if obj.maps["hash"].get(number % 500) is None or 501 in obj.maps["hash"]:
                raise RuntimeError("the map is not what was stored in it")
            obj.maps["hash"].pop(number % 500)

        return watch("scrapes of six maps", times, step)


def cycles(times: int) -> bool:
    """Load, read and close an object *times* times."""
    spec = skep.ObjectSpec.from_file(build_object("leaks", source=SOURCE))

    def step(number: int) -> None:
        with spec.load() as obj:
            obj.maps["hash"][number] = (number, "leak")
            shared = obj.maps["shared"]
            assert isinstance(shared, ArrayMap)
            shared.view()[3] = number
            if int(shared.read()[1][3]) != number:
                raise RuntimeError("the map is not what was stored in it")
            obj.maps["lru"].read()
            obj.maps["hash"].to_arrow().__arrow_c_array__()

    return watch("objects loaded, read and closed", times, step)


def main() -> int:
    """Run both; return an exit status."""
    numbers = [int(word) for word in sys.argv[1:]]
    times, rounds = (*numbers, *(SCRAPES, CYCLES)[len(numbers) :])
    results = [scrapes(times), cycles(rounds)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
