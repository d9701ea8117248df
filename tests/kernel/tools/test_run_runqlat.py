"""runqlat, against the scheduler's own account of waiting: /proc/PID/schedstat."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from needs import need_option
from tools_support import HARNESS, Target

from skep.errors import KernelError
from skep.kernel import bpf
from skep.tools.runqlat import tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiling import CompileC

# Competes for a CPU, both by running on and by sleeping and being woken.
BUSY = (
    HARNESS
    + r"""
static void work(int argc, char **argv) {
	long long end = now() + 400000000;
	while (now() < end) {
		long long pause = now() + 3000000;
		while (now() < pause) ;
		nap(100);
	}
}
"""
)


def run_delay(pid: int) -> tuple[int, int]:
    """(nanoseconds spent waiting to run, times on a CPU), as the scheduler counts."""
    _, waited, times = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(waited), int(times)


@pytest.fixture
def rival() -> Iterator[int]:
    """Something that keeps the CPU busy on which a target is put; the CPU's number."""
    cpu = max(os.sched_getaffinity(0))
    process = subprocess.Popen(["taskset", "-c", str(cpu), "sh", "-c", "while :; do :; done"])
    yield cpu
    process.kill()
    process.wait()


@pytest.mark.parametrize("group", ["", "pids", "tids"])
def test_waiting_is_what_the_scheduler_counted(compile_c: CompileC, rival: int, group: str) -> None:
    """The sum of all waits is the process's run_delay, their number its turns on a CPU."""
    need_option("CONFIG_SCHED_INFO")
    target = ["taskset", "-c", str(rival), str(compile_c(BUSY))]
    given = {group: True} if group else {}
    with Target(target) as child:
        while "target" not in Path(f"/proc/{child.pid}/comm").read_text():
            time.sleep(0.01)  # taskset has not become it yet
        with tool.open(pid=child.pid, **given) as running:
            before = run_delay(child.pid)
            child.go()
            after = run_delay(child.pid)
            (histogram,) = running.snapshot().histograms
            lost = running.lost()
        waited, times = after[0] - before[0], after[1] - before[1]
        assert waited > 50_000_000, "the rival did not compete"
        # The scheduler takes its clock earlier in a switch than a program can take one, and much
        # earlier where the machine is emulated.
        near = 0.1 if "SKEP_GUEST" in os.environ else 0.03
        assert histogram.sum_ns == pytest.approx(waited, rel=near, abs=1_000_000)
        assert histogram.total == pytest.approx(times, rel=0.03, abs=3)
        assert lost == {}
        if group:
            assert histogram.labels == {group[:3]: child.pid, "comm": "target"}
        else:
            assert histogram.labels == {}


def test_whole_machine_and_units() -> None:
    """Everything that waits is counted, in milliseconds too."""
    with tool.open() as all_us, tool.open(milliseconds=True) as all_ms:
        for _ in range(50):
            subprocess.run(["true"], check=True)
        (fine,), (coarse,) = all_us.snapshot().histograms, all_ms.snapshot().histograms
        assert fine.total > 100
        assert coarse.unit == "ms"
        assert coarse.total == pytest.approx(fine.total, rel=0.1)
        # What takes less than 2 ms shares the first slot in milliseconds.
        assert coarse.counts[0] >= 0.9 * sum(fine.counts[:10])


def test_pid_namespaces() -> None:
    """This process's own namespace is among those told apart."""
    own = int(os.readlink("/proc/self/ns/pid").partition("[")[2].rstrip("]"))
    with tool.open(pidnss=True) as running:
        subprocess.run(["true"], check=True)
        found = {one.labels["pidns"]: one.total for one in running.snapshot().histograms}
        assert found[own] > 0


def test_top_keeps_the_largest() -> None:
    """--top leaves the histograms with the most waits, largest last."""
    with tool.open(pids=True, top=2) as running:
        for _ in range(20):
            subprocess.run(["true"], check=True)
        snapshot = running.snapshot()
        shown = tool.present(snapshot, running.options).histograms
        totals = sorted(one.total for one in snapshot.histograms)
        assert [one.total for one in shown] == totals[-2:]


def test_a_closed_run_leaves_nothing() -> None:
    """Closing twice is fine, and afterwards the programs are gone."""
    running = tool.open()
    ids = [link.id for link in running.links if link.id is not None]
    assert len(ids) == 3
    running.close()
    running.close()
    for number in ids:
        with pytest.raises(KernelError):
            bpf.fd_by_id("link", number)
