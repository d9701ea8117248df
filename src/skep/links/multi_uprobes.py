"""`uprobe_multi`: one link for many places of a binary; the kernel sets all of them at once."""

from __future__ import annotations

import errno

from skep.elf.binary import Binary
from skep.errors import KernelError, NotFoundError, RangeError
from skep.kernel import bpf
from skep.kernel.constants import AttachType, MultiFlags, ProgramType
from skep.links import place
from skep.links.failure import attaching, require_type
from skep.links.link import Link
from skep.links.uprobes import MEANING

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from skep.kernel.fd import FD
    from skep.links.attachable import Attachable

NEEDS = ("CAP_BPF", "CAP_PERFMON")


def uprobe_multi(
    program: Attachable,
    binary: str | os.PathLike[str],
    *,
    symbols: Sequence[str] = (),
    offsets: Sequence[int] = (),
    retprobe: bool = False,
    session: bool = False,
    pid: int | None = None,
    cookies: Sequence[int] = (),
    ref_counters: Sequence[int] = (),
    exact: bool = False,
) -> Link:
    """Attach *program* to many functions of *binary* with one link (Linux 6.6).

    *symbols* are names or patterns (``malloc*``), *offsets* are file offsets. *retprobe* runs
    the program on return; *session* (Linux 6.13) runs it on entry and on return, with 64 bits of
    memory in between. *cookies* and *ref_counters* are one for each place, in that order, and so
    need plain names. *pid* (Linux 6.10), *binary* and *exact* are as for `uprobe`.

    Raises what `uprobe` raises; `RangeError` when the numbers of places and cookies differ.
    """
    kind = "uretprobe_multi" if retprobe else "uprobe_session" if session else "uprobe_multi"
    wanted = ", ".join([*symbols, *map(hex, offsets)])
    to = f"{kind} {binary}:{wanted}"
    with attaching(program, to=to, needs=NEEDS, meaning=MEANING, pid=pid):
        attach_type = AttachType.TRACE_UPROBE_SESSION if session else AttachType.TRACE_UPROBE_MULTI
        require_type(
            program,
            to,
            types=(ProgramType.KPROBE,),
            attach_types=(attach_type,),
            sections='"uprobe.session/..."' if session else '"uprobe.multi/BINARY:PATTERN"',
        )
        if pid is not None:
            from skep.kernel.features import check

            check("uprobe_multi_pid")  # it meant one thread: others would be missed silently
        if session and retprobe:
            raise RangeError("session and retprobe exclude each other", hint="give one of them")
        path = place.resolve(binary, pid, option="symbols=[{!r}]")
        with Binary(path) as elf:
            places = place.find_all(elf, symbols, offsets, cheap=not exact)
        if not places:
            raise NotFoundError("no symbol and no offset was given", name=wanted, where=path)
        for what, values in (("cookies", cookies), ("ref_counters", ref_counters)):
            if values and len(values) != len(places):
                raise RangeError(f"there are {len(places)} places, but {len(values)} {what}")
        fd = _create(program, attach_type, path, places, retprobe, pid, cookies, ref_counters)
        target = f"{path}:{places[0].text}"
        if len(places) > 1:
            target += f" and {len(places) - 1} more"
        return Link(
            fd, program, kind=kind, target=target, pid=pid, cookies=cookies,
            offsets=[one.offset for one in places],
        )  # fmt: skip


def _create(
    program: Attachable,
    attach_type: AttachType,
    path: str,
    places: Sequence[place.Place],
    retprobe: bool,
    pid: int | None,
    cookies: Sequence[int],
    ref_counters: Sequence[int],
) -> FD:
    try:
        return bpf.link_create_uprobe_multi(
            program.fd,
            path,
            [one.offset for one in places],
            ref_counters=ref_counters,
            cookies=cookies,
            pid=pid or 0,
            flags=MultiFlags.RETURN if retprobe else 0,
            attach_type=attach_type,
        )
    except KernelError as error:
        if error.errno == errno.EINVAL:
            from skep.kernel.features import check

            session = attach_type == AttachType.TRACE_UPROBE_SESSION
            check("uprobe_session" if session else "uprobe_multi")  # raises where it is lacking
        raise
