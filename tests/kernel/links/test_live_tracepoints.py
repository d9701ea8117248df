"""Tracepoints, raw tracepoints and BTF tracing: real programs, counted by value."""

from __future__ import annotations

import errno
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from links_support import Counter, ids
from needs import need

from skep.btf.kernel import kernel_btf
from skep.btf.types import Kind
from skep.errors import AttachError, ClosedError, NotFoundError, UnsupportedError
from skep.kernel import bpf, perf, tracefs
from skep.kernel.constants import AttachType, PerfType, ProgramType
from skep.links import attach, raw_tracepoint, tracepoint, tracing
from skep.links.events import by_ioctl

if TYPE_CHECKING:
    from collections.abc import Iterator

FORK = "sched_process_fork"  # fires in the parent: once for each child


def forks(times: int) -> None:
    for _ in range(times):
        subprocess.run(["/bin/true"], check=True)


def ppids(times: int) -> None:
    for _ in range(times):
        os.getppid()


def tp_btf(*, with_cookie: bool = True) -> Counter:
    """A tp_btf program of FORK, which is loaded for the typedef btf_trace_<name>."""
    target = kernel_btf().find_type(f"btf_trace_{FORK}", Kind.TYPEDEF)
    counter = Counter(
        ProgramType.TRACING,
        expected_attach_type=AttachType.TRACE_RAW_TP,
        attach_btf_id=target.id,
        section=f"tp_btf/{FORK}",
        pid=os.getpid(),
        with_cookie=with_cookie,
    )
    counter.attach_to = FORK
    return counter


@pytest.fixture
def own() -> Iterator[Counter]:
    """A tracepoint program that counts in this process only."""
    with Counter(
        ProgramType.TRACEPOINT, pid=os.getpid(), section="tracepoint/syscalls/sys_enter_getppid"
    ) as counter:
        yield counter


def test_a_tracepoint_fires_once_for_each_event(own: Counter) -> None:
    ppids(5)
    with tracepoint(own, "syscalls", "sys_enter_getppid", cookie=2**64 - 2) as link:
        ppids(1000)
        info = link.info
    ppids(5)
    seen = own.seen()
    assert seen.runs == 1000
    assert seen.pid == os.getpid()
    assert seen.cookie == 2**64 - 2
    assert (info.kind, info.target) == ("tracepoint", "syscalls:sys_enter_getppid")
    assert (info.mechanism, info.cookies) == ("bpf_link", (2**64 - 2,))
    assert info.program_id == own.id
    assert info.id not in ids("link")


def test_a_tracepoint_fires_on_every_cpu(own: Counter) -> None:
    cpus = os.sched_getaffinity(0)
    try:
        with tracepoint(own, "syscalls", "sys_enter_getppid"):
            for cpu in cpus:
                os.sched_setaffinity(0, {cpu})
                ppids(10)
    finally:
        os.sched_setaffinity(0, cpus)
    assert own.seen().runs == 10 * len(cpus)


def test_a_tracepoint_held_by_ioctl_as_on_old_kernels() -> None:
    number = tracefs.tracepoint_id("syscalls", "sys_enter_getppid")
    attr = perf.PerfEventAttr(type=PerfType.TRACEPOINT, config=number)
    with Counter(ProgramType.TRACEPOINT, pid=os.getpid(), with_cookie=False) as counter:
        event = perf.perf_event_open(attr, pid=-1, cpu=0)
        with by_ioctl(counter, event, kind="tracepoint", target="x:y") as link:
            ppids(100)
            assert link.id is None
            assert link.info.mechanism == "perf_ioctl"
            assert link.info.program_id == counter.id
            with pytest.raises(UnsupportedError):
                link.pin("/sys/fs/bpf/x")
        ppids(100)
        assert counter.seen().runs == 100


def test_a_raw_tracepoint_fires_once_for_each_event() -> None:
    with Counter(ProgramType.RAW_TRACEPOINT, pid=os.getpid(), with_cookie=False) as counter:
        with raw_tracepoint(counter, FORK) as link:
            forks(7)
            assert link.target == FORK
            assert link.id in ids("link")
            assert bpf.link_info(link._fd).prog_id == counter.id
        forks(2)
        assert counter.seen().runs == 7


def test_a_btf_tracepoint_fires_once_for_each_event() -> None:
    with tp_btf(with_cookie=False) as counter:
        with tracing(counter) as link:
            forks(7)
            assert link.target == FORK
            assert link.info.program_id == counter.id
        forks(2)
        assert counter.seen().runs == 7


def test_cookies_of_raw_and_btf_tracepoints() -> None:
    need("raw_tp_cookie")
    raw = Counter(ProgramType.RAW_TRACEPOINT, pid=os.getpid())
    with raw, tp_btf() as typed, raw_tracepoint(raw, FORK, cookie=11), tracing(typed, cookie=12):
        forks(3)
        assert raw.seen()[:2] == (3, 11)
        assert typed.seen()[:2] == (3, 12)


def test_each_is_attached_by_its_section(own: Counter) -> None:
    raw = Counter(
        ProgramType.RAW_TRACEPOINT,
        pid=os.getpid(),
        section=f"raw_tracepoint/{FORK}",
        with_cookie=False,
    )
    with raw, tp_btf(with_cookie=False) as typed:
        with attach(own) as first, attach(raw) as second, attach(typed) as third:
            assert [link.kind for link in (first, second, third)] == [
                "tracepoint", "raw_tracepoint", "tracing",
            ]  # fmt: skip
            ppids(20)
            forks(2)
        assert (own.seen().runs, raw.seen().runs, typed.seen().runs) == (20, 2, 2)


def test_an_unknown_tracepoint_names_close_ones(own: Counter) -> None:
    with pytest.raises(NotFoundError) as caught:
        tracepoint(own, "syscalls", "sys_enter_getpid_")
    assert "sys_enter_getpid" in caught.value.hint
    assert "program 'count'" in str(caught.value)
    assert caught.value.evidence["target"] == "tracepoint syscalls:sys_enter_getpid_"
    with Counter(ProgramType.RAW_TRACEPOINT, with_cookie=False) as raw:
        with pytest.raises(NotFoundError) as caught:
            raw_tracepoint(raw, "sched_proces_fork")
        assert FORK in caught.value.hint
        with pytest.raises(NotFoundError, match="no category"):
            raw_tracepoint(raw, "sched:qqqqqqqqqqqq")


def test_the_same_program_twice_is_refused_in_words(own: Counter) -> None:
    with (
        tracepoint(own, "syscalls", "sys_enter_getppid"),
        pytest.raises(AttachError, match="already attached") as caught,
    ):
        tracepoint(own, "syscalls", "sys_enter_getppid")
    assert caught.value.errno == errno.EEXIST
    assert caught.value.program == "count"
    with tracepoint(own, "syscalls", "sys_enter_getppid"):  # and it is free again
        pass


def test_the_wrong_kind_of_program_is_refused_in_words(own: Counter) -> None:
    with pytest.raises(AttachError, match=r"TRACEPOINT.*raw_tp"):
        raw_tracepoint(own, FORK)
    with pytest.raises(AttachError, match="tp_btf"):
        tracing(own)


def test_a_closed_program_cannot_be_attached() -> None:
    counter = Counter(ProgramType.TRACEPOINT, pid=os.getpid())
    counter.close()
    with pytest.raises(ClosedError):
        tracepoint(counter, "syscalls", "sys_enter_getppid")


def test_the_kernel_cannot_update_tracing_links(own: Counter) -> None:
    with (
        Counter(ProgramType.TRACEPOINT, name="other") as other,
        tracepoint(own, "syscalls", "sys_enter_getppid") as link,
    ):
        with pytest.raises(UnsupportedError, match="attach the new program"):
            link.update(other)
        assert link.info.program == "count"
