"""Arrays of programs, perf events and cgroups, filled from Python and used by programs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import skep
from skep.errors import (
    ClosedError,
    KernelError,
    LoadError,
    MissingKeyError,
    NotFoundError,
    TypeMismatchError,
    UnsupportedError,
)
from skep.kernel.constants import MapFlags, MapType, ProgramType
from skep.kernel.perf import PerfEventAttr, perf_event_open
from skep.maps import CgroupArray, MapSpec, PerfEventArray, ProgramArray

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiling import CompileBpf

    from skep.kernel.fd import FD

SOURCE = """// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} jumps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 4);
} groups SEC(".maps");

__u64 counted;
__s64 status;
__u32 only_pid;
__s32 inside;

SEC("socket") int start(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &jumps, 1);
	return 1;
}
SEC("socket") int one(struct __sk_buff *skb) { return 100; }
SEC("socket") int two(struct __sk_buff *skb) { return 200; }
SEC("raw_tp/sys_enter") int other(void *ctx) { return 0; }

SEC("uprobe/libc:getppid") int measure(void *ctx)
{
	struct bpf_perf_event_value value = {};

	if (bpf_get_current_pid_tgid() >> 32 != only_pid)
		return 0;
	status = bpf_perf_event_read_value(&counters, BPF_F_CURRENT_CPU, &value, sizeof(value));
	counted = value.counter;
	inside = bpf_current_task_under_cgroup(&groups, 0);
	return 0;
}
"""


@pytest.fixture
def live(compile_bpf: CompileBpf) -> Iterator[skep.Object]:
    with skep.ObjectSpec.from_file(compile_bpf(SOURCE)).load() as live:
        yield live


@pytest.fixture
def jumps(live: skep.Object) -> ProgramArray:
    jumps = live.maps["jumps"]
    assert isinstance(jumps, ProgramArray)
    return jumps


def clock(cpu: int) -> FD:
    """A software event that every machine has: the time a CPU was used, in nanoseconds."""
    return perf_event_open(PerfEventAttr(type=1, config=0), cpu=cpu, what="cpu-clock")


# Programs


def test_tail_calls_are_swapped_from_python(live: skep.Object, jumps: ProgramArray) -> None:
    start, programs = live.programs["start"], live.programs
    assert start.test_run().retval == 1  # nothing there: it falls through
    jumps[1] = programs["one"]
    assert start.test_run().retval == 100
    jumps[1] = programs["two"]
    assert start.test_run().retval == 200
    jumps[1] = programs["one"].fileno()
    assert start.test_run().retval == 100
    del jumps[1]
    assert start.test_run().retval == 1


def test_ids_of_programs_are_read(live: skep.Object, jumps: ProgramArray) -> None:
    one, two = live.programs["one"], live.programs["two"]
    jumps.update([3, 1], [one, two])
    assert jumps[3] == one.info.id
    assert dict(jumps.items()) == {1: two.info.id, 3: one.info.id}
    assert (list(jumps), jumps.count(), 1 in jumps, 2 in jumps) == ([1, 3], 2, True, False)
    keys, ids = jumps.read()
    assert (keys.tolist(), ids.tolist()) == ([1, 3], [two.info.id, one.info.id])
    assert jumps.pop(3) == one.info.id
    with pytest.raises(MissingKeyError, match="map 'jumps' has nothing at 3"):
        jumps[3]
    jumps.clear()
    assert not list(jumps)
    for action in (lambda: jumps[4], lambda: jumps.__delitem__(4), lambda: jumps.pop(4)):
        with pytest.raises(MissingKeyError, match="map 'jumps' has 4 entries: no index 4"):
            action()
    with pytest.raises(MissingKeyError, match="map 'jumps' has 4 entries: no index 4"):
        jumps[4] = one
    with pytest.raises(UnsupportedError, match="without a condition only"):
        jumps.insert(0, one)


def test_the_wrong_program_is_named(live: skep.Object, jumps: ProgramArray) -> None:
    assert jumps.program_type is ProgramType.SOCKET_FILTER  # `start` jumps through it
    with pytest.raises(TypeMismatchError) as caught:
        jumps[0] = live.programs["other"]
    assert "map 'jumps' (prog_array) takes socket_filter programs, and " in caught.value.message
    assert "'other'" in caught.value.message
    assert "is raw_tracepoint" in caught.value.message
    assert (caught.value.expected, caught.value.role) == ("socket_filter", "value")
    wrong: Any
    for wrong in (jumps, live.maps["counters"]):
        with pytest.raises(TypeMismatchError, match=r"takes a program, and .* is none"):
            jumps[0] = wrong
    for wrong in ("one", None, 1.5):
        with pytest.raises(TypeMismatchError, match="'jumps', value: expected a program or its de"):
            jumps[0] = wrong
    with pytest.raises(TypeMismatchError, match="takes a program, and descriptor 1048576 is none"):
        jumps[0] = 1 << 20


def test_the_first_program_decides_the_type(live: skep.Object) -> None:
    with MapSpec(name="open", type=MapType.PROG_ARRAY, max_entries=2).create() as made:
        assert isinstance(made, ProgramArray)
        assert made.program_type is None
        made[0] = live.programs["other"]
        assert made.program_type is ProgramType.RAW_TRACEPOINT
        with pytest.raises(TypeMismatchError, match="takes raw_tracepoint programs"):
            made[1] = live.programs["one"]


def test_the_kernel_empties_an_array_that_nobody_holds(live: skep.Object, jumps: Any) -> None:
    """As the docstring of `ProgramArray` warns; a second descriptor prevents it."""
    jumps[1] = live.programs["one"]
    start = live.programs["start"]
    with skep.Map.from_id(jumps.id):
        jumps.close()
        assert start.test_run().retval == 100
    deadline = time.monotonic() + 60
    while start.test_run().retval != 1:  # a worker of the kernel does it
        assert time.monotonic() < deadline
        os.sched_yield()


# Perf events


def test_programs_read_the_events(live: skep.Object) -> None:
    counters = live.maps["counters"]
    assert isinstance(counters, PerfEventArray)
    live.variables["only_pid"].value = os.getpid()
    cpus = sorted(os.sched_getaffinity(0))
    events = {cpu: clock(cpu) for cpu in cpus}
    with live.attach("measure")[0]:
        os.getppid()
        assert live.variables["status"].value < 0  # nothing is in it yet
        counters.fill(events)
        os.getppid()
        assert live.variables["status"].value == 0
        assert live.variables["counted"].value > 0
        for cpu in cpus:
            del counters[cpu]
        os.getppid()
        assert live.variables["status"].value < 0
    for event in events.values():
        event.close()


def test_an_array_of_events_tells_nothing() -> None:
    spec = MapSpec(name="events", type=MapType.PERF_EVENT_ARRAY, max_entries=2)
    with spec.create() as made, clock(0) as event:
        assert isinstance(made, PerfEventArray)
        made.fill([event])
        for action in (
            lambda: made[0],
            lambda: made.get(0),
            lambda: 0 in made,
            lambda: list(made),
            lambda: list(made.items()),
            lambda: list(made.values()),
            lambda: made.pop(0),
            made.count,
            made.read,
            made.drain,
        ):
            with pytest.raises(UnsupportedError, match="does not tell what is in it") as caught:
                action()
            assert "has to remember them" in caught.value.hint
        del made[0]
        with pytest.raises(MissingKeyError, match="map 'events' has nothing at 0"):
            del made[0]
        made.fill({1: event})
        made.clear()
        with pytest.raises(MissingKeyError):
            del made[1]
        with pytest.raises(MissingKeyError, match="map 'events' has 2 entries: no index 7"):
            made.fill({7: event})
        with pytest.raises(TypeMismatchError, match=r"takes a perf event, and <PerfEventArray "):
            made[0] = made
    with pytest.raises(ClosedError):
        made[0] = event


def test_events_leave_with_the_descriptor_that_put_them_in(live: skep.Object) -> None:
    spec = MapSpec(name="events", type=MapType.PERF_EVENT_ARRAY, max_entries=2)
    for flags, stays in ((0, False), (MapFlags.PRESERVE_ELEMS, True)):
        with spec.copy(flags=flags).create() as made, clock(0) as event:
            with skep.Map.from_id(made.id) as other:
                other[0] = event
            if stays:
                del made[0]
            else:
                with pytest.raises(MissingKeyError):
                    del made[0]


# Cgroups


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A cgroup of the test's own, below the one this process is in or the root."""
    from skep.kernel.mounts import mounts

    root = next(Path(mount.point) for mount in mounts() if mount.kind == "cgroup2")
    path = root / f"skep-test-{os.getpid()}"
    path.mkdir()
    yield path
    path.rmdir()


def test_programs_compare_with_the_cgroups(live: skep.Object, cgroup: Path) -> None:
    groups = live.maps["groups"]
    assert isinstance(groups, CgroupArray)
    groups[0] = cgroup
    code = "import os, sys; sys.stdin.read(1); os.getppid(); sys.stdin.read(1)"
    with live.attach("measure")[0]:
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True)
        assert child.stdin is not None
        live.variables["only_pid"].value = child.pid
        live.variables["inside"].value = -99
        (cgroup / "cgroup.procs").write_text(str(child.pid))
        child.communicate("xy")
    assert child.returncode == 0
    assert live.variables["inside"].value == 1
    live.variables["only_pid"].value = os.getpid()
    with live.attach("measure")[0]:
        os.getppid()
        assert live.variables["inside"].value == 0
        del groups[0]
        os.getppid()
        assert live.variables["inside"].value < 0


def test_what_is_no_cgroup(cgroup: Path) -> None:
    spec = MapSpec(name="groups", type=MapType.CGROUP_ARRAY, max_entries=1)
    with spec.create() as made:
        assert isinstance(made, CgroupArray)
        number = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
        try:
            made[0] = number
        finally:
            os.close(number)
        wrong: Any = "/proc"
        with pytest.raises(TypeMismatchError) as caught:
            made[0] = wrong
        assert "takes a directory of cgroup v2, and cgroup '/proc' is none" in caught.value.message
        assert f"cgroup v2 is mounted at {cgroup.parent}" in caught.value.hint
        wrong = f"{cgroup}/absent"
        with pytest.raises(NotFoundError, match=r"there is no cgroup .*/absent': No such file"):
            made[0] = wrong
        wrong = str(cgroup)
        with pytest.raises(MissingKeyError, match="map 'groups' has 1 entry: no index 3"):
            made[3] = wrong
        with pytest.raises(UnsupportedError, match="does not tell what is in it"):
            made[0]
        del made[0]
        with pytest.raises(MissingKeyError):
            del made[0]


@pytest.mark.parametrize(
    ("kind", "flags", "words"),
    [
        (MapType.PROG_ARRAY, MapFlags.MMAPABLE, "this type of map does not take MMAPABLE"),
        (MapType.PERF_EVENT_ARRAY, MapFlags.NO_PREALLOC, "does not take NO_PREALLOC"),
        (MapType.CGROUP_ARRAY, MapFlags.RDONLY | MapFlags.WRONLY, "not both of RDONLY | WRONLY"),
    ],
)
def test_flags_that_a_type_does_not_take(kind: MapType, flags: int, words: str) -> None:
    spec = MapSpec(name="odd", type=kind, max_entries=2, flags=flags)
    with pytest.raises(LoadError) as caught:
        spec.create()
    assert isinstance(caught.value, KernelError)
    assert words in str(caught.value)
