"""What an ELF section name says about the program in it: type, attach type, target, flags.

The names are the ones every eBPF author knows from libbpf
(https://docs.kernel.org/bpf/libbpf/program_types.html), those of libbpf before 1.0 and of
cilium/ebpf included; the numbers are the kernel's.
"""

from __future__ import annotations

from skep.kernel.constants import AttachType, ProgramFlags, ProgramType, name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Row: TypeAlias = "tuple[str, ProgramType, AttachType | None, int]"

A = AttachType
P = ProgramType

# Properties of a section type, beside its numbers.
TARGET = 1  # "prefix/target"; without it, what follows the prefix says nothing
SLEEPABLE = 2
FRAGS = 4  # XDP programs that take multi-buffer packets
BTF_TARGET = 8  # the target is a kernel type or function, looked up in BTF at load time
AUTO = 16  # the section name says enough to attach the program

_TRACE = TARGET | BTF_TARGET | AUTO
_S = SLEEPABLE

_ROWS: tuple[Row, ...] = (
    ("socket", P.SOCKET_FILTER, None, 0),
    ("sk_reuseport/migrate", P.SK_REUSEPORT, A.SK_REUSEPORT_SELECT_OR_MIGRATE, 0),
    ("sk_reuseport", P.SK_REUSEPORT, A.SK_REUSEPORT_SELECT, 0),
    ("kprobe", P.KPROBE, None, TARGET | AUTO),
    ("kretprobe", P.KPROBE, None, TARGET | AUTO),
    ("kprobe.multi", P.KPROBE, A.TRACE_KPROBE_MULTI, TARGET | AUTO),
    ("kretprobe.multi", P.KPROBE, A.TRACE_KPROBE_MULTI, TARGET | AUTO),
    ("kprobe.session", P.KPROBE, A.TRACE_KPROBE_SESSION, TARGET | AUTO),
    ("uprobe", P.KPROBE, None, TARGET | AUTO),
    ("uprobe.s", P.KPROBE, None, TARGET | AUTO | _S),
    ("uretprobe", P.KPROBE, None, TARGET | AUTO),
    ("uretprobe.s", P.KPROBE, None, TARGET | AUTO | _S),
    ("uprobe.multi", P.KPROBE, A.TRACE_UPROBE_MULTI, TARGET | AUTO),
    ("uprobe.multi.s", P.KPROBE, A.TRACE_UPROBE_MULTI, TARGET | AUTO | _S),
    ("uretprobe.multi", P.KPROBE, A.TRACE_UPROBE_MULTI, TARGET | AUTO),
    ("uretprobe.multi.s", P.KPROBE, A.TRACE_UPROBE_MULTI, TARGET | AUTO | _S),
    ("uprobe.session", P.KPROBE, A.TRACE_UPROBE_SESSION, TARGET | AUTO),
    ("uprobe.session.s", P.KPROBE, A.TRACE_UPROBE_SESSION, TARGET | AUTO | _S),
    ("ksyscall", P.KPROBE, None, TARGET | AUTO),
    ("kretsyscall", P.KPROBE, None, TARGET | AUTO),
    ("usdt", P.KPROBE, None, TARGET | AUTO),
    ("usdt.s", P.KPROBE, None, TARGET | AUTO | _S),
    ("tc/ingress", P.SCHED_CLS, A.TCX_INGRESS, 0),
    ("tc/egress", P.SCHED_CLS, A.TCX_EGRESS, 0),
    ("tcx/ingress", P.SCHED_CLS, A.TCX_INGRESS, 0),
    ("tcx/egress", P.SCHED_CLS, A.TCX_EGRESS, 0),
    ("tc", P.SCHED_CLS, None, 0),
    ("classifier", P.SCHED_CLS, None, 0),
    ("action", P.SCHED_ACT, None, 0),
    ("netkit/primary", P.SCHED_CLS, A.NETKIT_PRIMARY, 0),
    ("netkit/peer", P.SCHED_CLS, A.NETKIT_PEER, 0),
    ("tracepoint", P.TRACEPOINT, None, TARGET | AUTO),
    ("tp", P.TRACEPOINT, None, TARGET | AUTO),
    ("tracepoint.s", P.TRACEPOINT, None, TARGET | AUTO | _S),
    ("tp.s", P.TRACEPOINT, None, TARGET | AUTO | _S),
    ("raw_tracepoint", P.RAW_TRACEPOINT, None, TARGET | AUTO),
    ("raw_tp", P.RAW_TRACEPOINT, None, TARGET | AUTO),
    ("raw_tracepoint.s", P.RAW_TRACEPOINT, None, TARGET | AUTO | _S),
    ("raw_tp.s", P.RAW_TRACEPOINT, None, TARGET | AUTO | _S),
    ("raw_tracepoint.w", P.RAW_TRACEPOINT_WRITABLE, None, TARGET | AUTO),
    ("raw_tp.w", P.RAW_TRACEPOINT_WRITABLE, None, TARGET | AUTO),
    ("tp_btf", P.TRACING, A.TRACE_RAW_TP, _TRACE),
    ("tp_btf.s", P.TRACING, A.TRACE_RAW_TP, _TRACE | _S),
    ("fentry", P.TRACING, A.TRACE_FENTRY, _TRACE),
    ("fmod_ret", P.TRACING, A.MODIFY_RETURN, _TRACE),
    ("fexit", P.TRACING, A.TRACE_FEXIT, _TRACE),
    ("fentry.s", P.TRACING, A.TRACE_FENTRY, _TRACE | _S),
    ("fmod_ret.s", P.TRACING, A.MODIFY_RETURN, _TRACE | _S),
    ("fexit.s", P.TRACING, A.TRACE_FEXIT, _TRACE | _S),
    ("fsession", P.TRACING, A.TRACE_FSESSION, _TRACE),
    ("fsession.s", P.TRACING, A.TRACE_FSESSION, _TRACE | _S),
    # Any number of functions, which are named when it is attached.
    ("fentry.multi", P.TRACING, A.TRACE_FENTRY_MULTI, TARGET),
    ("fentry.multi.s", P.TRACING, A.TRACE_FENTRY_MULTI, TARGET | _S),
    ("fexit.multi", P.TRACING, A.TRACE_FEXIT_MULTI, TARGET),
    ("fexit.multi.s", P.TRACING, A.TRACE_FEXIT_MULTI, TARGET | _S),
    ("fsession.multi", P.TRACING, A.TRACE_FSESSION_MULTI, TARGET),
    ("fsession.multi.s", P.TRACING, A.TRACE_FSESSION_MULTI, TARGET | _S),
    ("freplace", P.EXT, None, _TRACE),
    ("lsm", P.LSM, A.LSM_MAC, _TRACE),
    ("lsm.s", P.LSM, A.LSM_MAC, _TRACE | _S),
    ("lsm_cgroup", P.LSM, A.LSM_CGROUP, TARGET | BTF_TARGET),
    ("iter", P.TRACING, A.TRACE_ITER, _TRACE),
    ("iter.s", P.TRACING, A.TRACE_ITER, _TRACE | _S),
    ("syscall", P.SYSCALL, None, _S),
    ("xdp.frags/devmap", P.XDP, A.XDP_DEVMAP, FRAGS),
    ("xdp/devmap", P.XDP, A.XDP_DEVMAP, 0),
    ("xdp.frags/cpumap", P.XDP, A.XDP_CPUMAP, FRAGS),
    ("xdp/cpumap", P.XDP, A.XDP_CPUMAP, 0),
    ("xdp.frags", P.XDP, A.XDP, FRAGS),
    ("xdp", P.XDP, A.XDP, 0),
    ("perf_event", P.PERF_EVENT, None, 0),
    ("lwt_in", P.LWT_IN, None, 0),
    ("lwt_out", P.LWT_OUT, None, 0),
    ("lwt_xmit", P.LWT_XMIT, None, 0),
    ("lwt_seg6local", P.LWT_SEG6LOCAL, None, 0),
    ("sockops", P.SOCK_OPS, A.CGROUP_SOCK_OPS, 0),
    ("sk_skb/stream_parser", P.SK_SKB, A.SK_SKB_STREAM_PARSER, 0),
    ("sk_skb/stream_verdict", P.SK_SKB, A.SK_SKB_STREAM_VERDICT, 0),
    ("sk_skb/verdict", P.SK_SKB, A.SK_SKB_VERDICT, 0),
    ("sk_skb", P.SK_SKB, None, 0),
    ("sk_msg", P.SK_MSG, A.SK_MSG_VERDICT, 0),
    ("lirc_mode2", P.LIRC_MODE2, A.LIRC_MODE2, 0),
    ("flow_dissector", P.FLOW_DISSECTOR, A.FLOW_DISSECTOR, 0),
    ("cgroup_skb/ingress", P.CGROUP_SKB, A.CGROUP_INET_INGRESS, 0),
    ("cgroup_skb/egress", P.CGROUP_SKB, A.CGROUP_INET_EGRESS, 0),
    ("cgroup/skb", P.CGROUP_SKB, None, 0),
    ("cgroup/sock_create", P.CGROUP_SOCK, A.CGROUP_INET_SOCK_CREATE, 0),
    ("cgroup/sock_release", P.CGROUP_SOCK, A.CGROUP_INET_SOCK_RELEASE, 0),
    ("cgroup/sock", P.CGROUP_SOCK, A.CGROUP_INET_SOCK_CREATE, 0),
    ("cgroup/post_bind4", P.CGROUP_SOCK, A.CGROUP_INET4_POST_BIND, 0),
    ("cgroup/post_bind6", P.CGROUP_SOCK, A.CGROUP_INET6_POST_BIND, 0),
    ("cgroup/bind4", P.CGROUP_SOCK_ADDR, A.CGROUP_INET4_BIND, 0),
    ("cgroup/bind6", P.CGROUP_SOCK_ADDR, A.CGROUP_INET6_BIND, 0),
    ("cgroup/connect4", P.CGROUP_SOCK_ADDR, A.CGROUP_INET4_CONNECT, 0),
    ("cgroup/connect6", P.CGROUP_SOCK_ADDR, A.CGROUP_INET6_CONNECT, 0),
    ("cgroup/connect_unix", P.CGROUP_SOCK_ADDR, A.CGROUP_UNIX_CONNECT, 0),
    ("cgroup/sendmsg4", P.CGROUP_SOCK_ADDR, A.CGROUP_UDP4_SENDMSG, 0),
    ("cgroup/sendmsg6", P.CGROUP_SOCK_ADDR, A.CGROUP_UDP6_SENDMSG, 0),
    ("cgroup/sendmsg_unix", P.CGROUP_SOCK_ADDR, A.CGROUP_UNIX_SENDMSG, 0),
    ("cgroup/recvmsg4", P.CGROUP_SOCK_ADDR, A.CGROUP_UDP4_RECVMSG, 0),
    ("cgroup/recvmsg6", P.CGROUP_SOCK_ADDR, A.CGROUP_UDP6_RECVMSG, 0),
    ("cgroup/recvmsg_unix", P.CGROUP_SOCK_ADDR, A.CGROUP_UNIX_RECVMSG, 0),
    ("cgroup/getpeername4", P.CGROUP_SOCK_ADDR, A.CGROUP_INET4_GETPEERNAME, 0),
    ("cgroup/getpeername6", P.CGROUP_SOCK_ADDR, A.CGROUP_INET6_GETPEERNAME, 0),
    ("cgroup/getpeername_unix", P.CGROUP_SOCK_ADDR, A.CGROUP_UNIX_GETPEERNAME, 0),
    ("cgroup/getsockname4", P.CGROUP_SOCK_ADDR, A.CGROUP_INET4_GETSOCKNAME, 0),
    ("cgroup/getsockname6", P.CGROUP_SOCK_ADDR, A.CGROUP_INET6_GETSOCKNAME, 0),
    ("cgroup/getsockname_unix", P.CGROUP_SOCK_ADDR, A.CGROUP_UNIX_GETSOCKNAME, 0),
    ("cgroup/sysctl", P.CGROUP_SYSCTL, A.CGROUP_SYSCTL, 0),
    ("cgroup/getsockopt", P.CGROUP_SOCKOPT, A.CGROUP_GETSOCKOPT, 0),
    ("cgroup/setsockopt", P.CGROUP_SOCKOPT, A.CGROUP_SETSOCKOPT, 0),
    ("cgroup/dev", P.CGROUP_DEVICE, A.CGROUP_DEVICE, 0),
    ("struct_ops", P.STRUCT_OPS, None, TARGET),
    ("struct_ops.s", P.STRUCT_OPS, None, TARGET | _S),
    ("sk_lookup", P.SK_LOOKUP, A.SK_LOOKUP, 0),
    ("netfilter", P.NETFILTER, A.NETFILTER, 0),
    # Names that libbpf before 1.0 or cilium/ebpf know.
    ("seccomp", P.SOCKET_FILTER, None, 0),
    ("xdp_devmap", P.XDP, A.XDP_DEVMAP, 0),
    ("xdp_cpumap", P.XDP, A.XDP_CPUMAP, 0),
)

_BY_NAME: dict[str, Row] = {row[0]: row for row in _ROWS}
_PARTS = max([name.count("/") for name in _BY_NAME]) + 2
_ENDS = frozenset("0123456789_-")


class Section:
    """What a section name means.

    `name` is as written; `prefix` the part that decides; `type` and `expected_attach_type` go to
    the kernel; `attach_type` is the latter, or None where the kind of program has none (0 is
    CGROUP_INET_INGRESS too); `target` is the rest ("sched/sched_switch"); `flags` are
    `ProgramFlags`. `autoload`
    is off for a leading "?", and for names that mean nothing (type UNSPEC); `auto_attachable`
    says that the name is enough to attach by; `btf_target` that the target is in BTF.
    """

    __slots__ = (
        "attach_type", "auto_attachable", "autoload", "btf_target", "expected_attach_type",
        "flags", "name", "prefix", "sleepable", "target", "type",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        *,
        prefix: str = "",
        type: ProgramType = ProgramType.UNSPEC,
        expected_attach_type: AttachType | None = None,
        target: str = "",
        properties: int = 0,
        autoload: bool = False,
    ) -> None:
        self.name = name
        self.prefix = prefix
        self.type = type
        self.attach_type = expected_attach_type
        self.expected_attach_type = expected_attach_type or AttachType(0)
        self.target = target
        self.sleepable = bool(properties & SLEEPABLE)
        flags = ProgramFlags.SLEEPABLE if self.sleepable else ProgramFlags(0)
        self.flags = flags | ProgramFlags.XDP_HAS_FRAGS if properties & FRAGS else flags
        self.autoload = autoload
        self.btf_target = bool(properties & BTF_TARGET)
        self.auto_attachable = bool(properties & AUTO) and bool(target)

    def __repr__(self) -> str:
        return f"<Section {self.name!r}: {self.type.name.lower()} {self.target}>"


def parse_section(name: str) -> Section:
    """Say what section *name* means; type UNSPEC when it is no section name for programs.

    The longest known prefix that ends at a "/" decides. Where nothing is known to follow the
    prefix, anything may: libbpf before 1.0 took ``socket/2``, ``xdp_prog`` and ``classifier1``,
    and objects with such names are still around.
    """
    plain = name.removeprefix("?")
    row = _BY_NAME.get(plain)
    # No known prefix has more parts; a hostile name may have very many.
    prefix = plain if row is not None else "/".join(plain.split("/", _PARTS)[:_PARTS])
    while row is None and "/" in prefix:
        prefix = prefix.rpartition("/")[0]
        row = _BY_NAME.get(prefix)
    if row is None or (prefix != plain and not row[3] & TARGET):
        row = _with_suffix(plain, row)
        if row is None:
            return Section(name)
        prefix = row[0]
    _, type_, attach_type, properties = row
    target = plain[len(prefix) + 1 :] if properties & TARGET else ""
    return Section(
        name,
        prefix=prefix,
        type=type_,
        expected_attach_type=attach_type,
        target=target,
        properties=properties,
        autoload=not name.startswith("?"),
    )


def _with_suffix(plain: str, best: Row | None) -> Row | None:
    """Find a longer prefix of *plain* than *best* is, one that a digit, "_" or "-" ends."""
    for row in _ROWS:
        prefix = row[0]
        if not plain.startswith(prefix) or row[3] & TARGET:
            continue
        if plain[len(prefix) :][:1] in _ENDS and (best is None or len(prefix) > len(best[0])):
            best = row
    return best


def section_names() -> list[str]:
    """List every prefix that `parse_section` knows."""
    return list(_BY_NAME)


def attach_type_name(attach_type: AttachType | int | None) -> str:
    """Name an attach type as `enum bpf_attach_type` does, in lower case without BPF_; "" for None.

    One that is newer than skep is its number in digits.
    """
    return "" if attach_type is None else name_of(AttachType, attach_type)
