"""Small experiments on the kernel, one per feature: each returns when the feature is there.

What is missing shows as a `KernelError` or `UnsupportedError`, a missing privilege as a
`PrivilegeError`. `skep.kernel.features` names, caches and explains them.
"""

from __future__ import annotations

from errno import EBADF, EINVAL, ENOENT, ESRCH
from struct import pack
from sys import byteorder

from skep.errors import KernelError, PrivilegeError, UnsupportedError
from skep.kernel import bpf, perf
from skep.kernel.constants import AttachType, MapFlags, MapType, PerfSoftware, PerfType, ProgramType
from skep.kernel.cpus import possible_cpus
from skep.kernel.memory import Mapping
from skep.kernel.syscall import page_size

_NO_FD = (1 << 31) - 1
_ENOTSUPP = 524  # the kernel's own, without a name in libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.fd import FD

_RETURN_0 = pack("=QQ", 0x00B7, 0x0095)  # r0 = 0; exit


def _call_helper(number: int) -> bytes:
    """Assemble a program that calls the helper *number* and returns 0."""
    return pack("=BBhi", 0x85, 0, 0, number) + _RETURN_0


def _program(type: ProgramType, *, attach: int = 0, insns: bytes = _RETURN_0) -> FD:
    return bpf.prog_load(
        type=type, insns=insns, license="Dual BSD/GPL", expected_attach_type=attach
    )


def _missing(what: str) -> UnsupportedError:
    return UnsupportedError(what, feature=what)


def object_names() -> None:
    """Load a program with a name."""
    insns = _RETURN_0
    bpf.prog_load(
        type=ProgramType.SOCKET_FILTER, insns=insns, license="GPL", name="skep.probe"
    ).close()


def expected_attach_type() -> None:
    """Load a program of a kind that insists on the place where it is to be attached."""
    attach = AttachType.CGROUP_INET_SOCK_CREATE
    _program(ProgramType.CGROUP_SOCK, attach=attach).close()
    try:
        _program(ProgramType.CGROUP_SOCK, attach=AttachType.CGROUP_INET_EGRESS).close()
    except PrivilegeError:
        raise
    except KernelError:
        return  # looked at, and refused
    raise _missing("attach types of programs when they are loaded")


def memcg_accounting() -> None:
    """Find out whether BPF memory is charged to the cgroup rather than to RLIMIT_MEMLOCK.

    The change (5.11, "bpf: Eliminate rlimit-based memory accounting ...") shows nowhere in the
    interface. bpf_ktime_get_coarse_ns, helper 160, came with the same release.
    """
    _program(ProgramType.SOCKET_FILTER, insns=_call_helper(160)).close()


def attach_cookie() -> None:
    """Load a program that calls bpf_get_attach_cookie (helper 174)."""
    _program(ProgramType.TRACEPOINT, insns=_call_helper(174)).close()


def ringbuf() -> None:
    """Create a ring buffer of one page."""
    bpf.map_create(type=MapType.RINGBUF, key_size=0, value_size=0, max_entries=page_size).close()


def arena() -> None:
    """Create an arena of one page."""
    flags = MapFlags.MMAPABLE
    bpf.map_create(type=MapType.ARENA, key_size=0, value_size=0, max_entries=1, flags=flags).close()


def array_mmap() -> None:
    """Map the values of an array."""
    flags = MapFlags.MMAPABLE
    with (
        bpf.map_create(
            type=MapType.ARRAY, key_size=4, value_size=8, max_entries=1, flags=flags
        ) as fd,
        Mapping(fd, page_size, writable=True),
    ):
        pass


def batch(type: MapType) -> None:
    """Read a map of *type* in batches."""
    percpu = type in (MapType.PERCPU_HASH, MapType.LRU_PERCPU_HASH, MapType.PERCPU_ARRAY)
    flags = MapFlags.NO_PREALLOC if type == MapType.LPM_TRIE else MapFlags(0)
    value_size = 8 * possible_cpus() if percpu else 8
    # 8 bytes of key suit a trie too; arrays insist on 4.
    key_size = 4 if type in (MapType.ARRAY, MapType.PERCPU_ARRAY) else 8
    with bpf.map_create(
        type=type, key_size=key_size, value_size=8, max_entries=2, flags=flags
    ) as fd:
        position, keys, values = bytearray(8), bytearray(2 * key_size), bytearray(2 * value_size)
        bpf.map_lookup_batch(fd, None, position, keys, values, 2)


# A tracepoint of every kernel (include/trace/events/sched.h) that is rarely hit; the program on
# it returns at once.
_TRACEPOINT = "sched_process_exec"


def raw_tp() -> None:
    """Attach a program to a raw tracepoint."""
    with _program(ProgramType.RAW_TRACEPOINT) as prog, bpf.raw_tracepoint_open(prog, _TRACEPOINT):
        pass


def raw_tp_cookie() -> None:
    """Attach with a cookie, which older kernels take for garbage after the attribute."""
    with (
        _program(ProgramType.RAW_TRACEPOINT) as prog,
        bpf.raw_tracepoint_open(prog, _TRACEPOINT, cookie=1),
    ):
        pass


def _tracing(attach: AttachType, complaint: bytes) -> None:
    """Load a tracing program at BTF type 1, an int: the kernel must get as far as refusing that.

    A real target would take a walk through the kernel's BTF; whether the kernel looks at the
    target's kind is the same question.
    """
    log = bytearray(4096)
    try:
        fd = bpf.prog_load(
            type=ProgramType.TRACING,
            insns=_RETURN_0,
            license="GPL",
            expected_attach_type=attach,
            attach_btf_id=1,
            log_level=1,
            log_buffer=log,
        )
    except KernelError as error:
        if error.errno == EINVAL and complaint in log:
            return
        raise
    fd.close()


def tp_btf() -> None:
    """Ask for a BTF-typed tracepoint: "attach_btf_id 1 is not a typedef"."""
    _tracing(AttachType.TRACE_RAW_TP, b"is not a typedef")


def fentry() -> None:
    """Ask for a function entry: "attach_btf_id 1 is not a function"."""
    _tracing(AttachType.TRACE_FENTRY, b"is not a function")


def perf_event_link() -> None:
    """Link a program to a software event of this thread that never starts, with a cookie."""
    attr = perf.PerfEventAttr(
        type=PerfType.SOFTWARE, config=PerfSoftware.DUMMY, period=1, disabled=True
    )
    with (
        perf.perf_event_open(attr, pid=0, what="software event") as event,
        _program(ProgramType.PERF_EVENT) as prog,
        bpf.link_create_perf_event(prog, event, cookie=1),
    ):
        pass


def uprobe() -> None:
    """Find the event type of user-space probes and its fields."""
    perf.pmu_type("uprobe")
    perf.pmu_format_bit("uprobe", "retprobe")
    perf.pmu_format_bit("uprobe", "ref_ctr_offset")


def _uprobe_multi_errno(attach: AttachType, pid: int = 0) -> int:
    """Attach to "/", which is no file, and return the errno of the refusal."""
    with _program(ProgramType.KPROBE, attach=attach) as prog:
        try:
            link = bpf.link_create_uprobe_multi(prog, "/", [1], pid=pid, attach_type=attach)
        except PrivilegeError:
            raise
        except KernelError as error:
            if error.errno == EBADF:
                return EBADF
            if error.errno == EINVAL and pid:
                return EINVAL
            raise
        link.close()
    raise _missing("a refusal of uprobes on a directory")


def uprobe_multi() -> None:
    """EBADF: the kernel knows the link and looked at the path; EINVAL when it does not."""
    _uprobe_multi_errno(AttachType.TRACE_UPROBE_MULTI)


def uprobe_multi_pid() -> None:
    """See whether `pid` means the process, as it should.

    It meant one thread from 6.6 until "bpf: Fix multi-uprobe PID filtering logic" (6.10 and
    stable releases), which also began to refuse negative pids before looking at the path.
    """
    uprobe_multi()
    if _uprobe_multi_errno(AttachType.TRACE_UPROBE_MULTI, 0xFFFFFFFF) != EINVAL:
        raise _missing("uprobe_multi on all threads of a process")


def uprobe_session() -> None:
    """As `uprobe_multi`."""
    _uprobe_multi_errno(AttachType.TRACE_UPROBE_SESSION)


def _kprobe_multi(attach: AttachType) -> None:
    """Attach to a function that does not exist: a kernel that knows how looks for it."""
    with _program(ProgramType.KPROBE, attach=attach) as prog:
        try:
            bpf.link_create_kprobe_multi(prog, symbols=["skep_probe_"], attach_type=attach).close()
        except KernelError as error:
            # ESRCH since "kallsyms: Fully export ftrace_lookup_symbols" (5.19), ENOENT in between.
            if error.errno not in (ESRCH, ENOENT):
                raise


def kprobe_multi() -> None:
    """EINVAL where it is unknown, EOPNOTSUPP in a kernel built without CONFIG_FPROBE."""
    _kprobe_multi(AttachType.TRACE_KPROBE_MULTI)


def kprobe_session() -> None:
    """As `kprobe_multi`."""
    _kprobe_multi(AttachType.TRACE_KPROBE_SESSION)


def netfilter() -> None:
    """Load a program for netfilter hooks, which returns NF_DROP."""
    _program(ProgramType.NETFILTER, attach=AttachType.NETFILTER).close()


def cgroup_unix() -> None:
    """Load a program for connections to UNIX sockets, which lets them happen."""
    attach = AttachType.CGROUP_UNIX_CONNECT
    insns = pack("=QQ", 0x1000000B7, 0x0095)  # r0 = 1; exit
    _program(ProgramType.CGROUP_SOCK_ADDR, attach=attach, insns=insns).close()


def cgroup_storage() -> None:
    """Create a storage of control groups, which needs key and value types.

    Without them a kernel that knows the map type says EINVAL as well, so the helper of the same
    release (bpf_cgrp_storage_get, 210) is asked for.
    """
    helper(ProgramType.TRACEPOINT, 210)


def helper(type: ProgramType, number: int) -> None:
    """Load a program that calls a helper without arguments: the verifier must know the helper."""
    log = bytearray(1 << 14)
    try:
        fd = bpf.prog_load(
            type=type, insns=_call_helper(number), license="GPL", log_level=1, log_buffer=log
        )
    except KernelError as error:
        # "invalid func unknown#210", "unknown func name#210", or "program of this type cannot ..."
        if b"nvalid func" in log or b"unknown func" in log or b"cannot use helper" in log:
            raise _missing(f"helper {number}") from error
        if b"R1" not in log and b"R2" not in log:
            raise
        return
    fd.close()


def cpu_v4() -> None:
    """Load a sign-extending move, r0 = (s8) r0, of the instruction set's fourth version."""
    insns = pack("=BBhiBBhi", 0xB7, 0, 0, 0, 0xBF, 0, 8, 0) + _RETURN_0
    _program(ProgramType.SOCKET_FILTER, insns=insns).close()


def may_goto() -> None:
    """Load a program with a may_goto over one instruction (Linux 6.12 takes no distance of 0)."""
    insns = pack("=BBhi", 0xE5, 0, 1, 0) + _RETURN_0[:8] + _RETURN_0
    _program(ProgramType.SOCKET_FILTER, insns=insns).close()


def load_acquire() -> None:
    """Load a program that stores a zero on its stack and loads it with load-acquire."""
    r10_is_dst, r10_is_src = (0x0A, 0xA0) if byteorder == "little" else (0xA0, 0x0A)
    insns = pack("=BBhiBBhi", 0x7A, r10_is_dst, -8, 0, 0xDB, r10_is_src, -8, 0x100)
    _program(ProgramType.SOCKET_FILTER, insns=insns + _RETURN_0).close()


# BTF kinds, include/uapi/linux/btf.h
_INT, _PTR, _FUNC, _FUNC_PROTO, _VAR, _DATASEC = 1, 2, 12, 13, 14, 15
_FLOAT, _DECL_TAG, _TYPE_TAG, _ENUM64 = 16, 17, 18, 19


def _type(kind: int, name: int, size_or_type: int, *rest: int, vlen: int = 0) -> bytes:
    words = (name, kind << 24 | vlen, size_or_type, *(word & 0xFFFFFFFF for word in rest))
    return pack(f"={len(words)}I", *words)


def _load_btf(*types: bytes) -> None:
    """Load type 1, an int of 4 bytes named "a", and *types* after it (names: "a" 1, ".b" 3)."""
    body = _type(_INT, 1, 4, 1 << 24 | 32) + b"".join(types)
    strings = b"\0a\0.b\0"
    header = pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(body), len(body), len(strings))
    bpf.btf_load(header + body + strings).close()


def btf_func() -> None:
    """Load a static function."""
    _load_btf(_type(_FUNC_PROTO, 0, 0), _type(_FUNC, 1, 2))


def btf_global_func() -> None:
    """Load a function that says it is global."""
    _load_btf(_type(_FUNC_PROTO, 0, 0), _type(_FUNC, 1, 2, vlen=1))


def btf_datasec() -> None:
    """Load a section with one variable."""
    _load_btf(_type(_VAR, 1, 1, 0), _type(_DATASEC, 3, 4, 2, 0, 4, vlen=1))


def btf_float() -> None:
    """Load a float of 4 bytes."""
    _load_btf(_type(_FLOAT, 1, 4))


def btf_decl_tag() -> None:
    """Load a tag on a variable."""
    _load_btf(_type(_VAR, 1, 1, 0), _type(_DECL_TAG, 1, 2, -1))


def btf_type_tag() -> None:
    """Load a tag on what a pointer points to."""
    _load_btf(_type(_TYPE_TAG, 1, 1), _type(_PTR, 0, 2))


def btf_enum64() -> None:
    """Load an enum of 8 bytes."""
    _load_btf(_type(_ENUM64, 0, 8, 1, 0, 1, vlen=1))


def token() -> None:
    """Ask for a token from no descriptor: EBADF where the command is known, else EINVAL."""
    try:
        bpf.token_create(_NO_FD).close()
    except KernelError as error:
        if error.errno != EBADF:
            raise


def struct_ops_link() -> None:
    """Create a struct of operations of type 1, an int: ENOTSUPP where the flag LINK is known."""
    try:
        bpf.map_create(
            type=MapType.STRUCT_OPS,
            key_size=4,
            value_size=8,
            max_entries=1,
            flags=MapFlags.LINK,
            btf_vmlinux_value_type_id=1,
        ).close()
    except KernelError as error:
        if error.errno != _ENOTSUPP:
            raise
