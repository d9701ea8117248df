"""Programs at functions of other programs and of modules. The first test machine forbids them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from needs import need

import skep
from skep.errors import NotFoundError, VerifierError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiling import CompileBpf

TARGET = r"""
#include <skep/bpf.h>

__attribute__((noinline)) int verdict(struct xdp_md *ctx, int extra)
{
	volatile int value = XDP_PASS;
	return value + extra + (ctx->rx_queue_index > 1000); /* unused, it would not be passed */
}

SEC("xdp") int asks(struct xdp_md *ctx) { return verdict(ctx, ctx->ingress_ifindex ? 0 : 100); }
char LICENSE[] SEC("license") = "GPL";
"""

OTHERS = r"""
#include <skep/bpf.h>

__u64 entries, exits;
int argument, result;

SEC("?freplace/verdict") int replaces(struct xdp_md *ctx, int extra) { return 40 + extra; }
SEC("?freplace/verdict") int differs(struct xdp_md *ctx) { return 1; }

SEC("?fentry/verdict")
int BPF_PROG(enters, struct xdp_md *ctx_, int extra)
{
	entries++;
	argument = extra;
	return 0;
}

SEC("?fexit/asks")
int BPF_PROG(leaves, struct xdp_md *ctx_, int ret)
{
	exits++;
	result = ret;
	return 0;
}
char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture
def target(compile_bpf: CompileBpf) -> Iterator[skep.Program]:
    need("fentry")
    with skep.ObjectSpec.from_file(compile_bpf(TARGET)).load() as live:
        yield live.programs["asks"]


@pytest.fixture
def others(compile_bpf: CompileBpf, target: skep.Program) -> skep.ObjectSpec:
    spec = skep.ObjectSpec.from_file(compile_bpf(OTHERS))
    for program in spec.programs.values():
        program.attach_program = target
    return spec


def test_a_function_of_a_program_is_replaced(others: skep.ObjectSpec, target: skep.Program) -> None:
    before = target.test_run().retval
    assert before == 2  # XDP_PASS; the test comes from an interface
    with others.load(programs=["replaces"]) as live:
        with live.attach("replaces") as (link,):
            assert (link.kind, link.target) == ("tracing", "verdict")
            assert target.test_run().retval == 40
        assert target.test_run().retval == before


def test_calls_of_a_program_are_traced(others: skep.ObjectSpec, target: skep.Program) -> None:
    with others.load(programs=["enters", "leaves"]) as live:
        with live.attach("enters", "leaves"):
            for _ in range(3):
                target.test_run()
        target.test_run()  # nobody looks any more
        seen = {name: variable.value for name, variable in live.variables.items()}
    assert seen == {"entries": 3, "exits": 3, "argument": 0, "result": 2}


def test_another_signature_is_refused(others: skep.ObjectSpec) -> None:
    with pytest.raises(VerifierError, match=r"program 'differs' \(section '\?freplace/verdict'\)"):
        others.load(programs=["differs"])


def test_a_function_that_the_program_lacks(others: skep.ObjectSpec) -> None:
    others.programs["replaces"].attach_to = "verdikt"
    with pytest.raises(NotFoundError, match="program 'asks', to which it attaches,") as caught:
        others.load(programs=["replaces"])
    assert "did you mean verdict" in caught.value.hint


MODULE = r"""
#include <skep/bpf.h>

__u32 own;
__u64 named, found;

SEC("fentry/tun:tun_chr_open")
int in_module(void *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == own) named++;
	return 0;
}

SEC("fentry/tun_chr_open")
int anywhere(void *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == own) found++;
	return 0;
}

SEC("?fentry/tun:tun_chr_opn") int misspelt(void *ctx) { return 0; }
char LICENSE[] SEC("license") = "GPL";
"""


def test_functions_of_a_module(compile_bpf: CompileBpf) -> None:
    """The driver of /dev/net/tun is a module in Debian's kernels, loaded when a guest starts."""
    need("fentry")
    spec = skep.ObjectSpec.from_file(compile_bpf(MODULE))
    spec.variables["own"] = os.getpid()
    with spec.load() as live:
        with live.attach():
            for _ in range(3):
                with open("/dev/net/tun", "rb"):
                    pass
        seen = {name: live.variables[name].value for name in ("named", "found")}
    assert seen == {"named": 3, "found": 3}
    with pytest.raises(NotFoundError, match="the module tun has no function 'tun_chr_opn'") as e:
        spec.load(programs=["misspelt"])
    assert "did you mean tun_chr_open" in e.value.hint
