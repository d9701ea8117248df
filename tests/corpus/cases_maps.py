"""Map types and the ways to define maps."""

from __future__ import annotations

import os

from corpus_case import Case
from corpus_maps import (
    flags_are_there,
    forgets,
    has_a_stack,
    inner_values,
    legacy,
    legacy_bare,
    legacy_counted,
    lo,
    loads_again,
    mounted_bpffs,
    opens_a_file,
    own_group,
    percpu,
    puts_inside,
    reads_an_event,
    ring,
    three_datagrams,
    typed_ring,
    writes_to_ring,
)
from corpus_network import in_cgroup
from corpus_steps import attached, run, until
from corpus_tracing import GETPPID, getppid

OWN = {"own": os.getpid, "number": GETPPID}

CASES = [
    Case("map_hash", "map: hash", *[run("count", returns=0)] * 3, maps={"counts": {7: 3}}),
    Case(
        "map_array",
        "map: array",
        run("fill"),
        variables={"beyond": 0},
        maps={"squares": {0: 0, 1: 1, 2: 4, 3: 9}},
    ),
    Case("map_percpu", "maps: percpu_array, percpu_hash", percpu),
    Case("map_lru", "map: lru_hash", run("fill"), forgets, variables={"refused": 0}),
    Case("map_lpm", "map: lpm_trie", run("ask"), variables={"near": 2, "far": 1, "none": 0}),
    Case(
        "map_queue",
        "maps: queue, stack",
        run("pushes"),
        variables={"first": 1, "last": 3, "peeked": 2},
    ),
    Case(
        "map_bloom",
        "map: bloom_filter, map_extra",
        run("ask"),
        variables={"known": 0, "unknown": -2},
    ),
    Case(
        "map_in_map",
        "map: array_of_maps, initial values",
        run("fill"),
        inner_values,
        variables={"holes": 1},
    ),
    Case(
        "map_hash_of_maps",
        "map: hash_of_maps, inner definition",
        puts_inside,
        run("ask"),
        variables={"result": 60},
    ),
    Case(
        "map_prog_array",
        "map: prog_array, initial values",
        run("first", returns=3),
        variables={"trail": 123},
    ),
    Case("map_legacy", "maps: old style", legacy, run("count", returns=9), legacy_counted),
    Case(
        "map_legacy_bare",
        "maps: old style, no BTF",
        legacy_bare,
        run("sum", returns=33),
        flags=("-g0",),
    ),
    Case("map_pinned", "map: pinning by name", loads_again, prepare=mounted_bpffs),
    Case("map_ringbuf", "map: ringbuf", ring),
    Case("map_ringbuf_type", "map: ringbuf with a value type", typed_ring),
    Case(
        "map_user_ringbuf",
        "map: user_ringbuf",
        writes_to_ring,
        variables={"sum": 42, "drained": 2},
    ),
    Case("map_perf_event_array", "map: perf_event_array of all CPUs", reads_an_event),
    Case("map_stack_trace", "map: stack_trace", has_a_stack),
    Case(
        "map_task_storage",
        "map: task_storage",
        attached("count", act=getppid),
        given=OWN,
        variables={"counted": 3},
    ),
    Case(
        "map_sk_storage",
        "map: sk_storage",
        in_cgroup("count", act=three_datagrams),
        variables={"packets": 3, "most": 3},
    ),
    Case(
        "map_inode_storage",
        "map: inode_storage",
        opens_a_file,
        given={"own": os.getpid},
        variables={"most": 3},
        guests=True,
    ),
    Case(
        "map_cgroup_storage",
        "map: cgrp_storage",
        attached("count", act=getppid),
        given=OWN,
        variables={"counted": 3},
        needs=("cgroup_storage",),
    ),
    Case(
        "map_cgroup_array",
        "map: cgroup_array",
        own_group,
        variables={"inside": 1, "unset": -11},
    ),
    Case("map_flags", "map: flags, NUMA node", flags_are_there, run("reads", returns=42)),
    Case("map_struct_key", "map: structures as keys", *[run("count")] * 3),
    Case("map_spin_lock", "map: spin lock", *[run("both", returns=0)] * 2),
    Case("map_timer", "map: timer", run("start", returns=0), until("fired", 42)),
    Case(
        "map_kptr",
        "map: kernel pointer",
        attached("keep", act=getppid),
        given=OWN,
        variables={"before": 0, "after": os.getpid},
        functions={"bpf_task_release": (6, 2)},
        clang=15,
    ),
    Case(
        "map_arena",
        "map: arena",
        run("list", returns=42),
        variables={"sum": 42},
        needs=("arena",),
        clang=19,
    ),
    Case("map_weak", "map: weak", run("count", returns=3), run("count", returns=6)),
    Case(
        "map_devmap",
        "maps: devmap, devmap_hash",
        lo,
        run("redirects", returns=4),
        run("redirects", data=bytes(200), returns=3),
        variables={"missing": 2},
    ),
]
