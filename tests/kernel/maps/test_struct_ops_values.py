"""Structs of operations as maps: the kernel's own record, its state and its uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from needs import need

import skep
from skep.errors import MissingKeyError
from skep.maps import Map, StructOpsMap
from skep.maps.types.struct_ops import STATES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiling import CompileBpf

SOURCE = r"""// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

struct sock;
struct tcp_sock { __u32 snd_cwnd; } SKEP_CORE;
struct tcp_congestion_ops {
	char name[16];
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
};

SEC("struct_ops") __u32 BPF_PROG(on_ssthresh, struct sock *sk) { return 2; }
SEC("struct_ops") __u32 BPF_PROG(on_undo, struct sock *sk)
{
	return ((struct tcp_sock *) sk)->snd_cwnd;
}
SEC("struct_ops") void BPF_PROG(on_avoid, struct sock *sk, __u32 ack, __u32 acked) {}

SEC("SECTION") struct tcp_congestion_ops mine = {
	.ssthresh = (void *) on_ssthresh,
	.cong_avoid = (void *) on_avoid,
	.undo_cwnd = (void *) on_undo,
	.name = "skep_values",
};
char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture
def plain(compile_bpf: CompileBpf) -> Iterator[skep.Object]:
    spec = skep.ObjectSpec.from_file(compile_bpf(SOURCE.replace("SECTION", ".struct_ops")))
    with spec.load() as live:
        yield live


def test_before_it_is_stored_there_is_none(plain: skep.Object) -> None:
    mine = plain.maps["mine"]
    assert isinstance(mine, StructOpsMap)
    assert (mine.state, mine.refcount, mine.count(), list(mine)) == ("init", 0, 0, [])
    assert (0 in mine, mine.get(0), list(mine.items()), list(mine.values())) == (
        False,
        None,
        [],
        [],
    )
    with pytest.raises(MissingKeyError, match="map 'mine' has no key 0"):
        mine[0]


def test_the_value_is_the_kernels_record(plain: skep.Object) -> None:
    mine = plain.maps["mine"]
    assert isinstance(mine, StructOpsMap)
    with plain.attach("mine")[0]:
        value = mine[0]
        assert value.data.name == "skep_values"
        assert value.data.ssthresh == plain.programs["on_ssthresh"].info.id
        assert value.data.cong_avoid == plain.programs["on_avoid"].info.id
        common = value.common if "common" in value._fields else value  # older kernels
        assert STATES[common.state] == mine.state == "in use"
        assert mine.refcount >= 1
        assert (list(mine), mine.count(), 0 in mine) == ([0], 1, True)
        assert [one.data.name for one in mine.values()] == ["skep_values"]
        with Map.from_id(mine.id) as again:
            assert isinstance(again, StructOpsMap)
            assert again.state == "in use"
            assert again[0].data.name == "skep_values"
            assert again[0].data.undo_cwnd == plain.programs["on_undo"].info.id
    assert mine.state in ("init", "to be freed")


def test_deleting_the_key_takes_it_away(plain: skep.Object) -> None:
    mine = plain.maps["mine"]
    assert isinstance(mine, StructOpsMap)
    link = plain.attach("mine")[0]
    del mine[0]
    assert mine.state != "in use"
    link.close()


def test_with_a_link_it_is_ready_before(compile_bpf: CompileBpf) -> None:
    need("struct_ops_link")
    spec = skep.ObjectSpec.from_file(compile_bpf(SOURCE.replace("SECTION", ".struct_ops.link")))
    with spec.load() as live:
        mine = live.maps["mine"]
        assert isinstance(mine, StructOpsMap)
        assert mine.state == "ready"
        assert mine[0].data.name == "skep_values"
        with live.attach("mine")[0]:
            assert mine.state == "ready"
