"""syscount, against programs that make a known number of calls."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tools_support import HARNESS, Target

from skep.tools.syscount import tool

if TYPE_CHECKING:
    from compiling import CompileC

    from skep.tools.frame import Running

CALLS = (
    HARNESS
    + r"""
static void work(int argc, char **argv) {
	long long began, slept = 0;
	for (int i = 0; i < 1234; i++) syscall(SYS_getppid);
	for (int i = 0; i < 77; i++) syscall(SYS_openat, AT_FDCWD, "/nowhere/at/all", O_RDONLY);
	for (int i = 0; i < 33; i++) syscall(SYS_close, -1);
	for (int i = 0; i < 5; i++) {
		began = now();
		struct timespec t = {0, 10000000};
		syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, 0);
		slept += now() - began;
	}
	for (int i = 0; i < 3; i++) {
		int child = fork();
		if (!child) _exit(0);
		waitpid(child, 0, 0);
	}
	printf("%lld ", slept);
}
"""
)


@pytest.fixture
def calls(compile_c: CompileC) -> str:
    return str(compile_c(CALLS))


def rows(running: Running) -> dict[str, dict[str, Any]]:
    """The table by call."""
    (table,) = running.snapshot().tables
    return {row["syscall"]: dict(row) for row in table.dicts()}


def test_counts(calls: str) -> None:
    """Every call is counted once, at its start."""
    with Target([calls]) as target, tool.open(pid=target.pid) as running:
        target.go()
        found = rows(running)
        assert found["getppid"]["count"] == 1234
        assert found["openat"]["count"] == 77
        assert found["close"]["count"] == 33
        assert found["clock_nanosleep"]["count"] == 5
        # fork() is clone; its second return, in the child, is not another call.
        assert found["clone"]["count"] == 3
        assert "exit_group" not in found  # the children's, and they have other pids
        assert running.lost() == {}


def test_latency(calls: str) -> None:
    """Times lie between the sleep asked for and what the program measured around it."""
    with Target([calls]) as target, tool.open(pid=target.pid, latency=True) as running:
        (slept,) = target.go()
        found = rows(running)
        assert found["getppid"]["count"] == 1234
        assert found["clone"]["count"] == 3
        assert found["clock_nanosleep"]["count"] == 5
        assert 50_000_000 <= found["clock_nanosleep"]["total_ns"] <= slept
        assert found["openat"]["errors"] == found["openat"]["count"] == 77
        assert found["getppid"]["errors"] == 0
        shown = tool.present(running.snapshot(), running.options).tables[0]
        times = shown.column("total_ns")
        assert times == sorted(times, reverse=True)
        assert shown.column("mean_ns")[0] == pytest.approx(times[0] / shown.column("count")[0], 0.1)


def test_failures(calls: str) -> None:
    """Only calls that fail, with any error or a certain one."""
    with (
        Target([calls]) as target,
        tool.open(pid=target.pid, failures=True) as failing,
        tool.open(pid=target.pid, errno="ENOENT") as absent,
        tool.open(pid=target.pid, errno="9", latency=True) as bad,
    ):
        target.go()
        assert {name: row["count"] for name, row in rows(failing).items()} == {
            "openat": 77,
            "close": 33,
        }
        assert {name: row["count"] for name, row in rows(absent).items()} == {"openat": 77}
        assert {name: row["count"] for name, row in rows(bad).items()} == {"close": 33}


def test_one_call(calls: str) -> None:
    """Only the call that was named."""
    with Target([calls]) as target, tool.open(pid=target.pid, syscall="getppid") as running:
        target.go()
        assert {name: row["count"] for name, row in rows(running).items()} == {"getppid": 1234}


def test_by_process(calls: str) -> None:
    """Two processes are told apart, and named."""
    with (
        Target([calls]) as one,
        Target([calls]) as other,
        tool.open(process=True, syscall="getppid") as running,
    ):
        one.go()
        other.go()
        (table,) = running.snapshot().tables
        found = {row["pid"]: (row["comm"], row["count"]) for row in table.dicts()}
        assert found[one.pid] == ("target", 1234)
        assert found[other.pid] == ("target", 1234)


THREADS = (
    HARNESS
    + r"""
static int tid;
static void *thread(void *_) {
	tid = syscall(SYS_gettid);
	wait_for_go();
	for (int i = 0; i < 55; i++) syscall(SYS_getppid);
	return 0;
}
static void work(int argc, char **argv) {
	pthread_t t;
	pthread_create(&t, 0, thread, 0);
	while (!*(volatile int *) &tid) nap(1000);
	printf("%d\n", tid); fflush(stdout);
	pthread_join(t, 0);
	for (int i = 0; i < 11; i++) syscall(SYS_getppid);
}
"""
)


def test_one_thread(compile_c: CompileC) -> None:
    """Only the thread that was named, not its process."""
    with Target([compile_c(THREADS)]) as target:
        (tid,) = target.go()
        with tool.open(tid=tid) as running:
            target.go()
            assert rows(running)["getppid"]["count"] == 55


def test_the_tool_leaves_itself_out() -> None:
    """What it does itself is not in its results, unless it is asked for by pid."""
    with tool.open(process=True) as running, tool.open(pid=os.getpid()) as own:
        for _ in range(100):
            os.getppid()
        running.snapshot()
        (table,) = running.snapshot().tables
        assert os.getpid() not in table.column("pid")
        assert rows(own)["getppid"]["count"] >= 100


def test_32_bit_calls_have_their_own_names(compile_c: CompileC) -> None:
    """Number 20 is getpid for a 32-bit program, and writev for a 64-bit one."""
    if os.uname().machine != "x86_64":
        pytest.skip("the 32-bit program is for x86")
    source = r"""
int main(void) {
	for (int i = 0; i < 321; i++) {
		int number = 20;
		__asm__ volatile("int $0x80" : "+a"(number) : : "memory");
	}
	return 0;
}
"""
    program = compile_c(source, "-target", "x86-linux-musl", "-static", "-s")
    with tool.open(syscall=None) as running:
        try:
            subprocess.run([program], check=True)
        except OSError:
            pytest.skip("this kernel does not run 32-bit programs")
        assert rows(running)["32-bit getpid"]["count"] == 321
