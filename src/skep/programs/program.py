"""`Program`: a program in the kernel."""

from __future__ import annotations

from skep.errors import UnsupportedError
from skep.kernel import bpf
from skep.kernel.constants import AttachType, ProgramType, name_of
from skep.owner import Closing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.bpf import TestRun
    from skep.kernel.bpf.info import ProgramInfo
    from skep.kernel.fd import FD
    from skep.maps.map import Map
    from skep.programs.spec import ProgramSpec

# Kinds whose test run takes a packet; the kernel wants an Ethernet header at least.
_PACKETS = frozenset(
    {
        ProgramType.SOCKET_FILTER,
        ProgramType.SCHED_CLS,
        ProgramType.SCHED_ACT,
        ProgramType.XDP,
        ProgramType.CGROUP_SKB,
        ProgramType.LWT_IN,
        ProgramType.LWT_OUT,
        ProgramType.LWT_XMIT,
        ProgramType.LWT_SEG6LOCAL,
        ProgramType.FLOW_DISSECTOR,
        ProgramType.NETFILTER,
    }
)


class Program(Closing):
    """A loaded program: owns its descriptor, and is a context manager that closes it.

    `spec` is what it was made from; `name`, `section`, `type`, `expected_attach_type` and
    `attach_to` are the spec's. A program stays in the kernel while it is open, attached or pinned.
    Methods may be called from several threads; `close()` is the owner's. `maps` are the maps that
    were created for the program alone, when it was loaded without an object; they are closed with
    it.
    """

    __slots__ = (
        "attach_to",
        "expected_attach_type",
        "fd",
        "maps",
        "name",
        "section",
        "spec",
        "type",
    )

    fd: FD
    name: str
    section: str
    type: ProgramType
    expected_attach_type: AttachType
    attach_to: str

    def __init__(self, fd: FD, spec: ProgramSpec) -> None:
        self.fd = fd
        self.maps: dict[str, Map] = {}
        self.spec = spec
        self.name = spec.name
        self.section = spec.section
        self.type = spec.type
        self.expected_attach_type = spec.expected_attach_type
        self.attach_to = spec.attach_to

    def __repr__(self) -> str:
        state = "closed" if self.fd.closed else name_of(ProgramType, self.type)
        section = f" ({self.section})" if self.section else ""
        return f"<Program {self.name!r}{section}: {state}>"

    def fileno(self) -> int:
        """Return the descriptor's number; `ClosedError` after `close()`."""
        return self.fd.fileno()

    @property
    def info(self) -> ProgramInfo:
        """What the kernel says now: id, tag, verified_instructions, run_time_ns, run_cnt, ...

        Asked anew each time. Raises `KernelError`, `ClosedError`.
        """
        return bpf.prog_info(self.fd)

    def test_run(
        self,
        data: bytes | bytearray | memoryview | None = None,
        *,
        ctx: bytes | bytearray | memoryview = b"",
        repeat: int = 1,
        data_out_size: int | None = None,
        flags: int = 0,
        cpu: int = 0,
    ) -> TestRun:
        """Run the program on *data* and return (retval, duration_ns, data_out, ctx_out).

        *data* is a packet for the networking kinds (64 zero bytes by default: they want at least
        an Ethernet header of 14). *ctx* is the context: `struct __sk_buff` or `xdp_md` there, the
        arguments as u64 for raw tracepoints, anything for ``syscall``. `data_out` has up to
        *data_out_size* bytes, by default what *data* has and room for 256 more.

        Raises `UnsupportedError` for the kinds that the kernel cannot run this way (tracepoint,
        kprobe, perf_event), `KernelError` otherwise. Source: net/bpf/test_run.c.
        """
        packets = self.type in _PACKETS
        if data is None:
            data = bytes(64) if packets else b""
        if data_out_size is None:
            data_out_size = len(data) + 256 if packets else 0
        context = bytearray(ctx)  # a syscall program writes its results into it
        try:
            result = bpf.prog_test_run(
                self.fd,
                data_in=data,
                data_out_size=data_out_size,
                ctx_in=context,
                ctx_out_size=len(context) if packets else 0,
                repeat=repeat,
                flags=flags,
                cpu=cpu,
            )
        except OSError as error:
            if error.errno != 524:  # ENOTSUPP, which no libc names
                raise
            kind = name_of(ProgramType, self.type)
            message = f"program {self.name!r} cannot be test-run: the kernel cannot run {kind} ones"
            raise UnsupportedError(
                message,
                hint="attach it, or write the part to test as a function of a syscall program",
                feature="prog_test_run",
                program=self.name,
            ) from error
        if self.type == ProgramType.SYSCALL:
            return bpf.TestRun((*result[:3], bytes(context)))
        return result

    def pin(self, path: str) -> None:
        """Give the program a name in a bpf file system, so that it outlives this process.

        Raises `KernelError`: EEXIST when *path* exists, EPERM when it is on no bpffs.
        """
        bpf.obj_pin(self.fd, path)

    def close(self) -> None:
        """Close the descriptor. Links and pins keep the program running."""
        self.fd.close()
        for each in self.maps.values():
            each.close()
