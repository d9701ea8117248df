"""The check before a load against the verifier itself."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from random_programs import programs
from refused_programs import END, REFUSED

import skep
from skep import asm
from skep.asm import R0
from skep.errors import PrecheckError, RangeError, VerifierError
from skep.kernel.constants import AttachType, ProgramFlags, ProgramType
from skep.kernel.features import FEATURES
from skep.kernel.helpers import helper_available

P = ProgramType


@pytest.mark.parametrize("name", REFUSED)
def test_the_verifier_refuses_what_the_check_does(name: str) -> None:
    instructions, _ = REFUSED[name]
    spec = skep.ProgramSpec(name="p", type="xdp", instructions=instructions, license="GPL")
    with pytest.raises(PrecheckError):
        spec.load()
    with pytest.raises((VerifierError, RangeError)):
        spec.load(precheck=False)


@settings(
    max_examples=60 if "SKEP_GUEST" in os.environ else 400,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(programs())
def test_the_check_refuses_nothing_that_the_verifier_takes(
    instructions: list[asm.Instruction],
) -> None:
    spec = skep.ProgramSpec(name="p", type="socket_filter", code=instructions, license="GPL")
    problems = spec.precheck(kernel=False)
    try:
        spec.load().close()
    except VerifierError:
        return
    assert problems == [], spec.disassemble()


def test_helpers_that_this_type_does_not_get() -> None:
    """bpf_xdp_adjust_head is for XDP alone."""
    assert helper_available(P.XDP, asm.helper_number("xdp_adjust_head")) is True
    assert helper_available(P.SOCKET_FILTER, asm.helper_number("xdp_adjust_head")) is False
    spec = skep.ProgramSpec(
        name="moves",
        type="socket_filter",
        instructions=[asm.call("xdp_adjust_head"), *END],
    )
    with pytest.raises(PrecheckError) as caught:
        spec.load()
    (problem,) = caught.value.problems
    assert (problem.index, problem.kind) == (0, "unavailable")
    assert problem.message == (
        "calls bpf_xdp_adjust_head, which this kernel does not offer to programs of type"
        " socket_filter"
    )


@pytest.mark.parametrize(
    ("helper", "types"),
    [
        ("xdp_adjust_head", {P.XDP}),
        ("skb_load_bytes", {P.SOCKET_FILTER, P.SCHED_CLS, P.CGROUP_SKB}),
        ("redirect", {P.XDP, P.SCHED_CLS}),
        ("xdp_adjust_tail", {P.XDP}),
        ("perf_prog_read_value", {P.PERF_EVENT}),
        ("sys_bpf", {P.SYSCALL}),
        ("map_lookup_elem", {P.XDP, P.SOCKET_FILTER, P.SCHED_CLS, P.CGROUP_SKB, P.KPROBE,
                             P.TRACEPOINT, P.PERF_EVENT, P.SYSCALL}),
        ("unspec", set[P]()),
    ],
)  # fmt: skip
def test_who_gets_which_helper(helper: str, types: set[P]) -> None:
    """As the documentation of the kernel has it (bpf-helpers(7))."""
    number = asm.helper_number(helper) if helper != "unspec" else 4711
    asked = [
        P.XDP, P.SOCKET_FILTER, P.SCHED_CLS, P.CGROUP_SKB, P.KPROBE, P.TRACEPOINT,
        P.PERF_EVENT, P.SYSCALL,
    ]  # fmt: skip
    flags = {P.SYSCALL: ProgramFlags.SLEEPABLE}
    found = {type: helper_available(type, number, flags=flags.get(type, 0)) for type in asked}
    assert found == {type: type in types for type in asked}


def test_what_cannot_be_found_out() -> None:
    # They need a target, and the answer may depend on it.
    assert helper_available(P.TRACING, 5) is None
    assert helper_available(P.CGROUP_SOCK_ADDR, 5) is None
    connect = AttachType.CGROUP_INET4_CONNECT
    assert helper_available(P.CGROUP_SOCK_ADDR, 5, attach_type=connect) is True


def test_helpers_of_a_typed_program() -> None:
    spec = skep.ProgramSpec(
        name="typed",
        section="tp_btf/sched_switch",
        license="GPL",
        instructions=[asm.call("xdp_adjust_head"), *END],
    )
    with pytest.raises(PrecheckError, match="does not offer to programs of type tracing"):
        spec.load()


def test_helpers_behind_a_condition_are_the_compilers_business() -> None:
    """A program compiled for many kernels asks first; one written in Python means what it says."""
    guarded = [
        asm.call("get_prandom_u32"),
        asm.jump_if(R0, "==", 0, 1),
        asm.call("xdp_adjust_head"),
        asm.mov(R0, 0),
        asm.exit_(),
    ]
    always = [asm.call("xdp_adjust_head"), asm.mov(R0, 0), asm.exit_()]
    kinds = []
    for code in (guarded, always):
        compiled = skep.ProgramSpec(name="c", type="socket_filter", code=code)
        written = skep.ProgramSpec(name="p", type="socket_filter", instructions=code)
        kinds.append([[each.kind for each in spec.precheck()] for spec in (compiled, written)])
    assert kinds == [[[], ["unavailable"]], [["unavailable"], ["unavailable"]]]


def test_instructions_that_are_too_new() -> None:
    spec = skep.ProgramSpec(
        name="p",
        type="xdp",
        instructions=[
            asm.mov(R0, -7),
            asm.sdiv(R0, 2),
            asm.store(8, 10, -8, 0),
            asm.load_acquire(8, R0, 10, -8),
            asm.may_goto("out"),
            asm.mov(R0, 1),
            "out:",
            asm.exit_(),
        ],
    )
    features = [FEATURES["cpu_v4"], FEATURES["load_acquire"], FEATURES["may_goto"]]
    lacking = [feature for feature in features if not feature.available()]
    problems = spec.precheck()
    assert [each.kind for each in problems] == ["unavailable"] * len(lacking)
    for problem, feature in zip(problems, lacking, strict=True):
        assert f"needs {feature.title}, which came with Linux " in problem.message
    if not lacking:
        spec.load().close()
