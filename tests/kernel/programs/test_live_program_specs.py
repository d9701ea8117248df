"""Programs made by hand, loaded and run."""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING

import pytest

from skep import asm
from skep.errors import (
    ClosedError,
    LoadError,
    NotFoundError,
    PrivilegeError,
    RangeError,
    UnsupportedError,
    VerifierError,
)
from skep.kernel.constants import AttachType, ProgramType
from skep.programs.spec import ProgramSpec

if TYPE_CHECKING:
    from collections.abc import Callable

RETURN_7 = [asm.mov(0, 7), asm.exit_()]


def in_child(function: Callable[[], str]) -> str:
    """Run *function* as nobody in a child, and return its text."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            os.write(writer, function().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return text


def test_load_and_run() -> None:
    spec = ProgramSpec(name="seven", section="socket", code=RETURN_7, license="GPL")
    with spec.load() as program:
        assert program.test_run().retval == 7
        info = program.info
        assert (info.name, info.type) == ("seven", ProgramType.SOCKET_FILTER)
        assert info.verified_instructions == 2
        assert len(info.tag) == 16
    with pytest.raises(ClosedError):
        program.fileno()


def test_the_packet_and_the_context_reach_the_program() -> None:
    code = [asm.load(4, 0, 1, 0), asm.exit_()]  # skb->len
    with ProgramSpec(name="length", section="socket", code=code).load() as program:
        assert program.test_run(bytes(100)).retval == 100 - 14  # the kernel pulls Ethernet's header
    code = [asm.load(8, 0, 1, 8), asm.exit_()]
    spec = ProgramSpec(name="second", section="raw_tp/sys_enter", code=code, license="GPL")
    with spec.load() as program:
        assert program.test_run(ctx=struct.pack("=2Q", 1, 4242)).retval == 4242


def test_a_syscall_program_writes_its_context() -> None:
    code = [asm.load(8, 2, 1, 0), asm.add(2, 5), asm.store(8, 1, 8, asm.R2), *RETURN_7]
    spec = ProgramSpec(name="adder", section="syscall", code=code, license="GPL")
    given = struct.pack("=2Q", 37, 0)
    with spec.load() as program:
        result = program.test_run(ctx=given)
    assert result.retval == 7
    assert struct.unpack("=2Q", result.ctx_out) == (37, 42)
    assert given == struct.pack("=2Q", 37, 0)  # ours is not written to


def test_kinds_that_cannot_be_run() -> None:
    spec = ProgramSpec(name="tp", section="tp/sched/sched_switch", code=RETURN_7, license="GPL")
    with spec.load() as program, pytest.raises(UnsupportedError, match="cannot be test-run"):
        program.test_run()


def test_the_verifier_is_quoted() -> None:
    code = [asm.mov(1, 0), asm.exit_()]
    with pytest.raises(VerifierError) as caught:
        ProgramSpec(name="no_result", section="socket", code=code).load()
    error = caught.value
    assert error.message == (
        "program 'no_result' (section 'socket') was refused by the verifier [EACCES]:"
        " R0 !read_ok, at instruction 1"
    )
    assert (error.errno, error.name, error.kind) == (errno.EACCES, "no_result", "program")
    assert error.evidence["cause"] == "R0 !read_ok"
    assert error.evidence["instruction"] == 1
    assert "processed 2 insns" in error.log
    assert isinstance(error, LoadError)


def test_the_whole_log_is_kept_however_long() -> None:
    """5000 rounds of a bounded loop, printed instruction by instruction, then a mistake."""
    code = [
        asm.mov(1, 0),
        *[asm.add(1, 1)] * 8,
        asm.jump_if(1, "<", 8 * 5000, -9),
        asm.exit_(),
    ]
    with pytest.raises(VerifierError, match="R0 !read_ok, at instruction 10") as caught:
        ProgramSpec(name="long", section="socket", code=code, license="GPL").load()
    log = caught.value.log
    assert len(log) > 1_000_000
    assert log.startswith("0: ")
    assert "processed 45002 insns" in log


def test_what_the_kernel_refuses_before_the_verifier_has_a_reason_too() -> None:
    spec = ProgramSpec(
        name="odd",
        section="socket",
        code=RETURN_7,
        type=ProgramType.CGROUP_SOCK,
        expected_attach_type=AttachType.XDP,
    )
    with pytest.raises(VerifierError, match=r"'odd'.*\[EINVAL\]"):
        spec.load()


def test_code_that_is_no_code() -> None:
    with pytest.raises(RangeError):
        ProgramSpec(name="empty", section="socket", code=[]).load()


def test_a_target_in_btf_is_looked_up() -> None:
    code = [asm.mov(0, 0), asm.exit_()]
    spec = ProgramSpec(name="x", section="tp_btf/sched_switch", code=code, license="GPL")
    with spec.load() as program:
        assert program.info.attach_btf_id != 0


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("tp_btf/no_such_tracepoint", "no tracepoint 'no_such_tracepoint'"),
        ("fentry/no_such_function", "no function 'no_such_function'"),
        ("lsm/no_such_hook", "no LSM hook 'no_such_hook'"),
        ("iter/no_such_thing", "no iterator 'no_such_thing'"),
    ],
)
def test_a_target_that_does_not_exist(section: str, words: str) -> None:
    with pytest.raises(NotFoundError, match=words) as caught:
        ProgramSpec(name="x", section=section, code=RETURN_7, license="GPL").load()
    assert section in caught.value.message


@pytest.mark.parametrize(
    ("section", "hint"),
    [
        ("tp_btf/sched_swich", "did you mean sched_switch, "),
        ("tp_btf/sched/sched_switch", "did you mean sched_switch, "),  # as for "tp/"
        ("lsm/file_opn", "did you mean file_open, "),
        ("iter/tsk", "did you mean task?"),
        ("tp_btf/zzzzzzzz", "it may be in a module"),
    ],
)
def test_names_that_come_close_to_a_target(section: str, hint: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        ProgramSpec(name="x", section=section, code=RETURN_7, license="GPL").load()
    assert caught.value.hint.startswith(hint)


def test_a_target_that_is_not_said() -> None:
    with pytest.raises(RangeError, match="names nothing to attach to"):
        ProgramSpec(name="x", section="fentry", code=RETURN_7, license="GPL").load()


def test_without_privileges_the_capability_is_named() -> None:
    def attempt() -> str:
        spec = ProgramSpec(name="x", section="kprobe/do_exit", code=RETURN_7, license="GPL")
        try:
            spec.load()
        except PrivilegeError as error:
            return f"{error.capability}: {error}"
        return "it loaded"

    assert in_child(attempt).startswith("CAP_BPF: loading program 'x' needs CAP_BPF")
