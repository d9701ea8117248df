"""Who keeps a link alive: this process, a pin, nobody after `kill -9`; and who may attach."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from links_support import Counter, Target, ids
from needs import need

from skep.errors import AttachError, NotFoundError
from skep.kernel import bpf
from skep.kernel.constants import ProgramType
from skep.links import Link, Links, perf_event, raw_tracepoint, tracepoint, uprobe

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent


def gone(kind: bpf.Kind, numbers: set[int]) -> set[int]:
    """Wait until none of *numbers* exists; return those that still do after five seconds.

    The kernel frees links and programs after a grace period, on a worker of its own.
    """
    end = time.monotonic() + 5
    while (left := numbers & ids(kind)) and time.monotonic() < end:
        time.sleep(0.01)
    return left


def test_closing_removes_link_and_program(target_path: Path) -> None:
    with Counter(ProgramType.KPROBE) as counter:
        link = uprobe(counter, str(target_path), symbol="leaf")
        number, program = link.id, counter.id
        assert number in ids("link")
        link.close()
        assert number not in ids("link")
    assert number is not None
    assert gone("prog", {program}) == set()


def test_a_link_keeps_its_program_running(target_path: Path) -> None:
    """The program's descriptor may be closed while its link is open."""
    counter = Counter(ProgramType.KPROBE)
    with (
        counter.map,
        Target(target_path) as target,
        uprobe(counter, str(target_path), symbol="leaf") as link,
    ):
        program = counter.id
        counter.fd.close()
        target.call("leaf", 5)
        assert link.program_id == program
        assert program in ids("prog")
        assert counter.seen().runs == 5
    assert gone("prog", {program}) == set()


def test_a_failure_halfway_leaves_nothing_attached(target_path: Path) -> None:
    made: list[int | None] = []

    def attach(counter: Counter) -> Iterator[Link]:
        for symbol in ("leaf", "pushes", "no_such_function", "hidden"):
            link = uprobe(counter, str(target_path), symbol=symbol)
            made.append(link.id)
            yield link

    with Counter(ProgramType.KPROBE) as counter, Target(target_path) as target:
        with pytest.raises(NotFoundError, match="no_such_function"):
            Links(attach(counter))
        assert len(made) == 2
        assert not set(made) & ids("link")
        target.call("leaf", 5)
        assert counter.seen().runs == 0


def test_nothing_stays_after_kill_9(target_path: Path) -> None:
    """A process that holds a link of every kind is killed: the kernel cleans up after it."""
    script = f"""
import json, os, sys
sys.path.insert(0, {str(HERE)!r})
from links_support import Counter, ProgramType, AttachType
from skep.btf.kernel import kernel_btf
from skep.btf.types import Kind
from skep.kernel.features import available
from skep.links import *
held = []
def hold(kind, attach, **options):
    counter = Counter(kind, with_cookie=False, **options)
    held.append((counter, attach(counter)))
hold(ProgramType.TRACEPOINT, lambda c: tracepoint(c, "sched", "sched_process_fork"))
hold(ProgramType.RAW_TRACEPOINT, lambda c: raw_tracepoint(c, "sched_process_fork"))
hold(ProgramType.KPROBE, lambda c: uprobe(c, {str(target_path)!r}, symbol="leaf"))
hold(ProgramType.KPROBE, lambda c: uprobe(c, {str(target_path)!r}, symbol="leaf", retprobe=True))
hold(ProgramType.PERF_EVENT, lambda c: perf_event(c, frequency=10))
if available("uprobe_multi"):
    hold(
        ProgramType.KPROBE,
        lambda c: uprobe_multi(c, {str(target_path)!r}, symbols=["leaf", "pushes"]),
        expected_attach_type=AttachType.TRACE_UPROBE_MULTI,
    )
target = kernel_btf().find_type("btf_trace_sched_process_fork", Kind.TYPEDEF)
hold(ProgramType.TRACING, tracing, attach_btf_id=target.id,
     expected_attach_type=AttachType.TRACE_RAW_TP)
links = [one for _, link in held for one in (link if isinstance(link, Links) else [link])]
print(json.dumps([[link.id for link in links], [counter.id for counter, _ in held]]), flush=True)
sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout, Target(target_path) as target:
        links, programs = map(set, json.loads(process.stdout.readline()))
        assert len(links) >= len(programs)
        assert links <= ids("link")
        assert len(programs) >= 6
        assert programs <= ids("prog")
        target.call("leaf", 10)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert gone("link", links) == set()
        assert gone("prog", programs) == set()
        target.call("leaf", 10)  # and the probed process lives on


def test_a_pinned_link_outlives_its_owner(target_path: Path, bpffs: Path) -> None:
    path = str(bpffs / "leaf")
    with Counter(ProgramType.KPROBE) as counter, Target(target_path) as target:
        with uprobe(counter, str(target_path), symbol="leaf") as link:
            link.pin(path)
            number = link.id
        target.call("leaf", 5)
        assert counter.seen().runs == 5
        with bpf.obj_get(path) as again:
            assert bpf.link_info(again).id == number
        link.unpin()
        link.unpin()
        assert not os.path.exists(path)
        assert number is not None
        assert gone("link", {number}) == set()
        target.call("leaf", 5)
        assert counter.seen().runs == 5


def test_detach_takes_the_pin_away_too(target_path: Path, bpffs: Path) -> None:
    path = str(bpffs / "leaf")
    with Counter(ProgramType.KPROBE) as counter, Target(target_path) as target:
        link = uprobe(counter, str(target_path), symbol="leaf")
        link.pin(path)
        link.detach()
        link.detach()
        assert link.closed
        assert not os.path.exists(path)
        target.call("leaf", 5)
        assert counter.seen().runs == 0


def test_why_a_link_cannot_be_pinned(target_path: Path, bpffs: Path, tmp_path: Path) -> None:
    with (
        Counter(ProgramType.KPROBE) as counter,
        uprobe(counter, str(target_path), symbol="leaf") as link,
    ):
        with pytest.raises(AttachError, match="bpf file system"):
            link.pin(str(tmp_path / "leaf"))
        with pytest.raises(AttachError, match="folder"):
            link.pin(str(bpffs / "no" / "leaf"))
        link.pin(str(bpffs / "leaf"))
        with pytest.raises(AttachError, match="another name") as caught:
            link.pin(str(bpffs / "leaf"))
        assert caught.value.program == "count"
        link.detach()


def attach_with(script: str, *capabilities: str) -> dict[str, object]:
    """Run *script* with *capabilities* as the only ones; return what it says of its error."""
    program = f"""
import json, sys
sys.path.insert(0, {str(HERE)!r})
from links_support import Counter, ProgramType, AttachType
from skep.errors import SkepError
from skep.links import *
try:
    {script}
    print(json.dumps({{"class": None}}))
except SkepError as error:
    print(json.dumps({{
        "class": type(error).__name__, "text": str(error),
        "capability": getattr(error, "capability", ""), "program": error.evidence.get("program"),
    }}))
"""
    # Root gets what the bounding set has; staying root keeps the interpreter readable.
    bounds = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    done = subprocess.run(
        ["setpriv", "--bounding-set", bounds, sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


TRACEPOINT = (
    "with Counter(ProgramType.TRACEPOINT) as c, tracepoint(c, 'sched', 'sched_switch'): pass"
)
RAW = (
    "with Counter(ProgramType.RAW_TRACEPOINT, with_cookie=False) as c,"
    " raw_tracepoint(c, 'sched_switch'): pass"
)
UPROBE = "with Counter(ProgramType.KPROBE) as c, uprobe(c, 'c', symbol='getppid'): pass"
MULTI = (
    "with Counter(ProgramType.KPROBE, expected_attach_type=AttachType.TRACE_UPROBE_MULTI) as c,"
    " uprobe_multi(c, 'c', symbols=['getppid']): pass"
)
SAMPLING = "with Counter(ProgramType.PERF_EVENT) as c, perf_event(c): pass"


@pytest.mark.parametrize("script", [RAW, MULTI])
def test_bpf_and_perfmon_are_enough(script: str) -> None:
    if script is MULTI:
        need("uprobe_multi")
    assert attach_with(script, "bpf", "perfmon")["class"] is None


def test_sampling_is_what_the_sysctl_allows() -> None:
    """Debian's kernels come with 3, at which CAP_PERFMON is not enough."""
    error = attach_with(SAMPLING, "bpf", "perfmon")
    if int(Path("/proc/sys/kernel/perf_event_paranoid").read_text()) <= 2:
        assert error["class"] is None
    else:
        assert error["class"] == "PrivilegeError"
        assert error["capability"] == "CAP_SYS_ADMIN"
        assert "attaching program 'count' to" in str(error["text"])
        assert "kernel.perf_event_paranoid" in str(error["text"])


@pytest.mark.parametrize(
    ("script", "capabilities"),
    # Which of the two depends on whether tracefs is mounted, and on perf_event_paranoid.
    [(TRACEPOINT, {"CAP_DAC_READ_SEARCH", "CAP_SYS_ADMIN"}), (UPROBE, {"CAP_SYS_ADMIN"})],
)
def test_the_missing_capability_is_named(script: str, capabilities: set[str]) -> None:
    error = attach_with(script, "bpf", "perfmon")
    assert error["class"] == "PrivilegeError"
    assert error["capability"] in capabilities
    assert str(error["capability"]) in str(error["text"])
    assert "attaching program 'count' to" in str(error["text"])
    assert error["program"] == "count"


def test_many_kinds_close_together(target_path: Path) -> None:
    with (
        Counter(ProgramType.KPROBE) as probe,
        Counter(ProgramType.RAW_TRACEPOINT, with_cookie=False) as raw,
        Counter(ProgramType.TRACEPOINT) as point,
        Counter(ProgramType.PERF_EVENT) as sample,
    ):
        with perf_event(sample) as samples:
            links = Links(
                link
                for link in (
                    uprobe(probe, str(target_path), symbol="leaf"),
                    raw_tracepoint(raw, "sched_process_exit"),
                    tracepoint(point, "sched", "sched_process_exit"),
                )
            )
            numbers = {link.id for link in [*links, *samples]}
            assert numbers <= ids("link")
            links.close()
        assert not numbers & ids("link")
