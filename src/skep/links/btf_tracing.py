"""`tracing`: attaches programs whose target was fixed, by BTF, when they were loaded."""

from __future__ import annotations

from skep.errors import KernelError
from skep.kernel import bpf
from skep.kernel.constants import AttachType, ProgramType
from skep.links.failure import attaching, require_type
from skep.links.link import Link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.fd import FD
    from skep.links.attachable import Attachable

NEEDS = ("CAP_BPF", "CAP_PERFMON")
ATTACH_TYPES = (
    AttachType.TRACE_RAW_TP,
    AttachType.TRACE_FENTRY,
    AttachType.TRACE_FEXIT,
    AttachType.MODIFY_RETURN,
    AttachType.LSM_MAC,
)


def tracing(program: Attachable, *, cookie: int = 0) -> Link:
    """Attach a ``tp_btf``, ``fentry``, ``fexit``, ``fmod_ret``, ``lsm`` or ``freplace`` program.

    Its target was given when it was loaded. *cookie* needs Linux 6.10 for ``tp_btf`` and 5.19 for
    the others. Raises `PrivilegeError`, `UnsupportedError`, `AttachError`.
    """
    target = program.attach_to or "its target"
    with attaching(program, to=target, needs=NEEDS):
        require_type(
            program,
            target,
            types=(ProgramType.TRACING, ProgramType.LSM, ProgramType.EXT),
            attach_types=None if program.type == ProgramType.EXT else ATTACH_TYPES,
            sections='"tp_btf/sched_switch" or "fentry/..."',
        )
        fd = _open(program, cookie)
        cookies = (cookie,) if cookie else ()
        return Link(fd, program, kind="tracing", target=target, cookies=cookies)


def _open(program: Attachable, cookie: int) -> FD:
    if not cookie:
        # Without a name the kernel takes the program's own target (bpf_raw_tp_link_attach);
        # this form works on every kernel, BPF_LINK_CREATE for tracing only since 5.19.
        return bpf.raw_tracepoint_open(program.fd, None)
    try:
        return bpf.link_create_tracing(program.fd, program.expected_attach_type, cookie=cookie)
    except KernelError:
        if program.expected_attach_type == AttachType.TRACE_RAW_TP:
            from skep.kernel.features import check

            check("raw_tp_cookie")  # raises where the kernel has no cookies here
        raise
