"""The default probes by themselves, against the running kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from skep.agent.families import Counter
from skep.agent.probes.cputime import CpuTime, CpuTimeTool, long_running, name_of
from skep.agent.probes.process_starts import ProcessStarts, Starts
from skep.agent.probes.system_calls import SystemCalls, counts
from skep.agent.series import OTHER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skep.agent.probe import Probe
    from skep.object.spec import ObjectSpec
    from skep.tools.options import Options

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load BPF programs")

BURN = """
import sys, time
end = time.process_time() + 0.01
open("/proc/self/comm", "w").write(sys.argv[1])
while time.process_time() < end: pass
"""


def samples(probe: Probe) -> Mapping[tuple[str, ...], float]:
    """Read the probe's only family."""
    (family,) = probe.collect()
    assert isinstance(family, Counter)
    return family.samples


class Forgetful(CpuTimeTool):
    """The same with room for next to nothing."""

    def configure(self, spec: ObjectSpec, options: Options) -> None:  # noqa: ARG002
        """Make the kernel forget."""
        spec.maps["by_name"].max_entries = 8


def test_what_the_kernel_forgot_of_cpu_time_is_under_other() -> None:
    probe = CpuTime()
    probe._tool = Forgetful()
    probe.open()
    try:
        samples(probe)
        for number in range(40):
            subprocess.run([sys.executable, "-c", BURN, f"skep-burn-{number}"], check=True)
        cpus = probe.running.object.maps["cpus"]
        before = sum(cpu.total for cpu in cpus[0])
        found = samples(probe)
        after = sum(cpu.total for cpu in cpus[0])
    finally:
        probe.close()
    named = sum(key[0].startswith("skep-burn-") for key in found)
    assert named < 40
    assert found[OTHER,] > 0
    # All that was accounted, and the slices that were under way at the time of reading.
    # In whole nanoseconds, as the kernel counts: sums of seconds round.
    assert before <= round(sum(found.values()) * 1e9) <= after + 500_000_000


def test_cpu_time_goes_on_when_the_probe_is_loaded_again() -> None:
    probe = CpuTime()
    totals = []
    for _ in range(2):
        probe.open()
        try:
            subprocess.run([sys.executable, "-c", BURN, "skep-again"], check=True)
            time.sleep(0.02)  # for the last slice, which ends with the process
            totals.append(samples(probe)["skep-again",])
        finally:
            probe.close()
    assert 0.005 < totals[0] < 0.1
    assert totals[0] + 0.005 < totals[1] < 0.2


def test_kernel_threads_have_one_name_a_kind() -> None:
    # Thread 2 is kthreadd; its first child with a "/" is one of those numbered by CPU.
    with open("/proc/2/task/2/children") as children:
        names = {}
        for pid in children.read().split():
            try:
                with open(f"/proc/{pid}/comm") as comm:
                    names[int(pid)] = comm.read().strip()
            except OSError:
                continue  # workers come and go
    number = next(pid for pid, comm in names.items() if comm.startswith("ksoftirqd/"))
    assert name_of(number) == "ksoftirqd"
    assert name_of(os.getpid()) == open_comm()
    assert name_of(2**22 + 1) == ""


def open_comm() -> str:
    """Return this process's name."""
    with open("/proc/self/comm") as comm:
        return comm.read().strip()


def test_a_slice_is_long_only_when_both_looks_agree() -> None:
    class Cpu:
        def __init__(self, since: int, running: int) -> None:
            self.since, self.running = since, running

    class Cpus:
        def __init__(self, *looks: tuple[Cpu, ...]) -> None:
            self.looks = list(looks)

        def __getitem__(self, index: int) -> tuple[Cpu, ...]:
            return self.looks.pop(0)

    now = time.monotonic_ns()
    me, long_ago = os.getpid(), now - 300_000_000
    first = (Cpu(long_ago, me), Cpu(long_ago, me), Cpu(now, me), Cpu(0, me), Cpu(long_ago, 0))
    second = (Cpu(long_ago, me), Cpu(long_ago + 1, me), Cpu(now, me), Cpu(0, me), Cpu(long_ago, 0))
    ((name, held),) = long_running(Cpus(first, second))
    assert name == open_comm()
    assert 300_000_000 <= held < 2_000_000_000


def test_system_calls_from_the_bytes_are_those_of_the_records() -> None:
    probe = SystemCalls()
    probe.open()
    try:
        calls = probe.running.object.maps["calls"]
        before = [sum(one.count for one in row) for _, row in calls.items()]
        fast = counts(calls)
        after = [sum(one.count for one in row) for _, row in calls.items()]
        assert len(fast) == 1024
        assert all(low <= n <= high for low, n, high in zip(before, fast, after, strict=True))
        assert sum(fast) > 0
    finally:
        probe.close()


def test_process_starts_are_exact_when_the_buffer_overflows() -> None:
    class Small(Starts):
        def configure(self, spec: ObjectSpec, options: Options) -> None:
            super().configure(spec, options)
            spec.maps["events"].max_entries = 4096  # room for a few

    probe = ProcessStarts()
    probe._tool = probe._starts = Small()
    probe.open()
    try:
        assert samples(probe)[()] >= 0
        assert probe.losses()["ring_full"] >= 0
        for number in range(30):
            subprocess.run(["/bin/true", str(number)], check=True)
        started = samples(probe)[()]
        assert started >= 30
        assert probe.losses()["ring_full"] > 0
        assert 0 < len(probe.recent()) < 30
        assert probe.recent()[0].split()[1:] != []
        subprocess.run(["/bin/true", "the last"], check=True)
        assert samples(probe)[()] > started
        assert any(line.endswith("/bin/true the last") for line in probe.recent())
    finally:
        probe.close()
