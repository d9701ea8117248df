"""What is taken away from a program that an older kernel refused."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from skep.asm.instruction import Instruction, encode
from skep.kernel.constants import AttachType, ProgramType
from skep.kernel.release import version_code
from skep.programs.older import adapted, without_new_reads
from skep.programs.spec import ProgramSpec

CALL, EXIT, LD_IMM64 = 0x85, 0x95, 0x18


def code(*numbers: int) -> bytes:
    calls = [Instruction(CALL, imm=number) for number in numbers]
    return bytes(encode([*calls, Instruction(EXIT)], sys.byteorder))


def spec(type: ProgramType = ProgramType.CGROUP_SKB) -> ProgramSpec:
    return ProgramSpec(name="one", type=type, code=[Instruction(EXIT)])


ARGUMENTS: dict[str, Any] = {
    "name": "one",
    "insns": code(1),
    "btf_fd": 5,
    "func_info": b"12345678",
    "line_info": b"",
    "expected_attach_type": int(AttachType.CGROUP_INET_EGRESS),
}


def test_reads_of_the_kernel() -> None:
    assert without_new_reads(code(113, 115, 112, 6)) == code(4, 45, 112, 6)


def test_only_helpers_are_replaced() -> None:
    others = encode(
        [
            Instruction(CALL, src=1, imm=113),  # a subprogram
            Instruction(CALL, src=2, imm=115),  # a function of the kernel
            Instruction(LD_IMM64, imm=113),
            Instruction(0, imm=113),
            Instruction(EXIT),
        ],
        sys.byteorder,
    )
    assert without_new_reads(bytes(others)) == bytes(others)


@pytest.mark.parametrize("log", ["invalid func unknown#113", "unknown func unknown#115"])
def test_an_unknown_helper_is_replaced(log: str) -> None:
    arguments = {**ARGUMENTS, "insns": code(113)}
    changed = adapted(spec(), arguments, log, lambda _: False)
    assert changed == {**arguments, "insns": code(4)}
    assert adapted(spec(), changed, log, lambda _: False) is None  # no second time


def test_nothing_is_taken_from_a_kernel_that_has_all() -> None:
    assert adapted(spec(), ARGUMENTS, "", lambda _: True) is None
    assert adapted(spec(), ARGUMENTS, "R1 !read_ok", lambda _: False) is None


@pytest.mark.parametrize(
    ("missing", "changes"),
    [
        ("object_names", {"name": ""}),
        ("btf_func", {"btf_fd": None, "func_info": b"", "line_info": b""}),
        ("expected_attach_type", {"expected_attach_type": 0}),
    ],
)
def test_what_a_kernel_lacks(missing: str, changes: dict[str, Any]) -> None:
    changed = adapted(spec(), ARGUMENTS, "", lambda name: name != missing)
    assert changed == {**ARGUMENTS, **changes}
    assert adapted(spec(), changed, "", lambda name: name != missing) is None


def test_kprobes_once_named_the_kernel() -> None:
    probe = spec(ProgramType.KPROBE)
    arguments = {**ARGUMENTS, "kern_version": 0, "btf_fd": None, "expected_attach_type": 0}
    changed = adapted(probe, arguments, "", lambda name: name != "btf_func")
    assert changed == {**arguments, "kern_version": version_code()}
    assert adapted(probe, changed, "", lambda name: name != "btf_func") is None


def test_an_attach_type_that_is_needed_stays() -> None:
    needed = spec(ProgramType.CGROUP_SOCK_ADDR)
    assert adapted(needed, ARGUMENTS, "", lambda name: name != "expected_attach_type") is None
