"""Maps for the tests of ``skep map``, and a way to run it."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from skep import cli

SOURCE = r"""
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";

enum state { IDLE, BUSY = 5 };
struct key { __u32 pid; __u16 port; };
struct value {
    __u64 calls; char comm[16]; enum state state; __be16 service; __u8 mac[6];
    struct { int x, y; } at;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, ENTRIES);
    __type(key, struct key); __type(value, struct value);
} cmd_items SEC(".maps");
struct {
    __uint(type, TOTALS); __uint(max_entries, 2);
    __type(key, __u32); __type(value, __u64);
} cmd_totals SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_QUEUE); __uint(max_entries, 4); __type(value, __u64);
} cmd_queue SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 2);
    __type(key, __u32); __type(value, __u32);
} cmd_programs SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 2); __type(key, __u32);
    __array(values, struct {
        __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1);
        __type(key, __u32); __type(value, __u32);
    });
} cmd_outer SEC(".maps");
int cmd_hello = 3;
const volatile int cmd_conf = 7;

SEC("socket") int cmd_program(void *ctx) {
    __u32 first = 0;
    __u64 value;
    struct key key = {};
    bpf_map_lookup_elem(&cmd_totals, &first);
    bpf_map_lookup_elem(&cmd_items, &key);
    bpf_map_lookup_elem(&cmd_outer, &first);
    bpf_map_pop_elem(&cmd_queue, &value);
    bpf_tail_call(ctx, &cmd_programs, 0);
    cmd_hello += cmd_conf;
    return 0;
}
"""

USUAL = SOURCE.replace("ENTRIES", "64").replace("TOTALS", "BPF_MAP_TYPE_PERCPU_ARRAY")

ONE = {
    "calls": 7, "comm": "init", "state": 5, "service": 443, "mac": b"\1\2\3\4\5\6", "at": (1, -2),
}  # fmt: skip
PLAIN = {
    "calls": 7, "comm": "init", "state": "BUSY", "service": 443, "mac": "010203040506",
    "at": {"x": 1, "y": -2},
}  # fmt: skip


def run(*arguments: str) -> tuple[int, str, str]:
    """Run ``skep map`` in this process; return its status and what it printed on both streams."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = cli.run(["map", *arguments])
    return status, out.getvalue(), err.getvalue()


def answer(*arguments: str) -> Any:
    """Run ``skep map``, which succeeds, and return the JSON document that it prints."""
    status, out, err = run(*arguments, "--json")
    assert (status, err) == (0, "")
    assert out.count("\n") == 1
    return json.loads(out)


def sentence(*arguments: str, status: int = 1) -> str:
    """Run ``skep map``, which fails, and return the one sentence that it says."""
    got, out, err = run(*arguments)
    assert (got, out) == (status, "")
    assert "a bug in skep" not in err
    assert "Traceback" not in err
    said = err.splitlines()
    if status == 2:
        return said[-1].removeprefix("Error: ")
    assert len(said) == 1
    return said[0].removeprefix("skep: ")
