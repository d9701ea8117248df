"""Small experiments on the kernel, one per feature: each returns when the feature is there.

What is missing shows as a `KernelError` or `UnsupportedError`, a missing privilege as a
`PrivilegeError`. `skep.kernel.features` names, caches and explains them.
"""

from __future__ import annotations

from errno import EBADF, EINVAL
from struct import pack

from skep.errors import KernelError, PrivilegeError, UnsupportedError
from skep.kernel import bpf, perf
from skep.kernel.constants import AttachType, MapFlags, MapType, PerfSoftware, PerfType, ProgramType
from skep.kernel.cpus import possible_cpus
from skep.kernel.memory import Mapping
from skep.kernel.syscall import page_size

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


def memcg_accounting() -> None:
    """Find out whether BPF memory is charged to the cgroup rather than to RLIMIT_MEMLOCK.

    The change (5.11, "bpf: Eliminate rlimit-based memory accounting ...") shows nowhere in the
    interface. bpf_ktime_get_coarse_ns, helper 160, came with the same release.
    """
    _program(ProgramType.SOCKET_FILTER, insns=_call_helper(160)).close()


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
