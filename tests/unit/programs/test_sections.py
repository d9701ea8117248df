from __future__ import annotations

import pytest

from skep.kernel.constants import AttachType, ProgramFlags, ProgramType
from skep.programs.sections import attach_type_name, parse_section, section_names

A, P = AttachType, ProgramType


@pytest.mark.parametrize(
    ("name", "kind", "attach", "target"),
    [
        ("socket", P.SOCKET_FILTER, 0, ""),
        ("socket/2", P.SOCKET_FILTER, 0, ""),
        ("kprobe/do_unlinkat", P.KPROBE, 0, "do_unlinkat"),
        ("kprobe", P.KPROBE, 0, ""),
        ("kretprobe.multi/tcp_*", P.KPROBE, A.TRACE_KPROBE_MULTI, "tcp_*"),
        ("uprobe//bin/bash:readline", P.KPROBE, 0, "/bin/bash:readline"),
        ("uprobe/libc.so.6:malloc+4", P.KPROBE, 0, "libc.so.6:malloc+4"),
        ("uretprobe.multi.s/c:*", P.KPROBE, A.TRACE_UPROBE_MULTI, "c:*"),
        ("usdt//bin/x:p:n", P.KPROBE, 0, "/bin/x:p:n"),
        ("tc", P.SCHED_CLS, 0, ""),
        ("tc/ingress", P.SCHED_CLS, A.TCX_INGRESS, ""),
        ("tcx/egress", P.SCHED_CLS, A.TCX_EGRESS, ""),
        ("classifier/x", P.SCHED_CLS, 0, ""),
        ("tp/sched/sched_switch", P.TRACEPOINT, 0, "sched/sched_switch"),
        ("raw_tp/sched_switch", P.RAW_TRACEPOINT, 0, "sched_switch"),
        ("raw_tracepoint.w/x", P.RAW_TRACEPOINT_WRITABLE, 0, "x"),
        ("tp_btf/sched_switch", P.TRACING, A.TRACE_RAW_TP, "sched_switch"),
        ("fexit.s/do_x", P.TRACING, A.TRACE_FEXIT, "do_x"),
        ("lsm_cgroup/socket_bind", P.LSM, A.LSM_CGROUP, "socket_bind"),
        ("iter/task", P.TRACING, A.TRACE_ITER, "task"),
        ("xdp", P.XDP, A.XDP, ""),
        ("xdp.frags/devmap", P.XDP, A.XDP_DEVMAP, ""),
        ("perf_event", P.PERF_EVENT, 0, ""),
        ("sk_skb/stream_verdict", P.SK_SKB, A.SK_SKB_STREAM_VERDICT, ""),
        ("sk_skb/other", P.SK_SKB, 0, ""),
        ("cgroup_skb/egress", P.CGROUP_SKB, A.CGROUP_INET_EGRESS, ""),
        ("cgroup/getsockname_unix", P.CGROUP_SOCK_ADDR, A.CGROUP_UNIX_GETSOCKNAME, ""),
        ("cgroup/sock", P.CGROUP_SOCK, A.CGROUP_INET_SOCK_CREATE, ""),
        ("struct_ops/init", P.STRUCT_OPS, 0, "init"),
        ("syscall", P.SYSCALL, 0, ""),
        ("netfilter", P.NETFILTER, A.NETFILTER, ""),
    ],
)
def test_meaning(name: str, kind: ProgramType, attach: int, target: str) -> None:
    section = parse_section(name)
    assert (section.type, section.expected_attach_type, section.target) == (kind, attach, target)
    assert section.autoload


@pytest.mark.parametrize(
    "name",
    [
        "",
        "nonsense",
        "nonsense/x",
        "cgroup",
        "kprobes/x",
        "kprobe_x",
        "kprobe.s/x",
        "fentry1",
        "xdpx",
        "xdp.x",
        "sockets",
        "tcx/x",
        "cgroup/x",
        ".text",
        "?",
        "??xdp",
        "XDP",
        "xdp ",
    ],
)
def test_other_names_mean_nothing(name: str) -> None:
    section = parse_section(name)
    assert section.type == ProgramType.UNSPEC
    assert not section.autoload


@pytest.mark.parametrize(
    ("name", "kind", "attach"),
    [
        ("socket1", P.SOCKET_FILTER, 0),
        ("xdp_prog", P.XDP, A.XDP),
        ("xdp1/x", P.XDP, A.XDP),
        ("xdp_devmap/map", P.XDP, A.XDP_DEVMAP),
        ("xdp/devmap_x", P.XDP, A.XDP_DEVMAP),
        ("xdp.frags_x", P.XDP, A.XDP),
        ("classifier-1", P.SCHED_CLS, 0),
        ("sk_skb/stream_parser1", P.SK_SKB, A.SK_SKB_STREAM_PARSER),
        ("sk_skb/prog1", P.SK_SKB, 0),
        ("cgroup/connect4_prog", P.CGROUP_SOCK_ADDR, A.CGROUP_INET4_CONNECT),
        ("cgroup/sock_create_x", P.CGROUP_SOCK, A.CGROUP_INET_SOCK_CREATE),
        ("cgroup/sock_x", P.CGROUP_SOCK, A.CGROUP_INET_SOCK_CREATE),
    ],
)
def test_names_of_old_objects(name: str, kind: ProgramType, attach: int) -> None:
    section = parse_section(name)
    assert (section.type, section.expected_attach_type, section.target) == (kind, attach, "")
    assert section.autoload


def test_no_attach_type_is_not_number_zero() -> None:
    """CGROUP_INET_INGRESS is 0, which the kernel gets for every type without one, too."""
    ingress, probe = parse_section("cgroup_skb/ingress"), parse_section("kprobe/x")
    assert ingress.expected_attach_type == probe.expected_attach_type == 0
    assert attach_type_name(ingress.attach_type) == "cgroup_inet_ingress"
    assert attach_type_name(probe.attach_type) == ""
    assert attach_type_name(9999) == "9999"


def test_a_question_mark_leaves_the_program_out() -> None:
    section = parse_section("?fentry/do_x")
    assert section.type == ProgramType.TRACING
    assert section.target == "do_x"
    assert not section.autoload


def test_flags() -> None:
    assert parse_section("fentry.s/x").flags == ProgramFlags.SLEEPABLE
    assert parse_section("uprobe.session.s/a:b").flags == ProgramFlags.SLEEPABLE
    assert parse_section("syscall").flags == ProgramFlags.SLEEPABLE
    assert parse_section("xdp.frags").flags == ProgramFlags.XDP_HAS_FRAGS
    assert parse_section("xdp").flags == 0


def test_only_a_section_with_a_target_attaches_by_itself() -> None:
    assert parse_section("tp/sched/sched_switch").auto_attachable
    assert parse_section("uprobe/c:malloc").auto_attachable
    for name in ("uprobe", "kprobe", "perf_event", "xdp", "socket", "cgroup/dev"):
        assert not parse_section(name).auto_attachable, name


def test_only_types_in_btf_are_looked_up() -> None:
    wanted = {name for name in section_names() if parse_section(f"{name}/x").btf_target}
    tracing = {"tp_btf", "fentry", "fexit", "fmod_ret", "fsession", "iter", "lsm"}
    sleepable = {f"{name}.s" for name in tracing}
    assert wanted == tracing | sleepable | {"lsm_cgroup", "freplace"}


def test_every_name_parses_to_itself() -> None:
    names = section_names()
    assert len(names) > 95
    for name in names:
        assert parse_section(name).prefix == name
