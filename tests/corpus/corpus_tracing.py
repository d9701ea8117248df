"""Attachments to functions and events, and what triggers them."""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from skep import links
from skep.kernel import bpf, perf
from skep.kernel.constants import AttachType
from skep.kernel.syscall import machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from corpus_case import Step

    import skep

GETPPID = {"x86_64": 110, "aarch64": 173}[machine]
FUNCTION = "find_task_by_vpid"  # what getpgid() looks a process up with, kernel/sys.c
MULTI_RETURN = 1  # BPF_F_KPROBE_MULTI_RETURN
_libc = ctypes.CDLL(None)
_libc.labs.argtypes, _libc.labs.restype = [ctypes.c_long], ctypes.c_long


def getppid(times: int = 3) -> None:
    """Make a system call that nothing else here makes."""
    for _ in range(times):
        os.getppid()


def labs() -> None:
    """Call labs() of libc."""
    assert [_libc.labs(number) for number in (3, 4, -5)] == [3, 4, 5]


def atol() -> None:
    """Call atol() of libc."""
    assert _libc.atol(ctypes.create_string_buffer(b"4711", 32)) == 4711


def mkdir_refused(live: skep.Object) -> None:
    """Make a folder whose name is allowed and one whose name is not."""
    with ExitStack() as stack:
        folder = tempfile.mkdtemp()
        stack.callback(shutil.rmtree, folder)
        stack.enter_context(live.attach())
        os.mkdir(f"{folder}/yes")
        with pytest.raises(PermissionError):
            os.mkdir(f"{folder}/no")


def open_three() -> None:
    for _ in range(3):
        with open("/dev/null", "rb"):
            pass


def kprobes(function: str, act: Callable[[], None]) -> Step:
    """Attach an entry and a return probe to a kernel function, and act."""

    def step(live: skep.Object) -> None:
        pmu = perf.pmu_type("kprobe")
        with ExitStack() as stack:
            for name, returns in (("on_entry", 0), ("on_exit", 1)):
                attr = perf.PerfEventAttr(
                    type=pmu,
                    config=returns << perf.pmu_format_bit("kprobe", "retprobe"),
                    config1=function.encode() + b"\0",
                    disabled=True,
                )
                event = perf.perf_event_open(attr, pid=-1, cpu=0, what=f"kprobe {function}")
                stack.enter_context(event)
                stack.enter_context(bpf.link_create_perf_event(live.programs[name].fd, event))
                perf.enable(event)
            act()

    return step


def as_uprobe(program: str, act: Callable[[], None]) -> Step:
    """Attach *program* to labs() of libc, as the uprobe that it is to the kernel."""

    def step(live: skep.Object) -> None:
        with links.uprobe(live.programs[program], "c", symbol="labs"):
            act()

    return step


def getpgid() -> None:
    for _ in range(3):
        os.getpgid(os.getpid())


def kprobe_multi(live: skep.Object) -> None:
    with ExitStack() as stack:
        for name, flags in (("on_entry", 0), ("on_exit", MULTI_RETURN)):
            program = live.programs[name].fd
            link = bpf.link_create_kprobe_multi(program, symbols=[FUNCTION], flags=flags)
            stack.enter_context(link)
        getpgid()


def kprobe_session(live: skep.Object) -> None:
    kind = AttachType.TRACE_KPROBE_SESSION
    program = live.programs["both"].fd
    with bpf.link_create_kprobe_multi(program, symbols=[FUNCTION], attach_type=kind):
        getpgid()


def iterated(program: str, expected: Any) -> Step:
    """Read what an iterator program writes."""

    def step(live: skep.Object) -> None:
        link = bpf.link_create(live.programs[program].fd, 0, AttachType.TRACE_ITER)
        with link, bpf.iter_create(link) as iterator:
            text = bytearray()
            while piece := os.read(iterator.fileno(), 4096):
                text += piece
        assert text.decode() == expected()

    return step


def own_tasks() -> str:
    """Say what the task iterator writes: the threads of this process."""
    return "".join(
        f"{os.getpid()} {task}\n" for task in sorted(map(int, os.listdir("/proc/self/task")))
    )


def page_faults(live: skep.Object) -> None:
    """Touch pages that were never touched, and count as many faults."""
    pages = 64
    own = os.getpid()
    with (
        links.perf_event(live.programs["sample"], "page-faults", period=1, pid=own),
        mmap.mmap(-1, pages * mmap.PAGESIZE) as memory,
    ):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        before = live.variables["hits"].value
        for page in range(pages):
            memory[page * mmap.PAGESIZE] = 1
        assert live.variables["hits"].value - before >= pages
