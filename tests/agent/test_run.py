"""The real agent as a process: what it counts, what it says, and what it leaves behind."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from skep.kernel import bpf

if TYPE_CHECKING:
    from collections.abc import Iterator

SKEP = (sys.executable, "-c", "from skep.cli import main; main()")
PROGRAMS = 6  # three for run-queue latency, one for each of the others

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load BPF programs")


class Agent:
    """A running agent and what it said so far."""

    def __init__(self, process: subprocess.Popen[str], url: str, line: str) -> None:
        self.process = process
        self.url = url
        self.line = line

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def health(self) -> tuple[int, dict[str, Any]]:
        """Return status and report."""
        status, body = self.get("/healthz")
        return status, json.loads(body)

    def scrape(self) -> dict[tuple[str, ...], float]:
        """Return every sample by name and label values."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
        }

    def scrape_after_read(self) -> dict[tuple[str, ...], float]:
        """Return a scrape in which every probe that is up was read after now."""
        first = self.scrape()
        up = {k[1] for k, value in first.items() if k[0] == "skep_probe_up" and value}
        before = {k: v for k, v in first.items() if k[0] == "skep_probe_reads_total" and k[1] in up}
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            now = self.scrape()
            # Two more: the first may have been under way already.
            if all(now[k] >= v + 2 for k, v in before.items()):
                return now
            time.sleep(0.02)
        raise AssertionError("the probes are not being read")

    def ids(self) -> tuple[set[int], set[int]]:
        """Return the ids of its programs and of its links."""
        probes = self.health()[1]["probes"].values()
        programs = [program for probe in probes for program in probe["programs"]]
        return {p["program_id"] for p in programs}, {p["link_id"] for p in programs}


@contextlib.contextmanager
def running(*arguments: str, command: tuple[str, ...] = (*SKEP, "run")) -> Iterator[Agent]:
    """Start an agent on a free port and wait until it serves; kill it if the test does not."""
    process = subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0", "--interval", "0.1", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://[^/]+", line)
            assert found, f"{line!r} {process.communicate()}"
            yield Agent(process, found[0], line)
        finally:
            process.kill()


def exist(kind: Any, ids: set[int]) -> set[int]:
    """Return those of *ids* that the kernel has now."""
    found = set()
    start = 0
    while (number := bpf.next_id(kind, start)) is not None:
        start = number
        found.add(number)
    return found & ids


def wait_until_gone(programs: set[int], links: set[int]) -> None:
    """Wait for the kernel, which frees what a process held after a grace period."""
    deadline = time.monotonic() + 5
    while exist("prog", programs) or exist("link", links):
        assert time.monotonic() < deadline, "programs or links are still in the kernel"
        time.sleep(0.02)


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run ``skep run`` to its end."""
    return subprocess.run(
        [*SKEP, "run", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        **options,
    )


# What it counts


def test_what_it_counts_is_what_happened() -> None:
    calls, starts = 5000, 40
    code = (
        "import os, time\n"
        "open('/proc/self/comm', 'w').write('skep-test-burn')\n"
        "begin = time.process_time()\n"
        "while time.process_time() < begin + 0.5: pass\n"
        f"for _ in range({calls}): os.sched_rr_get_interval(0)\n"
        "print(time.process_time() - begin)\n"
    )
    with running() as agent:
        before = agent.scrape_after_read()
        burned = float(subprocess.check_output([sys.executable, "-c", code]))
        for _ in range(starts):
            subprocess.run(["/bin/true"], check=True)
        after = agent.scrape_after_read()

    def grown(*key: str) -> float:
        return after.get(key, 0.0) - before.get(key, 0.0)

    # Nothing else on a machine makes this call in a loop, so it is exact.
    assert grown("skep_syscalls_total", "sched_rr_get_interval") == calls
    # Other programs start meanwhile, but none without one of these calls (tries may fail).
    tried = grown("skep_syscalls_total", "execve") + grown("skep_syscalls_total", "execveat")
    assert starts + 1 <= grown("skep_process_starts_total") <= tried
    # utime + stime of the process itself; interrupts on its CPU count for it, the end of its
    # life after the last look at the clock does as well.
    cpu = grown("skep_process_cpu_seconds_total", "skep-test-burn")
    assert burned * 0.95 <= cpu <= burned * 1.15 + 0.02
    assert grown("skep_run_queue_latency_seconds_count") >= starts
    assert grown("skep_run_queue_latency_seconds_sum") > 0


def waited_by_all() -> float:
    """Return the seconds that all tasks alive have waited for a CPU (/proc/PID/schedstat)."""
    total = 0
    for path in glob.glob("/proc/[0-9]*/task/*/schedstat"):
        with contextlib.suppress(OSError), open(path) as file:
            total += int(file.read().split()[1])
    return total / 1e9


def test_run_queue_latency_is_the_time_that_tasks_did_not_run() -> None:
    # A task that only computes either runs or waits for a CPU, so it knows itself how long it
    # waited. Whatever else runs on the machine waits as well, and the kernel knows for how long
    # except of those that have ended.
    code = (
        "import time\n"
        "begin, used = time.monotonic(), time.process_time()\n"
        "while time.monotonic() < begin + 1: pass\n"
        "print(time.monotonic() - begin - time.process_time() + used)\n"
    )
    command = [sys.executable, "-c", code]
    with running() as agent:
        others = -waited_by_all()
        before = agent.scrape_after_read()
        children = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(8)]
        waited = sum(float(child.communicate()[0]) for child in children)
        after = agent.scrape_after_read()
        others += waited_by_all()
    assert waited > 1
    measured = (
        after["skep_run_queue_latency_seconds_sum",] - before["skep_run_queue_latency_seconds_sum",]
    )
    assert 0.95 * waited < measured < 1.5 * (waited + others) + 1
    slow = ("skep_run_queue_latency_seconds_bucket", "0.001024")
    assert after["skep_run_queue_latency_seconds_count",] - after[slow] > 100


def test_one_that_computes_without_pause_is_seen_while_it_does() -> None:
    code = "open('/proc/self/comm', 'w').write('skep-test-spin')\nwhile True: pass"
    with running() as agent, subprocess.Popen([sys.executable, "-c", code]) as child:
        try:
            key = ("skep_process_cpu_seconds_total", "skep-test-spin")
            deadline = time.monotonic() + 10
            while (seen := agent.scrape().get(key, 0.0)) < 0.2:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            with open(f"/proc/{child.pid}/stat") as stat:
                used = sum(map(int, stat.read().split()[13:15])) / os.sysconf("SC_CLK_TCK")
            assert seen <= used + 0.1
        finally:
            child.kill()


def test_counters_never_fall_and_every_family_is_there() -> None:
    with running() as agent:
        first = agent.scrape_after_read()
        for _ in range(3):
            second = agent.scrape_after_read()
            falling = {
                key: (first[key], value)
                for key, value in second.items()
                if key in first
                and first[key] > value
                and key[0].endswith(("_total", "_count", "_sum", "_bucket"))
            }
            assert not falling
            first = second
    for probe in ("run_queue", "syscalls", "cpu_time", "process_starts"):
        assert second["skep_probe_up", probe] == 1
    assert {key[0] for key in second} >= {
        "skep_build_info",
        "skep_probe_events_lost_total",
        "skep_probe_reads_total",
        "skep_scrape_duration_seconds_sum",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
    }


def test_it_is_small_at_rest() -> None:
    with running("--interval", "1") as agent:
        agent.scrape_after_read()
        before = agent.scrape()
        time.sleep(3)
        after = agent.scrape()
    used = after["process_cpu_seconds_total",] - before["process_cpu_seconds_total",]
    assert used <= 0.06  # 0.3 % is usual; the clock counts hundredths, the machine is shared
    assert after["process_resident_memory_bytes",] < 80e6  # 46 MB is usual


# How it ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_detaches_everything(number: signal.Signals) -> None:
    with running() as agent:
        status, report = agent.health()
        assert (status, report["status"]) == (200, "ok")
        programs, links = agent.ids()
        assert (len(programs), len(links)) == (PROGRAMS, PROGRAMS)
        assert exist("prog", programs) == programs
        assert exist("link", links) == links
        agent.process.send_signal(number)
        output, errors = agent.process.communicate(timeout=10)
        assert (agent.process.returncode, errors) == (0, "")
        wait_until_gone(programs, links)
    assert "Traceback" not in output


def test_kill_leaves_nothing_in_the_kernel() -> None:
    with running() as agent:
        programs, links = agent.ids()
        assert exist("link", links) == links
        agent.process.kill()
        agent.process.wait()
        wait_until_gone(programs, links)


def test_a_closed_pipe_is_a_way_to_stop() -> None:
    with running() as agent:
        programs, links = agent.ids()
        assert agent.process.stdout is not None
        agent.process.stdout.close()
        assert agent.process.wait(20) == 0  # at its next line
        assert agent.process.stderr is not None
        assert agent.process.stderr.read() == ""
        wait_until_gone(programs, links)


def test_duration() -> None:
    started = time.monotonic()
    done = run("--listen", "127.0.0.1:0", "--duration", "0.5")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(
        r"skep \S+ serves http://127\.0\.0\.1:\d+/metrics, 4 of 4 probes up\n", done.stdout
    )
    assert time.monotonic() - started < 10


# What it says when something is wrong


def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        done = run("--listen", f"127.0.0.1:{port}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"skep: cannot listen on 127.0.0.1:{port}: the port is in use "
        "(choose another with --listen, or stop the other program)\n"
    )


@pytest.mark.parametrize("arguments", [("--listen", "127.0.0.1:0"), ("--check",)])
def test_without_capabilities_it_says_which_is_missing(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *SKEP, "run", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "CAP_BPF" in done.stderr
    assert done.stdout == ""


def test_wrong_usage() -> None:
    done = run("--listen", "nonsense")
    assert done.returncode == 2
    assert "is not HOST:PORT" in done.stderr
    assert "Traceback" not in done.stderr


def test_check_says_what_it_did() -> None:
    done = run("--check")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[-1] == "4 of 4 probes work here; everything is detached again"
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert "sched_wakeup, sched_wakeup_new, sched_switch" in done.stdout


BROKEN = """
import sys
from skep.agent.probes import default
from skep.agent.probes.run_queue import RunQueue
from skep.agent.run import main
from skep.tools.runqlat import Runqlat

class Broken(Runqlat):
    def configure(self, spec, options):
        super().configure(spec, options)
        spec.programs["switched"].attach_to = "no_such_tracepoint"

class BrokenProbe(RunQueue):
    name = "broken"
    def __init__(self):
        super().__init__()
        self._tool = Broken()

sys.argv.pop(0)
check = "--check" in sys.argv
sys.exit(main(lambda: [*default(), BrokenProbe()], listen="127.0.0.1:0", interval=0.1,
              duration=None, check=check, version="test"))
"""


def test_a_probe_that_cannot_attach_is_named_and_the_others_go_on() -> None:
    with running(command=(sys.executable, "-c", BROKEN)) as agent:
        assert "4 of 5 probes up" in agent.line
        status, report = agent.health()
        assert (status, report["status"], report["up"]) == (503, "failing", 4)
        reason = report["probes"]["broken"]["reason"]
        assert "no_such_tracepoint" in reason
        samples = agent.scrape_after_read()
        assert samples["skep_probe_up", "broken"] == 0
        assert samples["skep_probe_up", "run_queue"] == 1
        agent.process.terminate()
        _, errors = agent.process.communicate(timeout=10)
        assert agent.process.returncode == 0
        assert errors == f"skep: broken is not running: {reason}\n"


def test_check_fails_when_a_probe_cannot_attach() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, "--check"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "FAILED  broken" in done.stdout
    assert "no_such_tracepoint" in done.stdout
    assert done.stdout.endswith("4 of 5 probes work here; everything is detached again\n")


# On a terminal


def test_the_live_table_and_ctrl_c() -> None:
    terminal, its_end = pty.openpty()
    try:
        fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        process = subprocess.Popen(
            [*SKEP, "run", "--listen", "127.0.0.1:0", "--interval", "0.2"],
            stdin=its_end,
            stdout=its_end,
            stderr=its_end,
            start_new_session=True,
            # The terminal becomes its own, so that Ctrl-C typed there is a SIGINT.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
            env={**os.environ, "TERM": "xterm-256color"},
        )
        with process:
            os.close(its_end)
            its_end = -1
            seen = read_until(terminal, b"read ", "no table was drawn")
            for title in ("Run-queue latency", "System calls", "CPU time by process", "4/4 up"):
                assert title in seen, title
            assert "\x1b[?1049h" in seen
            os.write(terminal, b"\x03")
            seen = read_until(terminal, b"\x1b[?1049l", "the terminal was not given back")
            assert process.wait(10) == 0
            assert "Traceback" not in seen
    finally:
        os.close(terminal)
        if its_end >= 0:
            os.close(its_end)


def read_until(terminal: int, wanted: bytes, otherwise: str) -> str:
    """Return what comes from the terminal up to *wanted*; fail saying *otherwise*."""
    data = b""
    deadline = time.monotonic() + 10
    while wanted not in data:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"{otherwise}: {data[-500:]!r}"
        try:
            data += os.read(terminal, 65536)
        except OSError as error:  # EIO: the other end was closed
            if error.errno != errno.EIO:
                raise
            raise AssertionError(f"{otherwise}: {data[-500:]!r}") from error
    return data.decode(errors="replace")  # it may end within a character


# What health sees


def test_links_that_are_gone_or_another_are_noticed() -> None:
    from skep.agent.probes.run_queue import RunQueue

    probe = RunQueue()
    probe.open()
    try:
        assert probe.health() == ""
        first, second, third = probe.running.links
        # Another link under the same number: the descriptor is valid, and not what it was.
        kept = os.dup(first.fileno())
        os.dup2(second.fileno(), first.fileno())
        assert probe.health() == (
            f"program woken is no longer attached to {first.target}: its descriptor now holds "
            f"link {second.id} instead of {first.id}"
        )
        os.dup2(kept, first.fileno())
        os.close(kept)
        assert probe.health() == ""
        third.close()
        assert probe.health().startswith(
            f"program switched is no longer attached to {third.target}: "
        )
    finally:
        probe.close()
    probe.close()


def test_a_descriptor_closed_behind_its_back_is_noticed() -> None:
    from skep.agent.probes.run_queue import RunQueue

    probe = RunQueue()
    probe.open()
    link = probe.running.links[0]
    number, spare = link.fileno(), os.dup(link.fileno())
    try:
        os.close(number)
        assert "the kernel does not know link" in probe.health()
    finally:
        os.dup2(spare, number)
        os.close(spare)
        probe.close()
