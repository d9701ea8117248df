"""Program types of the network and of control groups, by their section names."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from corpus_case import Case
from corpus_network import (
    binds,
    congestion,
    connects_by_path,
    connects_elsewhere,
    diverted,
    filtered,
    in_cgroup,
    in_maps,
    makes_a_connection,
    opens_devices,
    reads_a_sysctl,
    sends_elsewhere,
    shared_port,
    uses_an_option,
)
from corpus_steps import info, not_loaded, run

if TYPE_CHECKING:
    from corpus_case import Step

    import skep

IPV6 = bytes(12) + b"\x86\xdd" + bytes(50)
IPV4 = bytes(12) + b"\x08\x00\x45" + bytes(59)
SK_BUFF = 192  # bytes of struct __sk_buff
MARK, PRIORITY, CB = 8, 32, 48  # offsets in it


def _field(program: str, offset: int, value: int, *, mark: int = 0) -> Step:
    """Test-run *program* with a context and compare one word of what it leaves in it."""

    def step(live: skep.Object) -> None:
        context = bytearray(SK_BUFF)
        struct.pack_into("=I", context, MARK, mark)
        left = live.programs[program].test_run(ctx=context).ctx_out
        assert struct.unpack_from("=I", left, offset)[0] == value

    return step


def _lookup(port: int) -> bytes:
    """Make a struct bpf_sk_lookup: no cookie, IPv4, TCP, from 127.0.0.1:1 to 127.0.0.1:*port*."""
    local = int.from_bytes(b"\x7f\0\0\1", "little")
    return struct.pack(
        "=QIII16sHHI16sII4x", 0, 2, 6, local, bytes(16), 256, 0, local, bytes(16), port, 0
    )


def _flow(live: skep.Object) -> None:
    # struct bpf_flow_keys: ip_proto is byte 9, the ports follow n_proto.
    keys = live.programs["dissects"].test_run(IPV4).data_out
    assert struct.unpack_from("=BHHH", keys, 9)[0] == 17
    assert struct.unpack_from("=HHH", keys, 10) == (8, 0x1111, 0x2222)


def _multi(live: skep.Object) -> None:
    result = live.programs["lengths"].test_run(bytes(9000), data_out_size=9000)
    assert result.retval == 2
    assert 0 < live.variables["linear"].value < 9000


CASES = [
    Case(
        "section_socket",
        "section socket",
        run("half", returns=25),  # without the 14 bytes of the Ethernet header
        run("numbered", data=IPV6, returns=2),
        run("numbered", data=IPV4, returns=3),
    ),
    Case(
        "section_xdp",
        "section xdp",
        run("by_type", data=IPV6, returns=1),
        run("by_type", data=IPV4, returns=2),
    ),
    Case("section_xdp_frags", "section xdp.frags", _multi, variables={"whole": 9000}),
    Case(
        "section_xdp_maps",
        "sections xdp/devmap, xdp/cpumap",
        in_maps,
        run("redirects", returns=4),
    ),
    Case(
        "section_tc",
        "sections tc, classifier, action",
        run("marks", returns=1),
        run("classifies", returns=2),
        run("acts", returns=3),
        _field("marks", MARK, 77),
        _field("classifies", PRIORITY, 11, mark=10),
        _field("acts", CB, 64),
    ),
    Case(
        "section_tcx",
        "sections tcx/*, tc/*, netkit/*",
        *[
            run(name, returns=number)
            for number, name in enumerate(("in", "out", "in_short", "primary", "peer"), 1)
        ],
    ),
    Case(
        "section_cgroup_skb",
        "section cgroup_skb/*",
        run("in", returns=0),
        run("out", returns=1),
        run("any", returns=1),
        run("in", data=bytes(100), returns=1),
        run("out", data=bytes(100), returns=0),
    ),
    Case(
        "section_cgroup_connect",
        "sections cgroup/connect4, getpeername4",
        in_cgroup("redirects", "hides", act=connects_elsewhere),
    ),
    Case(
        "section_cgroup_sendmsg",
        "sections cgroup/sendmsg4, recvmsg4",
        in_cgroup("sends", "receives", act=sends_elsewhere),
    ),
    Case(
        "section_cgroup_bind",
        "sections cgroup/sock_create, bind4, post_bind4",
        in_cgroup("creates", "binds", "is_bound", act=binds),
        variables={"created": 2, "bound": 1},
    ),
    Case(
        "section_cgroup_unix",
        "section cgroup/connect_unix",
        in_cgroup("counts", act=connects_by_path),
        variables={"connections": 1},
        needs=("cgroup_unix",),
    ),
    Case(
        "section_cgroup_sockopt",
        "sections cgroup/getsockopt, setsockopt",
        in_cgroup("set", "get", act=uses_an_option),
        variables={"stored": 41},
    ),
    Case(
        "section_cgroup_sysctl",
        "section cgroup/sysctl",
        in_cgroup("sees", act=reads_a_sysctl),
        variables={"name": "kernel/ostype", "value": "Linux\n", "writes": 0},
    ),
    Case(
        "section_cgroup_dev",
        "section cgroup/dev",
        in_cgroup("full", act=opens_devices),
        variables={"asked": 2},
    ),
    Case(
        "section_sockops",
        "section sockops",
        in_cgroup("told", act=makes_a_connection),
        variables={
            "active": 1,
            "passive": 1,
            "remote": int.from_bytes(b"\x7f\0\0\1", "little"),
        },
    ),
    Case("section_sk_msg", "section sk_msg", diverted, variables={"size": 8}),
    Case("section_sk_skb", "section sk_skb/*", filtered, variables={"dropped": 1}),
    Case(
        "section_sk_lookup",
        "section sk_lookup",
        run("by_port", ctx=_lookup(7), returns=0),
        run("by_port", ctx=_lookup(8), returns=1),
    ),
    Case("section_sk_reuseport", "section sk_reuseport", shared_port, variables={"asked": 3}),
    Case("section_flow_dissector", "section flow_dissector", _flow),
    Case(
        "section_netfilter",
        "section netfilter",
        run("accepts", data=IPV4, returns=1),
        needs=("netfilter",),
    ),
    Case(
        "section_lwt",
        "sections lwt_*",
        run("in", returns=2),
        run("out", returns=0),
        run("xmit", returns=7),
        info("local", kind="lwt_seg6local"),
    ),
    Case(
        "section_struct_ops",
        "section .struct_ops: TCP congestion control",
        congestion(b"skep_corpus"),
        variables={"started": 1},
    ),
    Case(
        "section_struct_ops_link",
        "section .struct_ops.link",
        congestion(b"skep_linked"),
        variables={"started": 1},
        needs=("struct_ops_link",),
    ),
    Case(
        "section_optional",
        'section with "?"',
        run("good", returns=0),
        not_loaded("bad"),
        variables={"ran": 1},
    ),
    Case(
        "section_unknown",
        "section that means nothing",
        run("known", returns=0),
        not_loaded("unknown"),
        variables={"ran": 1},
    ),
]
