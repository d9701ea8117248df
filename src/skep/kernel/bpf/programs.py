"""Commands of bpf(2) on programs."""

from __future__ import annotations

from errno import EAGAIN
from struct import Struct, unpack_from

from skep.errors import RangeError
from skep.kernel.bpf.call import NR, TOKEN_FD, bpf, failure, name_field, number_of, readable
from skep.kernel.fd import FD
from skep.kernel.native import address_of, c_int, create_string_buffer, get_errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from skep.kernel.native import AnyBuffer

_LOAD = 5
_ATTACH = 8
_DETACH = 9
_TEST_RUN = 10
_BIND_MAP = 35

_load_attr = Struct("=IIQQIIQII16sIIIIQIIQIIIIQQIIiI").pack
_LOAD_SIZE = 152
_LOG_TRUE_SIZE = 140
_test_attr = Struct("=IIIIQQIIIIQQIIII").pack
_TEST_SIZE = 80

_ATTEMPTS = 5


def prog_load(
    *,
    type: int,
    insns: bytes,
    license: str,
    name: str = "",
    expected_attach_type: int = 0,
    attach_btf_id: int = 0,
    attach_btf_obj_fd: FD | int | None = None,
    attach_prog_fd: FD | int | None = None,
    btf_fd: FD | int | None = None,
    func_info: bytes = b"",
    func_info_rec_size: int = 0,
    line_info: bytes = b"",
    line_info_rec_size: int = 0,
    flags: int = 0,
    kern_version: int = 0,
    fd_array: Sequence[FD | int] = (),
    ifindex: int = 0,
    log_level: int = 0,
    log_buffer: bytearray | None = None,
    token_fd: FD | int | None = None,
) -> FD:
    """BPF_PROG_LOAD: verify and load a program, and return its descriptor.

    *insns* is the code, 8 bytes an instruction in the host's byte order (`RangeError` when the
    length is not a multiple). *log_buffer* (at least 128 bytes, with *log_level* 1, 2 or 4)
    receives the verifier's log as NUL-terminated text, on success as well.

    A refusal is a `KernelError`; EACCES and EINVAL are mostly the verifier's, so read the log.
    Its `log_true_size` is the number of bytes the whole log needs (Linux 6.4, "bpf: Return size
    of verifier log back to user space"; 0 before), and ENOSPC says that the buffer was smaller.
    The verifier gives up with EAGAIN when a signal arrives; that is retried (up to 5 times,
    Python's handlers run in between).
    """
    if len(insns) % 8 or not insns:
        message = f"program {name!r}: {len(insns)} bytes are no instructions of 8 bytes each"
        raise RangeError(message, name=name)
    if token_fd is not None:
        flags |= TOKEN_FD
    insns = bytes(insns)
    license_text = license.encode() + b"\0"
    func_info, line_info = bytes(func_info), bytes(line_info)
    array = (c_int * len(fd_array))(*[number_of(fd) for fd in fd_array])
    attr = create_string_buffer(
        _load_attr(
            type,
            len(insns) // 8,
            address_of(insns),
            address_of(license_text),
            log_level,
            0 if log_buffer is None else len(log_buffer),
            0 if log_buffer is None else address_of(log_buffer),
            kern_version,
            flags,
            name_field(name),
            ifindex,
            expected_attach_type,
            number_of(btf_fd),
            func_info_rec_size if func_info else 0,
            address_of(func_info),
            len(func_info) // func_info_rec_size if func_info else 0,
            line_info_rec_size if line_info else 0,
            address_of(line_info),
            len(line_info) // line_info_rec_size if line_info else 0,
            attach_btf_id,
            # One field for both: attach_prog_fd and attach_btf_obj_fd.
            number_of(attach_prog_fd if attach_prog_fd is not None else attach_btf_obj_fd),
            0,
            address_of(array),
            0,
            0,
            0,
            number_of(token_fd),
            0,
        ),
        _LOAD_SIZE,
    )
    what = f"program {name!r}" if name else "an unnamed program"
    for _ in range(_ATTEMPTS):
        number = bpf(NR, _LOAD, attr, _LOAD_SIZE)
        if number >= 0:
            return FD(number, what)
        code = get_errno()
        if code != EAGAIN:
            break
    (log_true_size,) = unpack_from("=I", attr, _LOG_TRUE_SIZE)
    raise failure(_LOAD, what, code, name=name, type=type, log_true_size=log_true_size)


class TestRun(tuple[int, int, bytes, bytes]):
    """What BPF_PROG_TEST_RUN gave: (retval, duration_ns, data_out, ctx_out).

    *duration_ns* is the mean of one run, in nanoseconds; 0 for kinds that are not timed.
    """

    __slots__ = ()
    __test__ = False  # the name is the kernel's; pytest must not collect it

    @property
    def retval(self) -> int:
        """The program's return value, unsigned 32 bits."""
        return self[0]

    @property
    def duration_ns(self) -> int:
        """Mean nanoseconds of one run."""
        return self[1]

    @property
    def data_out(self) -> bytes:
        """The packet after the program."""
        return self[2]

    @property
    def ctx_out(self) -> bytes:
        """The context after the program."""
        return self[3]


def prog_test_run(
    fd: FD,
    *,
    data_in: AnyBuffer = b"",
    data_out_size: int = 0,
    ctx_in: AnyBuffer = b"",
    ctx_out_size: int = 0,
    repeat: int = 1,
    flags: int = 0,
    cpu: int = 0,
    batch_size: int = 0,
) -> TestRun:
    """BPF_PROG_TEST_RUN: run a loaded program on given data, *repeat* times.

    *flags* are `TestRunFlags`; *cpu* counts with RUN_ON_CPU, *batch_size* with XDP_LIVE_FRAMES.
    `KernelError` with ENOTSUPP (524) for kinds that cannot be run this way (tracepoint, kprobe,
    perf_event) and ENOSPC when an output needs more bytes than its size. The kernel gives up
    with EINTR when a signal arrives in a long repetition; that is raised, not retried.
    """
    data_in, ctx_in = readable(data_in), readable(ctx_in)
    data_out, ctx_out = bytearray(data_out_size), bytearray(ctx_out_size)
    attr = create_string_buffer(
        _test_attr(
            fd.fileno(),
            0,
            len(data_in),
            data_out_size,
            address_of(data_in),
            address_of(data_out),
            # 0 and 1 mean the same, but raw tracepoints and syscall programs refuse 1.
            0 if repeat == 1 else repeat,
            0,
            len(ctx_in),
            ctx_out_size,
            address_of(ctx_in),
            address_of(ctx_out),
            flags,
            cpu,
            batch_size,
            0,
        ),
        _TEST_SIZE,
    )
    if bpf(NR, _TEST_RUN, attr, _TEST_SIZE) != 0:
        raise failure(_TEST_RUN, fd)
    (retval,) = unpack_from("=I", attr, 4)
    (data_size,) = unpack_from("=I", attr, 12)
    (duration,) = unpack_from("=I", attr, 36)
    (ctx_size,) = unpack_from("=I", attr, 44)
    return TestRun((retval, duration, bytes(data_out[:data_size]), bytes(ctx_out[:ctx_size])))


def prog_attach(
    prog: FD, target: FD | int, attach_type: int, *, flags: int = 0, replace: FD | None = None
) -> None:
    """BPF_PROG_ATTACH: attach without a link; stays until `prog_detach` or the target's end.

    *target* is a cgroup, a sock map or 0 (the network namespace). Prefer links where they exist.
    """
    attr = _attach_attr(number_of(target), prog.fileno(), attach_type, flags, number_of(replace))
    if bpf(NR, _ATTACH, attr, len(attr)) != 0:
        raise failure(_ATTACH, prog, attach_type=attach_type)


def prog_detach(prog: FD | None, target: FD | int, attach_type: int) -> None:
    """BPF_PROG_DETACH: undo `prog_attach`."""
    attr = _attach_attr(number_of(target), number_of(prog), attach_type, 0, 0)
    if bpf(NR, _DETACH, attr, len(attr)) != 0:
        raise failure(_DETACH, prog or "a program")


_attach_attr = Struct("=5I").pack
_bind_attr = Struct("=III").pack


def prog_bind_map(prog: FD, map: FD) -> None:
    """BPF_PROG_BIND_MAP: keep *map* alive as long as *prog* is (Linux 5.10)."""
    attr = _bind_attr(prog.fileno(), map.fileno(), 0)
    if bpf(NR, _BIND_MAP, attr, len(attr)) != 0:
        raise failure(_BIND_MAP, prog)
