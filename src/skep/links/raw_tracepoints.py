"""`raw_tracepoint`: attaches to a tracepoint's raw arguments; the cheapest kind without BTF."""

from __future__ import annotations

import errno

from skep.errors import KernelError, NotFoundError, SkepError
from skep.kernel import bpf
from skep.kernel.constants import ProgramType
from skep.links.failure import attaching, require_type
from skep.links.link import Link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.links.attachable import Attachable

NEEDS = ("CAP_BPF", "CAP_PERFMON")
TYPES = (ProgramType.RAW_TRACEPOINT, ProgramType.RAW_TRACEPOINT_WRITABLE)


def raw_tracepoint(program: Attachable, name: str, *, cookie: int = 0) -> Link:
    """Attach *program* to the raw tracepoint *name* (no category), on all CPUs.

    *cookie* needs Linux 6.10. Raises `NotFoundError` for an unknown tracepoint (close names in
    the hint), `PrivilegeError`, `UnsupportedError`, `AttachError`.
    """
    target = f"raw tracepoint {name}"
    with attaching(program, to=target, needs=NEEDS):
        require_type(program, target, types=TYPES, sections='"raw_tp/sched_switch"')
        try:
            fd = bpf.raw_tracepoint_open(program.fd, name, cookie=cookie)
        except KernelError as error:
            if error.errno == errno.ENOENT:
                raise _unknown(name) from error
            if cookie:
                from skep.kernel.features import check

                check("raw_tp_cookie")  # raises where the kernel has no cookies here
            raise
        cookies = (cookie,) if cookie else ()
        return Link(fd, program, kind="raw_tracepoint", target=name, cookies=cookies)


def _unknown(name: str) -> NotFoundError:
    """Make the error for *name*, with close names if tracefs can be read."""
    import difflib

    from skep.kernel import tracefs

    try:
        known = {event for _, event in tracefs.tracepoints()}
    except SkepError:
        known = set()
    close = difflib.get_close_matches(name, known, n=4, cutoff=0.6)
    return NotFoundError(
        f"the kernel has no tracepoint named {name}",
        hint=f"did you mean {', '.join(close)}?" if close else "a raw tracepoint has no category",
        name=name,
        where="tracepoints",
    )
