"""Objects compiled from C, attached as a whole by their section names."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Protocol

import pytest
from links_support import Target, ids
from needs import need

import skep
from skep.errors import NotFoundError, UnsupportedError

if TYPE_CHECKING:
    from pathlib import Path

    class Compile(Protocol):
        def __call__(self, source: str) -> Path: ...


HEAD = """
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";
__u32 own = 0;                          /* the process that counts */
__u64 point, raw, typed, entry, leave, sleepy, many, both;
"""

KERNEL_SIDE = """
static int ours(void) { return bpf_get_current_pid_tgid() >> 32 == own; }

SEC("tp/syscalls/sys_enter_getppid")
int on_point(void *ctx) { if (ours()) __sync_fetch_and_add(&point, 1); return 0; }

SEC("raw_tp/sched_process_fork")
int on_raw(void *ctx) { if (ours()) __sync_fetch_and_add(&raw, 1); return 0; }

SEC("tp_btf/sched_process_fork")
int on_typed(void *ctx) { if (ours()) __sync_fetch_and_add(&typed, 1); return 0; }

SEC("perf_event")
int left_out(void *ctx) { return 0; }
"""


def user_side(path: Path) -> str:
    return f"""
SEC("uprobe/{path}:pushes")
int on_entry(void *ctx) {{ __sync_fetch_and_add(&entry, 1); return 0; }}

SEC("uretprobe/{path}:pushes")
int on_leave(void *ctx) {{ __sync_fetch_and_add(&leave, 1); return 0; }}

SEC("uprobe.s/{path}:pushes")
int on_sleepy(void *ctx) {{ __sync_fetch_and_add(&sleepy, 1); return 0; }}

SEC("uprobe.multi/{path}:pu*")
int on_many(void *ctx) {{ __sync_fetch_and_add(&many, 1); return 0; }}

SEC("uprobe.session/{path}:pushes")
int on_both(void *ctx) {{ __sync_fetch_and_add(&both, 1); return 0; }}
"""


def test_every_program_is_attached_by_its_section(compile_bpf: Compile, target_path: Path) -> None:
    need("uprobe_session")
    spec = skep.ObjectSpec.from_file(compile_bpf(HEAD + KERNEL_SIDE + user_side(target_path)))
    spec.variables["own"] = os.getpid()
    with spec.load() as loaded, Target(target_path) as target:
        target.call("pushes", 2)
        with loaded.attach() as links:
            assert [link.program for link in links] == [
                "on_point", "on_raw", "on_typed",
                "on_entry", "on_leave", "on_sleepy", "on_many", "on_both",
            ]  # fmt: skip
            target.call("pushes", 10)
            for _ in range(6):
                os.getppid()
            for _ in range(3):
                subprocess.run(["/bin/true"], check=True)
            held = {link.id for link in links}
            assert held <= ids("link")
        assert not held & ids("link")
        target.call("pushes", 2)
        os.getppid()
        values = {name: loaded.variables[name].value for name in spec.variables if name != "own"}
    assert values == {
        "point": 6, "raw": 3, "typed": 3,
        "entry": 10, "leave": 10, "sleepy": 10, "many": 10, "both": 20,
    }  # fmt: skip


def test_closing_the_object_detaches(compile_bpf: Compile, target_path: Path) -> None:
    with skep.ObjectSpec.from_file(compile_bpf(HEAD + KERNEL_SIDE)).load() as loaded:
        held = {link.id for link in loaded.attach("on_raw", "on_typed")}
        assert len(held) == 2
        assert held <= ids("link")
    assert not held & ids("link")


def test_one_program_that_fails_detaches_the_others(
    compile_bpf: Compile, target_path: Path
) -> None:
    source = HEAD + KERNEL_SIDE + user_side(target_path).replace("uretprobe/", "uretprobe//no")
    before = ids("link")
    with skep.ObjectSpec.from_file(compile_bpf(source)).load() as loaded:
        programs = {program.info.id for program in loaded.programs.values()}
        with pytest.raises(
            NotFoundError, match="program 'on_leave' could not be attached"
        ) as error:
            loaded.attach()
        assert error.value.evidence["target"].startswith("uretprobe /no")
        assert not {link for link in ids("link") - before if program_of(link) in programs}


def program_of(link: int) -> int:
    from skep.kernel import bpf

    try:
        with bpf.fd_by_id("link", link) as fd:
            return bpf.link_info(fd).prog_id
    except skep.SkepError:
        return 0  # of another process, and gone


def test_a_named_program_that_says_too_little(compile_bpf: Compile) -> None:
    with (
        skep.ObjectSpec.from_file(compile_bpf(HEAD + KERNEL_SIDE)).load() as loaded,
        pytest.raises(UnsupportedError, match=r"skep\.links\.perf_event"),
    ):
        loaded.attach("left_out")


def test_another_target_than_the_sections(compile_bpf: Compile, target_path: Path) -> None:
    source = HEAD + user_side(target_path)
    spec = skep.ObjectSpec.from_file(compile_bpf(source))
    spec.programs["on_entry"].attach_to = f"{target_path}:hidden"
    with spec.load() as loaded, Target(target_path) as target, loaded.attach("on_entry"):
        target.call("pushes", 10)
        target.call("hidden", 3)
        assert loaded.variables["entry"].value == 3
