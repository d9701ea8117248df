"""Holding a program on a perf event: by bpf_link (Linux 5.15), or by ioctl before that.

Shared by tracepoints, single uprobes and sampling, which are all perf events to the kernel.
"""

from __future__ import annotations

import errno

from skep.errors import KernelError
from skep.kernel import bpf, perf
from skep.links.link import Link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from skep.kernel.fd import FD
    from skep.links.attachable import Attachable


def hold(
    program: Attachable,
    event: FD,
    *,
    kind: str,
    target: str,
    pid: int | None = None,
    cookie: int = 0,
    offsets: Sequence[int] = (),
) -> Link:
    """Attach *program* to the disabled perf *event*, start it, and return the link.

    Takes *event* over, whatever happens.
    """
    options = {"kind": kind, "target": target, "pid": pid, "offsets": offsets}
    try:
        try:
            return by_link(program, event, cookie, **options)
        except KernelError as error:
            # Before 5.15 ("bpf: Implement minimal BPF perf link") BPF_LINK_CREATE says EINVAL
            # for a perf event; so it does on newer kernels for other reasons, hence the probe.
            if error.errno != errno.EINVAL:
                raise
            from skep.kernel.features import FEATURES

            feature = FEATURES["perf_event_link"]
            if feature.available():
                raise
            if cookie:
                feature.check()  # raises: only links have cookies
        return by_ioctl(program, event, **options)
    except BaseException:
        event.close()
        raise


def by_link(program: Attachable, event: FD, cookie: int, **options: Any) -> Link:
    """Attach by BPF_LINK_CREATE. The link holds the event, so *event* is closed."""
    fd = bpf.link_create_perf_event(program.fd, event, cookie=cookie)
    link = Link(fd, program, cookies=(cookie,) if cookie else (), **options)
    try:
        perf.enable(event)
    except BaseException:
        link.close()
        raise
    event.close()
    return link


def by_ioctl(program: Attachable, event: FD, **options: Any) -> Link:
    """Attach by PERF_EVENT_IOC_SET_BPF. The link is the *event* itself: no id, no cookie."""
    perf.set_bpf(event, program.fd)
    perf.enable(event)
    return Link(event, program, mechanism="perf_ioctl", **options)
