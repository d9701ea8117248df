"""The check before a load, without a kernel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from refused_programs import END, REFUSED

import skep
from skep import asm
from skep.asm import R0, R1, R2, R3, R10, Code
from skep.asm.code import CoreRecord, Reference
from skep.errors import PrecheckError, SkepError
from skep.kernel.constants import ProgramType
from skep.programs.helper_calls import POISON
from skep.programs.precheck import precheck

if TYPE_CHECKING:
    from compiling import CompileBpf

    from skep.asm.items import Source

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted((ROOT / "src/skep").rglob("*.bpf.o"))


def program(instructions: list[Source], name: str = "filter") -> skep.ProgramSpec:
    return skep.ProgramSpec(name=name, type="xdp", instructions=instructions)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_found(name: str) -> None:
    instructions, expected = REFUSED[name]
    problems = program(instructions).precheck(kernel=False)
    assert [(each.index, each.kind, each.message) for each in problems] == expected


def test_a_problem_says_where() -> None:
    spec = program(["; keep the length", asm.store(8, R10, -520, R1), *END])
    (problem,) = spec.precheck(kernel=False)
    line = problem.line
    assert line is not None
    assert (line.file, line.text) == ("test_precheck.py", "keep the length")
    assert str(problem) == (
        "instruction 0 (*(u64 *)(r10 - 520) = r1) writes 8 bytes at r10-520, outside of the stack"
        f" (r10-512 to r10-1), at test_precheck.py:{line.number}: keep the length"
    )
    (problem,) = program([asm.mov(R0, 0), asm.exit_(), asm.exit_()]).precheck(kernel=False)
    assert problem.line is not None
    assert "asm.exit_(), asm.exit_()" in problem.line.text  # the line above


def test_load_raises_them_together() -> None:
    spec = program([asm.div(R0, 0), asm.add(R10, 1), asm.mov(R2, R3), asm.exit_()])
    with pytest.raises(PrecheckError) as caught:
        spec.load()
    error = caught.value
    assert isinstance(error, ValueError)
    assert error.program == "filter"
    assert [each.kind for each in error.problems] == [
        "division",
        "register",
        "frame",
        "register",
    ]
    assert error.message.startswith(
        "program 'filter' (xdp) would be refused: instruction 0 (r0 /= 0) divides by zero, at "
    )
    assert error.message.endswith("(and 3 more problems)")
    assert error.hint == "load(precheck=False) asks the verifier all the same"


FINE: dict[str, list[Source]] = {
    "a value on one path": [
        asm.call("get_prandom_u32"),
        asm.jump_if(R0, "==", 0, "out"),
        asm.mov(R3, 1),
        "out:",
        asm.mov(R1, R3),
        *END,
    ],
    "the ends of the stack": [
        asm.store(1, R10, -512, 0),
        asm.store(8, R10, -8, 0),
        asm.load(2, R0, R10, -512),
        asm.exit_(),
    ],
    "a pointer that differs": [
        asm.mov(R2, R10),
        asm.jump_if(R1, "==", 0, "out"),
        asm.add(R2, -600),
        "out:",
        asm.load(8, R0, R2, 0),
        asm.exit_(),
    ],
    "a loop with may_goto": [
        asm.mov(R0, 0),
        "again:",
        asm.may_goto("out"),
        asm.jump("again"),
        "out:",
        asm.exit_(),
    ],
    "a loop that returns": [
        "again:",
        asm.call("get_prandom_u32"),
        asm.jump_if(R0, "!=", 0, "again"),
        asm.exit_(),
    ],
    "a function that returns nothing": [
        asm.call_local("f"),
        *END,
        "f:",
        asm.mov(R1, 1),
        asm.exit_(),
    ],
    "a callback": [
        asm.mov(R1, 8),
        asm.load_function(R2, "f"),
        asm.mov(R3, 0),
        asm.mov(4, 0),
        asm.call("loop"),
        *END,
        "f:",
        asm.mov(R0, R1),
        asm.add(R0, R2),
        asm.exit_(),
    ],
    "an end by bpf_throw": [
        asm.mov(R1, 8),
        asm.call_kernel("bpf_throw"),
    ],
    "a loop left by bpf_throw": [
        "again:",
        asm.mov(R1, 8),
        asm.call_kernel("bpf_throw"),
        asm.jump("again"),
    ],
    "old packet loads": [
        asm.mov(6, R1),
        asm.ld_abs(1, 12),
        asm.mov(R1, R0),
        asm.ld_ind(2, R1),
        asm.exit_(),
    ],
    "a poisoned call": [asm.call(POISON), *END],
    "eight functions deep": [
        *[
            part
            for depth in range(7)
            for part in (f"f{depth}:", asm.call_local(f"f{depth + 1}"), asm.exit_())
        ],
        "f7:",
        *END,
    ],
}


@pytest.mark.parametrize("name", FINE)
def test_what_is_fine(name: str) -> None:
    assert program(FINE[name]).precheck(kernel=False) == []


@pytest.mark.parametrize("kind", ["STRUCT_OPS", "LSM", "EXT", "UNSPEC"])
def test_programs_that_may_return_nothing(kind: str) -> None:
    code = Code.of([asm.mov(R1, 0), asm.exit_()])
    assert precheck(code, ProgramType[kind]) == []
    assert [each.kind for each in precheck(code, ProgramType.TRACING)] == ["register"]


def test_what_replaces_a_function_has_its_arguments() -> None:
    code = Code.of([asm.mov(R0, R2), asm.exit_()])
    assert precheck(code, ProgramType.EXT) == []
    assert [each.message for each in precheck(code, ProgramType.XDP)] == [
        "reads r2, which has no value on any path to it"
    ]


def test_what_the_loader_still_changes_is_not_judged() -> None:
    code = Code.of(
        [
            asm.mov(R0, 7),
            asm.div(R0, 0),  # a CO-RE answer
            asm.store(8, R10, -1000, R0),  # an offset that moves
            asm.call(4711),  # a kernel function to be
            asm.call_local(-1),  # a function to be
            asm.mov(R0, 0),
            asm.exit_(),
        ]
    )
    assert {each.kind for each in precheck(code)} == {"division", "end"}
    code.core = [CoreRecord(1, 1, "0", 0), CoreRecord(2, 1, "0", 0)]
    code.references = [Reference(3, "extern", "f"), Reference(4, "extern", "g")]
    assert precheck(code) == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_nothing_is_found_in_what_is_shipped(path: Path) -> None:
    spec = skep.ObjectSpec.from_file(path)
    assert {name: each.precheck(kernel=False) for name, each in spec.programs.items()} == {
        name: [] for name in spec.programs
    }


def test_nothing_is_found_in_what_was_compiled() -> None:
    """A sample of whatever other tests have compiled so far, both byte orders."""
    found = {}
    compiled = sorted((ROOT / ".cache" / "compiled").glob("*.bpf.o"))
    for path in compiled[:: len(compiled) // 100 + 1]:
        try:
            spec = skep.ObjectSpec.from_file(path)
        except SkepError:
            continue  # made to be refused
        for name, each in spec.programs.items():
            if each.problem is None and (problems := each.precheck(kernel=False)):
                found[path.name, name] = problems
    assert found == {}


SOURCE = r"""
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

extern void bpf_throw(__u64 cookie) __attribute__((noreturn)) __ksym;

static long each(__u64 index, void *context)
{
    *(__u64 *)context += index;
    return index > 100;
}

__attribute__((noinline)) static __u64 deep(__u64 depth)
{
    char room[256];
    for (int i = 0; i < 256; i++)
        room[i] = depth + i;
    asm volatile("" :: "r"(room) : "memory");
    return room[depth & 255];
}

SEC("syscall")
int callback(__u64 *context)
{
    __u64 sum = deep(context[0]) / 7;
    bpf_loop(50, each, &sum, 0);
    return sum;
}

SEC("syscall")
int thrower(__u64 *context)
{
    if (context[0] > 10)
        bpf_throw(context[0]);
    while (1)
        if (bpf_get_prandom_u32() & 1)
            return 5;
}

SEC("syscall")
int always(__u64 *context)
{
    bpf_throw(context[1]);
}

SEC("syscall")
int iterates(__u64 *context)
{
    int i, sum = 0;
    bpf_for(i, 0, 100)
        sum += i * context[0];
    return sum;
}
"""


def test_nothing_is_found_in_c_with_everything(compile_bpf: CompileBpf) -> None:
    spec = skep.ObjectSpec.from_file(compile_bpf(SOURCE))
    names = ["callback", "thrower", "always", "iterates"]
    found = {name: each.precheck(kernel=False) for name, each in spec.programs.items()}
    assert found == {name: [] for name in names}
