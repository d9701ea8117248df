"""Program types that observe the kernel and programs, by their section names."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

import compiling
from corpus_case import SOURCES, Case
from corpus_network import in_cgroup, makes_raw_socket
from corpus_steps import attached, run
from corpus_tracing import (
    FUNCTION,
    GETPPID,
    as_uprobe,
    atol,
    getpgid,
    getppid,
    iterated,
    kprobe_multi,
    kprobe_session,
    kprobes,
    labs,
    mkdir_refused,
    open_three,
    own_tasks,
    page_faults,
)

import skep

if TYPE_CHECKING:
    from contextlib import ExitStack

    from corpus_case import Prepare


def _of_another(program: str) -> Prepare:
    """Load another object, and have *program* attach to a function of a program there."""

    def prepare(spec: skep.ObjectSpec, compiler: str, stack: ExitStack) -> None:
        target = compiling.bpf((SOURCES / "function_global.bpf.c").read_text(), compiler=compiler)
        loaded = stack.enter_context(skep.ObjectSpec.from_file(target).load())
        spec.programs[program].attach_program = loaded.programs["asks"]

    return prepare


def _traced(live: skep.Object) -> None:
    target = live.programs["on_verdict"].spec.attach_program
    assert target is not None
    with live.attach():
        assert target.test_run().retval == 2


def _replaced(live: skep.Object) -> None:
    target = live.programs["new_verdict"].spec.attach_program
    assert target is not None
    before = target.test_run().retval
    with live.attach():
        assert target.test_run().retval == 3
    assert target.test_run().retval == before != 3


def _tested(live: skep.Object) -> None:
    """Have the kernel call the functions that it has for this purpose."""
    with live.attach():
        assert live.programs["on_entry"].test_run().retval == 0


CASES = [
    Case(
        "section_raw_tp",
        "section raw_tp",
        attached("on_enter", act=getppid),
        given={"own": os.getpid, "number": GETPPID},
        variables={"calls": 3},
    ),
    Case(
        "section_raw_tp_args",
        "sections raw_tracepoint, raw_tp.w",
        run("adds", ctx=struct.pack("=2Q", 40, 2), returns=42),
        variables={"sum": 42},
    ),
    Case(
        "section_tracepoint",
        "sections tracepoint, tp",
        attached("on_enter", "on_exit", act=getppid),
        given={"own": os.getpid},
        variables={"calls": 3, "exits": 3, "id": GETPPID},
    ),
    Case(
        "section_tp_btf",
        "section tp_btf",
        attached("on_enter", act=getppid),
        given={"own": os.getpid, "number": GETPPID},
        variables={"calls": 3, "parent": os.getppid},
    ),
    Case(
        "section_fentry",
        "sections fentry, fexit",
        _tested,
        variables={"first": 1, "second_of_two": 3, "result": 2},
        guests=True,
    ),
    Case(
        "section_fexit_program",
        "section fexit at a BPF program",
        _traced,
        prepare=_of_another("on_verdict"),
        variables={"calls": 1, "result": 2},
        guests=True,
    ),
    Case(
        "section_fmod_ret",
        "section fmod_ret",
        mkdir_refused,
        given={"own": os.getpid},
        variables={"refusals": 1},
        guests=True,
    ),
    Case(
        "section_freplace",
        "section freplace",
        _replaced,
        prepare=_of_another("new_verdict"),
        guests=True,
    ),
    Case(
        "section_lsm",
        "section lsm",
        mkdir_refused,
        given={"own": os.getpid},
        variables={"refusals": 1},
        guests=True,
    ),
    Case(
        "section_lsm_sleepable",
        "section lsm.s",
        attached("opens", act=open_three),
        given={"own": os.getpid},
        variables={"hits": 3},
        guests=True,
    ),
    Case(
        "section_lsm_cgroup",
        "section lsm_cgroup",
        in_cgroup("counts", act=makes_raw_socket),
        variables={"created": 2},
        guests=True,
    ),
    Case(
        "section_kprobe",
        "sections kprobe, kretprobe",
        kprobes(FUNCTION, getpgid),
        given={"own": os.getpid},
        variables={"entries": 3, "exits": 3},
        guests=True,
    ),
    Case(
        "section_ksyscall",
        "sections ksyscall, kretsyscall",
        kprobes("__x64_sys_getppid", getppid),
        given={"own": os.getpid},
        variables={"entries": 3, "exits": 3},
        guests=True,
    ),
    Case(
        "section_kprobe_multi",
        "sections kprobe.multi, kretprobe.multi",
        kprobe_multi,
        given={"own": os.getpid},
        variables={"entries": 3, "exits": 3},
        built={"kprobe_multi": "CONFIG_FPROBE"},
        guests=True,
    ),
    Case(
        "section_kprobe_session",
        "section kprobe.session",
        kprobe_session,
        given={"own": os.getpid},
        variables={"runs": 6},
        needs=("kprobe_session",),
        guests=True,
    ),
    Case(
        "section_uprobe",
        "sections uprobe, uretprobe",
        attached("on_entry", "on_exit", act=labs),
        given={"own": os.getpid},
        variables={"calls": 3, "argument": -5, "result": 5},
    ),
    Case(
        "section_uprobe_sleepable",
        "section uprobe.s",
        attached("on_entry", act=atol),
        given={"own": os.getpid},
        variables={"text": "4711"},
    ),
    Case(
        "section_uprobe_multi",
        "sections uprobe.multi, uretprobe.multi",
        attached("on_entry", "on_exit", act=labs),
        given={"own": os.getpid},
        variables={"entries": 3, "exits": 3},
        needs=("uprobe_multi",),
    ),
    Case(
        "section_uprobe_session",
        "section uprobe.session",
        attached("both", act=labs),
        given={"own": os.getpid},
        variables={"runs": 6},
        needs=("uprobe_session",),
    ),
    Case(
        "section_usdt",
        "section usdt",
        as_uprobe("on_mark", labs),
        given={"own": os.getpid},
        variables={"hits": 3},
    ),
    Case(
        "section_iter",
        "sections iter, iter.s",
        iterated("dump", own_tasks),
        iterated("dump_sleepable", own_tasks),
        given={"own": os.getpid},
    ),
    Case(
        "section_syscall",
        "section syscall",
        run(
            "multiply",
            ctx=struct.pack("=IIQ", 6, 7, 0),
            returns=5,
            ctx_out=struct.pack("=IIQ", 6, 7, 42),
        ),
    ),
    Case(
        "section_perf_event",
        "section perf_event",
        page_faults,
        given={"own": os.getpid},
        variables={"others": 0},
    ),
]
