"""execsnoop, against children with known arguments, exit codes and durations."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from tools_support import HARNESS, Target

from skep.tools.execsnoop import tool

if TYPE_CHECKING:
    from compiling import CompileC

    from skep.tools.frame import Running


def gather(running: Running, *wanted: tuple[str, int]) -> list[dict[str, Any]]:
    """Read until every wanted (event, pid) was seen, for at most ten seconds."""
    rows: list[dict[str, Any]] = []
    missing = set(wanted)
    end = time.monotonic() + 10
    while missing and time.monotonic() < end:
        for row in running.read(1):
            rows.append(row)
            missing.discard((row["event"], row["pid"]))
    assert not missing
    return rows


def only(rows: list[dict[str, Any]], event: str, pid: int) -> dict[str, Any]:
    """The one row of that kind."""
    (row,) = [row for row in rows if (row["event"], row["pid"]) == (event, pid)]
    return row


@pytest.mark.parametrize(
    "arguments",
    [
        ["true"],
        ["true", "", "a b", ""],
        ["true", "ünï\x1b[31m\n"],
        [b"true", b"\xff\xfe"],
        ["true", "x" * 300, "y"],
        ["true", *map(str, range(1000))],
    ],
    ids=["none", "empty", "control", "bytes", "long", "many"],
)
def test_arguments(arguments: list[str] | list[bytes]) -> None:
    """Arguments arrive as they are, to the byte."""
    with tool.open(ppid=os.getpid()) as running:
        child = subprocess.Popen(arguments, executable="/bin/true")
        child.wait()
        rows = gather(running, ("exec", child.pid), ("exit", child.pid))
        start = only(rows, "exec", child.pid)
        assert [os.fsencode(one) for one in start["args"]] == [os.fsencode(a) for a in arguments]
        assert start["cut"] is False
        assert (start["ppid"], start["uid"]) == (os.getpid(), os.getuid())
        assert start["comm"] == "true"
        assert start["file"] == "/bin/true"
        assert only(rows, "exit", child.pid)["args"] == start["args"]
        assert running.lost() == {}


def test_too_many_arguments_are_cut() -> None:
    """What does not fit is left out, and said to be."""
    arguments = ["true", *("z" * 100 for _ in range(500))]
    with tool.open(ppid=os.getpid()) as running:
        child = subprocess.Popen(arguments)
        child.wait()
        start = only(gather(running, ("exec", child.pid)), "exec", child.pid)
        assert start["cut"] is True
        assert start["args"][:79] == arguments[:79]
        assert sum(len(one) + 1 for one in start["args"]) == pytest.approx(8064, abs=1)


@pytest.mark.parametrize(
    ("script", "code", "name"),
    [
        ("exit 0", 0, None),
        ("exit 7", 7, None),
        ("exit 255", 255, None),
        ("kill -9 $$", None, "SIGKILL"),
        ("kill -TERM $$", None, "SIGTERM"),
    ],
)
def test_how_it_ends(script: str, code: int | None, name: str | None) -> None:
    """The exit code or the signal, as wait() gives it."""
    with tool.open(ppid=os.getpid()) as running:
        child = subprocess.Popen(["sh", "-c", script])
        status = child.wait()
        end = only(gather(running, ("exit", child.pid)), "exit", child.pid)
        assert (end["code"], end["signal"]) == (code, name)
        assert status == (code if code is not None else -getattr(signal, str(name)))


def test_duration() -> None:
    """From exec to exit: not less than it slept, not more than the parent saw."""
    with tool.open(ppid=os.getpid()) as running:
        began = time.monotonic_ns()
        child = subprocess.Popen(["sleep", "0.15"])
        child.wait()
        seen = time.monotonic_ns() - began
        end = only(gather(running, ("exit", child.pid)), "exit", child.pid)
        assert 150_000_000 <= end["duration_ns"] <= seen


def test_attempts_that_fail() -> None:
    """Reported on demand, with the error and what was tried."""
    with tool.open(fails=True) as running:
        with pytest.raises(FileNotFoundError):
            subprocess.run(["/nowhere/at/all", "a", "b c"], check=False)
        with pytest.raises(PermissionError):
            subprocess.run(["/etc/passwd"], check=False)
        rows: list[dict[str, Any]] = []
        end = time.monotonic() + 10
        while len(rows) < 2 and time.monotonic() < end:
            rows += [row for row in running.read(1) if row["event"] == "fail"]
        found = {row["file"]: (row["errno"], row["args"]) for row in rows}
        assert found["/nowhere/at/all"] == ("ENOENT", ["/nowhere/at/all", "a", "b c"])
        assert found["/etc/passwd"] == ("EACCES", ["/etc/passwd"])


def test_nothing_is_lost() -> None:
    """Three hundred programs are three hundred starts and as many ends, in order."""
    with tool.open(ppid=os.getpid()) as running:
        pids = []
        for _ in range(300):
            child = subprocess.Popen(["/bin/true"])
            child.wait()
            pids.append(child.pid)
        wanted = [(event, pid) for pid in pids for event in ("exec", "exit")]
        rows = gather(running, *wanted)
        assert [(row["event"], row["pid"]) for row in rows] == wanted
        times = [row["time"] for row in rows]
        assert times == sorted(times)
        stats = running.stream.stats()
        assert (stats.produced, stats.delivered, stats.lost["ring_full"]) == (600, 600, 0)


def test_a_full_buffer_is_counted() -> None:
    """With a small ring and nobody reading, produced = delivered + lost still holds."""
    with tool.open(ppid=os.getpid(), buffer=4) as running:  # KiB
        for _ in range(40):
            subprocess.run(["/bin/true"], check=True)
        lost = running.lost()["ring_full"]
        assert lost > 0
        delivered = len(running.read(0))
        assert delivered + lost == 80


def test_filters_in_the_kernel() -> None:
    """Other users' and other parents' programs never reach the ring."""
    with tool.open(uid="65534") as by_user, tool.open(ppid=os.getpid()) as by_parent:
        child = subprocess.Popen(["true"], user=65534)
        child.wait()
        other = subprocess.Popen(["sh", "-c", "/bin/true; exit"])
        other.wait()
        rows = gather(by_user, ("exec", child.pid), ("exit", child.pid))
        assert {row["pid"] for row in rows} == {child.pid}
        assert {row["uid"] for row in rows} == {65534}
        rows = gather(by_parent, ("exit", child.pid), ("exit", other.pid))
        assert {row["pid"] for row in rows} == {child.pid, other.pid}


def test_filters_by_name_and_line() -> None:
    """An end is reported only of what was reported to start."""
    with (
        tool.open(ppid=os.getpid(), name="^tr") as by_name,
        tool.open(ppid=os.getpid(), line="secret") as by_line,
    ):
        children = [subprocess.Popen(["true"]), subprocess.Popen(["echo", "secret"], stdout=-3)]
        for child in children:
            child.wait()
        true, echo = (child.pid for child in children)
        rows = gather(by_name, ("exec", true), ("exit", true)) + by_name.read(0.2)
        assert {row["pid"] for row in rows} == {true}
        rows = gather(by_line, ("exec", echo), ("exit", echo)) + by_line.read(0.2)
        assert {row["pid"] for row in rows} == {echo}


def test_no_exit() -> None:
    """Only starts."""
    with tool.open(ppid=os.getpid(), no_exit=True) as running:
        child = subprocess.Popen(["true"])
        child.wait()
        rows = gather(running, ("exec", child.pid)) + running.read(0.2)
        assert [row["event"] for row in rows] == ["exec"]


THREADS = (
    HARNESS
    + r"""
static void *last(void *_) { nap(50000); exit(5); }
static void *early(void *_) { return 0; }
static void work(int argc, char **argv) {
	pthread_t t;
	for (int i = 0; i < 3; i++) pthread_create(&t, 0, early, 0);
	pthread_create(&t, 0, last, 0);
	puts(""); fflush(stdout);
	pthread_exit(0);
}
"""
)


def test_threads_end_once(compile_c: CompileC) -> None:
    """A process of many threads, whose main thread goes first, ends once, with its real code."""
    with tool.open(ppid=os.getpid()) as running, Target([compile_c(THREADS)]) as target:
        target.go()
        target.process.wait()
        rows = gather(running, ("exit", target.pid)) + running.read(0.2)
        end = only(rows, "exit", target.pid)
        assert end["code"] == 5
        assert target.process.returncode == 5
