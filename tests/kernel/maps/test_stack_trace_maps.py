"""Stack traces: chains by id, as addresses and as build ids, one by one and as columns."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import skep
from skep.errors import LoadError, MissingKeyError, RangeError, UnsupportedError
from skep.kernel.constants import MapFlags, MapType
from skep.maps import Map, MapSpec, StackTraces
from skep.maps.types import stack_traces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compiling import CompileBpf

SOURCE = """// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 64);
	__uint(key_size, 4);
	__uint(value_size, 8 * 20);
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_STACK_BUILD_ID);
	__uint(key_size, 4);
	__uint(value_size, 32 * 6);
} files SEC(".maps");

__u32 only_pid;
__s64 user, kernel, file;
__u64 ip;

SEC("uprobe/libc:getppid") int on_getppid(struct pt_regs *regs)
{
	if (bpf_get_current_pid_tgid() >> 32 != only_pid)
		return 0;
	ip = PT_REGS_IP(regs);
	user = bpf_get_stackid(regs, &stacks, BPF_F_USER_STACK);
	file = bpf_get_stackid(regs, &files, BPF_F_USER_STACK);
	return 0;
}

SEC("raw_tp/sys_enter") int on_enter(void *context)
{
	if (bpf_get_current_pid_tgid() >> 32 == only_pid)
		kernel = bpf_get_stackid(context, &stacks, BPF_F_REUSE_STACKID);
	return 0;
}
"""


@pytest.fixture
def live(compile_bpf: CompileBpf) -> Iterator[skep.Object]:
    spec = skep.ObjectSpec.from_file(compile_bpf(SOURCE))
    with spec.load() as live:
        live.variables["only_pid"].value = os.getpid()
        with live.attach("on_getppid")[0]:
            os.getppid()
        with live.attach("on_enter")[0]:
            os.getpgrp()
        yield live


def maps_of_this_process() -> list[tuple[int, int, int, str]]:
    """Return (start, end, file offset, path) of what is mapped."""
    found = []
    with open("/proc/self/maps") as lines:
        for line in lines:
            place, _, offset, _, _, *path = line.split()
            start, _, end = place.partition("-")
            name = path[0] if path else ""
            found.append((int(start, 16), int(end, 16), int(offset, 16), name))
    return found


def test_addresses(live: skep.Object) -> None:
    stacks = live.maps["stacks"]
    assert isinstance(stacks, StackTraces)
    assert (stacks.depth, stacks.by_build_id) == (20, False)
    chain = stacks[live.variables["user"].value]
    assert chain[0] == live.variables["ip"].value
    assert 1 <= len(chain) <= 20
    libc = [one for one in maps_of_this_process() if "libc" in one[3]]
    assert any(start <= chain[0] < end for start, end, _, _ in libc)
    assert all(chain)
    inner = stacks[live.variables["kernel"].value]
    assert all(address >> 63 for address in inner)  # the kernel's half


def test_build_ids(live: skep.Object) -> None:
    files = live.maps["files"]
    assert isinstance(files, StackTraces)
    assert (files.depth, files.by_build_id) == (6, True)
    frames = files[live.variables["file"].value]
    assert 1 <= len(frames) <= 6
    first = frames[0]
    ip = live.variables["ip"].value
    if first.status == stack_traces.VALID:
        start, _, offset, path = next(m for m in maps_of_this_process() if m[0] <= ip < m[1])
        assert first.offset == ip - start + offset
        with open(path, "rb") as library:
            assert first.build_id in library.read()
    else:
        assert (first.status, first.ip) == (stack_traces.IP, ip)
    assert len(first.build_id) == 20
    assert all(frame.status in (stack_traces.VALID, stack_traces.IP) for frame in frames)
    keys, values = files.read()
    assert values.shape == (1, 6)
    assert keys.tolist() == [live.variables["file"].value]
    assert values["offset"][0, 0] == first.offset
    assert bytes(values["build_id"][0, 0]) == first.build_id


def test_columns_and_walks(live: skep.Object) -> None:
    stacks = live.maps["stacks"]
    ids = set(stacks)
    assert ids >= {live.variables["user"].value, live.variables["kernel"].value}
    assert stacks.count() == len(ids)
    assert {id: stacks[id] for id in ids} == dict(stacks.items())
    keys, values = stacks.read()
    assert values.shape == (len(ids), 20)
    assert values.dtype == np.uint64
    for key, row in zip(keys.tolist(), values.tolist(), strict=True):
        chain = stacks[key]
        assert tuple(row[: len(chain)]) == chain
        assert not any(row[len(chain) :])
    gone, _ = stacks.drain()
    assert set(gone.tolist()) == ids
    assert not list(stacks)
    with pytest.raises(MissingKeyError):
        stacks[live.variables["user"].value]


def test_taking_out(live: skep.Object) -> None:
    stacks = live.maps["stacks"]
    user, kernel = live.variables["user"].value, live.variables["kernel"].value
    chain = stacks[user]
    assert stacks.pop(user) == chain
    assert stacks.pop(user, None) is None
    del stacks[kernel]
    for absent in (kernel, 63, 10_000):
        with pytest.raises(MissingKeyError, match=f"map 'stacks' has no key {absent}"):
            del stacks[absent]
        with pytest.raises(MissingKeyError):
            stacks[absent]
        assert absent not in stacks


@pytest.mark.parametrize(
    ("id", "words", "hint"),
    [
        (-14, "bpf_get_stackid failed with EFAULT", "a kernel thread has no user stack, and a"),
        ((1 << 32) - 14, "bpf_get_stackid failed with EFAULT", "a kernel thread has no user"),
        (-17, "bpf_get_stackid failed with EEXIST", "BPF_F_REUSE_STACKID"),
        (-12, "bpf_get_stackid failed with ENOMEM", ""),
        (-1000, "bpf_get_stackid failed with 1000", ""),
        (-5000, "-5000 is not an array index", ""),
    ],
)
def test_an_error_is_no_id(live: skep.Object, id: int, words: str, hint: str) -> None:
    stacks = live.maps["stacks"]
    actions: list[Callable[[], object]] = [
        lambda: stacks[id], lambda: stacks.get(id), lambda: id in stacks,
    ]  # fmt: skip
    for action in actions:
        with pytest.raises(RangeError, match=f"^map 'stacks', key: .*{words}") as caught:
            action()
        assert hint in caught.value.hint


def test_only_programs_store(live: skep.Object) -> None:
    stacks: Any = live.maps["stacks"]
    actions: list[Callable[[], object]] = [
        lambda: stacks.__setitem__(1, (1, 2)),
        lambda: stacks.insert(1, (1, 2)),
        lambda: stacks.update([1], [(1, 2)]),
    ]
    for action in actions:
        with pytest.raises(UnsupportedError, match="stored by programs only"):
            action()


def test_opened_by_id(live: skep.Object) -> None:
    with Map.from_id(live.maps["files"].id) as again:
        assert isinstance(again, StackTraces)
        id = live.variables["file"].value
        assert again[id] == live.maps["files"][id]


@pytest.mark.parametrize(
    ("size", "flags", "words"),
    [
        (12, 0, "the value size must be a multiple of 8 bytes, not 12"),
        (40, MapFlags.STACK_BUILD_ID, "the value size must be a multiple of 32 bytes, not 40"),
        (8 * 100_000, 0, "the value size must be .* bytes or fewer, .* frames"),
        (0, 0, "the value size must be 1 byte or more"),
        (64, MapFlags.NO_PREALLOC, "does not take NO_PREALLOC"),
    ],
)
def test_what_cannot_be_created(size: int, flags: int, words: str) -> None:
    spec = MapSpec(
        name="odd", type=MapType.STACK_TRACE, value_size=size, max_entries=2, flags=flags
    )
    with pytest.raises(LoadError, match=words):
        spec.create()
