"""Reading and writing maps: whole ones, single keys, columns, shared memory, a scrape of many."""

from __future__ import annotations

import gc
import statistics
import subprocess
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

import skep
from benchmarks.measure import Row, build_object, build_peer
from skep.maps.many import read_all
from skep.maps.types.array import ArrayMap

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from skep.maps.map import Map

ENTRIES = 100_000
LOOKUPS = 20_000
MAPS, EACH = 50, 1_000

SOURCE = """\
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Written by benchmarks/maps.py.
#include <skep/bpf.h>

struct totals { __u64 count; __u64 total; };

#define MAP(NAME, TYPE, VALUE, ENTRIES, FLAGS) \\
	struct { \\
		__uint(type, BPF_MAP_TYPE_##TYPE); \\
		__uint(max_entries, ENTRIES); \\
		__uint(map_flags, FLAGS); \\
		__type(key, __u32); \\
		__type(value, VALUE); \\
	} NAME SEC(".maps")

MAP(structs, HASH, struct totals, 200000, 0);
MAP(numbers, HASH, __u64, 200000, 0);
MAP(shared, ARRAY, __u64, 100000, BPF_F_MMAPABLE);

char LICENSE[] SEC("license") = "GPL";
"""


class Turns:
    """Runs things in turns, so that what else the machine does meets all of them alike."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.ours: dict[str, Callable[[], Any]] = {}
        self.theirs: dict[str, tuple[str, ...]] = {}

    def run(self, rounds: int) -> dict[str, float]:
        """Run all of them *rounds* times after a warm-up; return the medians, nanoseconds."""
        taken: dict[str, list[int]] = {}
        for number in range(rounds + 1):
            for name, work in self.ours.items():
                start = time.perf_counter_ns()
                kept = work()
                took = time.perf_counter_ns() - start
                del kept
                if number:
                    taken.setdefault(name, []).append(took)
            for name, arguments in self.theirs.items():
                command = [self.peer, *arguments, "2"]
                printed = subprocess.run(command, check=True, capture_output=True, text=True)
                if number:  # of two repeats the second: ours has been here before, too
                    taken.setdefault(name, []).append(int(printed.stdout.split()[1]))
        return {name: statistics.median(values) for name, values in taken.items()}


def run(rounds: int = 9) -> list[Row]:
    """Return the rows of all map calls, measured in turns on the same filled maps."""
    turns = Turns(build_peer("maps"))
    with ExitStack() as stack:
        obj = stack.enter_context(
            skep.ObjectSpec.from_file(build_object("maps", source=SOURCE)).load()
        )
        structs, numbers, shared = (obj.maps[name] for name in ("structs", "numbers", "shared"))
        keys = np.arange(ENTRIES, dtype=np.uint32)
        values = np.zeros(ENTRIES, dtype=[("count", "<u8"), ("total", "<u8")])
        values["count"] = keys
        structs.update(keys, values)
        numbers.update(keys, keys.astype(np.uint64))
        many = [
            stack.enter_context(obj.spec.maps["numbers"].copy(max_entries=EACH).create())
            for _ in range(MAPS)
        ]
        for one in many:
            one.update(keys[:EACH], keys[:EACH].astype(np.uint64))
        assert isinstance(shared, ArrayMap)
        live, copied = shared.view(), np.empty(ENTRIES, np.uint64)
        wanted = list(range(LOOKUPS))
        turns.ours = {
            "dump": structs.read,
            "items": lambda: dict(structs.items()),
            "arrow": structs.to_arrow,
            "number": lambda: _look_up(numbers, wanted),
            "struct": lambda: _look_up(structs, wanted),
            "update": lambda: structs.update(keys, values),
            "view": lambda: np.copyto(copied, live),
            "scrape": lambda: read_all(many),
        }
        ids = {name: str(obj.maps[name].info.id) for name in ("structs", "numbers", "shared")}
        turns.theirs = {
            "c batch": ("batch", ids["structs"], str(ENTRIES)),
            "c keys": ("keys", ids["structs"], str(ENTRIES)),
            "c number": ("lookup", ids["numbers"], str(LOOKUPS)),
            "c struct": ("lookup", ids["structs"], str(LOOKUPS)),
            "c update": ("update", ids["structs"], str(ENTRIES)),
            "c view": ("view", ids["shared"], str(ENTRIES)),
            "c scrape": ("scrape", str(many[0].info.id), str(MAPS)),
        }
        gc.collect()
        return list(_rows(turns.run(rounds)))


def _look_up(map: Map, wanted: list[int]) -> None:
    for key in wanted:
        map[key]


def _rows(took: Mapping[str, float]) -> list[Row]:
    def row(case: str, ours: str, theirs: str, peer: str, count: int, target: float | None) -> Row:
        return Row(case, peer, took[ours] / count, took[theirs] / count, "ns/entry", target)

    note = f"libbpf reads them in {took['c scrape'] / 1e6:.2f}"
    return [
        row("read() 100 000 entries", "dump", "c batch", "libbpf batch in C", ENTRIES, 0.9),
        row("read() 100 000 entries", "dump", "c keys", "C key by key", ENTRIES, 0.2),
        row("to_arrow() 100 000 entries", "arrow", "c batch", "libbpf batch in C", ENTRIES, None),
        row("dict(m.items())", "items", "c keys", "C key by key", ENTRIES, None),
        row("m[key], a number", "number", "c number", "one lookup in C", LOOKUPS, 3.0),
        row("m[key], a struct", "struct", "c struct", "one lookup in C", LOOKUPS, 3.0),
        row("update() of columns", "update", "c update", "libbpf batch in C", ENTRIES, 1.5),
        Row(
            "array view, all copied",
            "the budget of 1 ns",
            took["view"] / ENTRIES,
            1.0,
            "ns/entry",
            1.0,
            f"memcpy in C {took['c view'] / ENTRIES:.2f}",
        ),
        Row(
            f"read_all() of {MAPS} maps of 1 000",
            "the budget of 10 ms",
            took["scrape"] / 1e6,
            10.0,
            "ms",
            1.0,
            note,
        ),
    ]
