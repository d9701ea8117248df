"""Structs of operations: a congestion control algorithm of TCP that the kernel really uses."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest
from needs import need

from skep.errors import (
    AttachError,
    ClosedError,
    LoadErrors,
    NotFoundError,
    RangeError,
    RelocationError,
    TypeMismatchError,
    UnsupportedError,
)
from skep.kernel.constants import MapFlags
from skep.maps.struct_ops import StructOpsSpec
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from compiling import CompileBpf

BYTES = 200_000

HEAD = r"""
#include <skep/bpf.h>

struct sock;
struct tcp_sock { __u32 snd_cwnd, snd_ssthresh; } SKEP_CORE;
"""

# Other members in between, in another order, a flavour, and one that no kernel has.
DECLARATION = r"""
struct tcp_congestion_ops___ours {
	char name[16];
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	void (*init)(struct sock *sk);
	void (*of_the_future)(struct sock *sk);
	__u32 flags;
	__u32 number_of_the_future;
};
"""

PROGRAMS = r"""
__u64 started, avoided, second_started;
char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops/init") void BPF_PROG(on_init, struct sock *sk) { started++; }
SEC("?struct_ops/init") void BPF_PROG(second_init, struct sock *sk) { second_started++; }
SEC("struct_ops") __u32 BPF_PROG(on_ssthresh, struct sock *sk) { return 2; }
SEC("struct_ops") __u32 BPF_PROG(on_undo, struct sock *sk)
{
	return ((struct tcp_sock *) sk)->snd_cwnd;
}
SEC("struct_ops")
void BPF_PROG(on_avoid, struct sock *sk, __u32 ack, __u32 acked) { avoided += acked; }
"""

OPS = r"""
SEC("SECTION")
struct tcp_congestion_ops___ours NAME = {
	.init = (void *) on_init,
	.ssthresh = (void *) on_ssthresh,
	.cong_avoid = (void *) on_avoid,
	.undo_cwnd = (void *) on_undo,
	.name = "skep_NAME",
};
"""


def ops(section: str, name: str) -> str:
    return OPS.replace("SECTION", section).replace("NAME", name)


PLAIN = HEAD + DECLARATION + PROGRAMS + ops(".struct_ops", "plain")
LINKED = HEAD + DECLARATION + PROGRAMS + ops(".struct_ops.link", "linked")


@pytest.fixture(autouse=True)
def wanted() -> None:
    need("tp_btf")


def transfer(algorithm: str) -> None:
    """Send bytes over a new TCP connection that uses *algorithm*."""
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, algorithm.encode())
        client.connect(server.getsockname())
        peer, _ = server.accept()
        with peer:
            client.sendall(bytes(BYTES))
            client.shutdown(socket.SHUT_WR)
            received = 0
            while data := peer.recv(1 << 16):
                received += len(data)
            assert received == BYTES


def is_registered(algorithm: str) -> bool:
    with socket.socket() as one:
        try:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, algorithm.encode())
        except FileNotFoundError:
            return False
        return True


def test_a_value_is_stored_and_deleted(compile_bpf: CompileBpf) -> None:
    spec = ObjectSpec.from_file(compile_bpf(PLAIN))
    with spec.load() as live:
        assert not is_registered("skep_plain")
        with live.attach() as (link,):
            assert (link.kind, link.mechanism, link.target) == ("struct_ops", "map_value", "plain")
            transfer("skep_plain")
            assert live.variables["started"].value == 1
            assert live.variables["avoided"].value > 0
            stored = live.maps["plain"][0].data  # as the kernel's own struct has it
            assert stored.name == "skep_plain"
            assert stored.init == live.programs["on_init"].info.id
            with pytest.raises(UnsupportedError, match="is no link, so the kernel cannot replace"):
                link.update(live.programs["on_init"])
        assert link.closed
        assert not is_registered("skep_plain")
        with pytest.raises(ClosedError):
            link.fileno()


def test_closing_the_object_detaches(compile_bpf: CompileBpf) -> None:
    with ObjectSpec.from_file(compile_bpf(PLAIN)).load() as live:
        live.attach("plain")
        assert is_registered("skep_plain")
    assert not is_registered("skep_plain")


def test_a_link(compile_bpf: CompileBpf) -> None:
    need("struct_ops_link")
    with ObjectSpec.from_file(compile_bpf(LINKED)).load() as live:
        with live.attach("linked") as (link,):
            assert (link.kind, link.mechanism) == ("struct_ops", "bpf_link")
            assert link.id
            transfer("skep_linked")
            assert live.variables["started"].value == 1
        assert not is_registered("skep_linked")
        with live.attach():  # once more
            assert is_registered("skep_linked")


def test_only_an_object_makes_one(compile_bpf: CompileBpf) -> None:
    spec = ObjectSpec.from_file(compile_bpf(PLAIN))
    with pytest.raises(UnsupportedError, match="map 'plain' is a struct of operations"):
        spec.maps["plain"].create()


def test_members_are_edited(compile_bpf: CompileBpf) -> None:
    spec = ObjectSpec.from_file(compile_bpf(PLAIN))
    plain = spec.maps["plain"]
    assert isinstance(plain, StructOpsSpec)
    members = plain.members
    assert members["init"] == "on_init"
    assert members["of_the_future"] is None
    assert members["name"] == "skep_plain"
    members["name"] = "skep_renamed"
    members["init"] = spec.programs["second_init"]
    with pytest.raises(NotFoundError, match="has no member 'inot'") as caught:
        members["inot"] = None
    assert "init" in caught.value.hint
    with pytest.raises(RangeError, match="member 'flags' of map 'plain': -1 does not fit"):
        members["flags"] = -1
    with pytest.raises(TypeMismatchError, match="expected the name of a program or None, not 5"):
        members["init"] = 5
    copied = spec.copy().maps["plain"]
    assert isinstance(copied, StructOpsSpec)
    assert copied.members["init"] == "second_init"
    spec.programs["second_init"].autoload = True
    spec.programs["on_init"].autoload = False
    with spec.load() as live, live.attach():
        assert not is_registered("skep_plain")
        transfer("skep_renamed")
        assert live.variables["second_started"].value == 1
        assert live.variables["started"].value == 0


def test_a_spec_can_ask_for_a_link(compile_bpf: CompileBpf) -> None:
    need("struct_ops_link")
    spec = ObjectSpec.from_file(compile_bpf(PLAIN))
    spec.maps["plain"].flags |= MapFlags.LINK
    with spec.load() as live, live.attach() as (link,):
        assert link.mechanism == "bpf_link"
        assert is_registered("skep_plain")


def test_a_program_that_implements_nothing(compile_bpf: CompileBpf) -> None:
    spec = ObjectSpec.from_file(compile_bpf(PLAIN))
    with pytest.raises(RelocationError, match=r"'second_init' .* is in no struct of operations"):
        spec.load(programs=["second_init"])
    with spec.load() as live:
        assert list(live.programs) == ["on_init", "on_ssthresh", "on_undo", "on_avoid"]


def test_members_that_the_kernel_lacks(compile_bpf: CompileBpf) -> None:
    spec = ObjectSpec.from_file(compile_bpf(PLAIN))
    plain = spec.maps["plain"]
    assert isinstance(plain, StructOpsSpec)
    plain.members["of_the_future"] = "second_init"
    spec.programs["second_init"].autoload = True
    with spec.load() as live:  # as if it were not there
        assert "second_init" not in live.programs
        with live.attach():
            assert is_registered("skep_plain")
    plain.members["number_of_the_future"] = 1
    reason = "is set, and this kernel's struct has no such member"
    with pytest.raises(RelocationError, match=f"member 'number_of_the_future' .*{reason}") as e:
        spec.load()
    assert (e.value.field, e.value.type) == ("number_of_the_future", "tcp_congestion_ops___ours")


def test_one_program_in_two_places(compile_bpf: CompileBpf) -> None:
    spec = ObjectSpec.from_file(compile_bpf(PLAIN))
    plain = spec.maps["plain"]
    assert isinstance(plain, StructOpsSpec)
    plain.members["undo_cwnd"] = "on_ssthresh"
    spec.programs["on_undo"].autoload = False
    with pytest.raises(RelocationError, match=r"ssthresh of .* and undo_cwnd of .*only one"):
        spec.load()


def test_a_struct_with_a_question_mark_is_left_out(compile_bpf: CompileBpf) -> None:
    source = HEAD + DECLARATION + PROGRAMS + ops("?.struct_ops", "maybe")
    spec = ObjectSpec.from_file(compile_bpf(source))
    assert not spec.maps["maybe"].autocreate
    with spec.load() as live:
        assert not live.programs
        assert list(live.maps) == [".bss"]
    spec.maps["maybe"].autocreate = True
    spec.programs["second_init"].autoload = False
    with spec.load() as live, live.attach():
        assert is_registered("skep_maybe")


def test_an_unknown_interface(compile_bpf: CompileBpf) -> None:
    source = (
        HEAD
        + r"""
struct tcp_congestion_oops { void (*init)(struct sock *sk); };
SEC("struct_ops") void BPF_PROG(on_init, struct sock *sk) {}
SEC(".struct_ops") struct tcp_congestion_oops odd = { .init = (void *) on_init };
"""
    )
    spec = ObjectSpec.from_file(compile_bpf(source))
    with pytest.raises(UnsupportedError, match="implements struct tcp_congestion_oops") as caught:
        spec.load()
    assert "tcp_congestion_ops" in caught.value.hint


def test_a_member_of_another_size(compile_bpf: CompileBpf) -> None:
    source = (
        HEAD
        + r"""
struct tcp_congestion_ops { __u64 flags; char name[16]; };
SEC(".struct_ops") struct tcp_congestion_ops wide = { .flags = 1, .name = "skep_wide" };
"""
    )
    spec = ObjectSpec.from_file(compile_bpf(source))
    with pytest.raises(RelocationError, match=r"'flags' .* has 8 bytes, and 4 in this kernel"):
        spec.load()


def test_an_incomplete_struct_is_explained(compile_bpf: CompileBpf) -> None:
    spec = ObjectSpec.from_file(compile_bpf(PLAIN))
    plain = spec.maps["plain"]
    assert isinstance(plain, StructOpsSpec)
    plain.members["undo_cwnd"] = None
    with spec.load(programs=["on_init", "on_ssthresh", "on_avoid"]) as live:
        with pytest.raises(AttachError, match="finds the struct incomplete") as caught:
            live.attach()
        assert caught.value.errno == errno.EINVAL


def test_a_name_that_is_taken(compile_bpf: CompileBpf) -> None:
    spec = ObjectSpec.from_file(compile_bpf(PLAIN))
    with spec.load() as first, spec.load() as second, first.attach():
        with pytest.raises(AttachError, match="is registered already"):
            second.attach()
        transfer("skep_plain")  # the first is still there
        assert first.variables["started"].value == 1


def test_failures_of_programs_are_told_together(compile_bpf: CompileBpf) -> None:
    source = PLAIN.replace("{ return 2; }", "{ return *(int *) 8; }").replace(
        "avoided += acked;", "*(int *) 16 = 0;"
    )
    with pytest.raises(LoadErrors) as caught:
        ObjectSpec.from_file(compile_bpf(source)).load()
    names = [getattr(error, "program", "") for error in caught.value.exceptions]
    assert names == ["on_ssthresh", "on_avoid"]
