"""Commands of bpf(2) that attach programs: one function per arm of the link_create union."""

from __future__ import annotations

import os
from struct import Struct

from skep.errors import RangeError
from skep.kernel.bpf.call import NR, bpf, failure, number_of
from skep.kernel.fd import FD
from skep.kernel.native import address_of, c_uint64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_RAW_TRACEPOINT_OPEN = 17
_CREATE = 28
_UPDATE = 29
_ITER_CREATE = 33
_DETACH = 34

_raw_attr = Struct("=QIIQ").pack
_head = Struct("=IIII").pack  # prog_fd, target_fd, attach_type, flags; the union starts at 16
_update_attr = Struct("=IIII").pack
_pair_attr = Struct("=II").pack

PERF_EVENT = 41
TRACE_KPROBE_MULTI = 42
TRACE_UPROBE_MULTI = 48


def _create(
    prog: FD, target: FD | int | None, attach_type: int, flags: int, union: bytes, what: str
) -> FD:
    attr = _head(prog.fileno(), number_of(target), attach_type, flags) + union
    number = bpf(NR, _CREATE, attr, len(attr))
    if number < 0:
        raise failure(_CREATE, f"{prog.what} ({what})", attach_type=int(attach_type))
    return FD(number, f"link of {prog.what} ({what})")


def link_create(prog: FD, target: FD | int | None, attach_type: int, *, flags: int = 0) -> FD:
    """BPF_LINK_CREATE with nothing in the union: cgroup, netns, XDP, sock map, iterator.

    *target* is a cgroup's or namespace's descriptor, or an interface index.
    """
    return _create(prog, target, attach_type, flags, b"", f"attach type {int(attach_type)}")


def link_create_perf_event(prog: FD, event: FD, *, cookie: int = 0) -> FD:
    """BPF_LINK_CREATE on a perf event: tracepoint, kprobe, uprobe or sampling (Linux 5.15).

    *cookie* is what bpf_get_attach_cookie() returns in the program. The link holds the event:
    closing *event* afterwards detaches nothing. Linux 5.10 answers EINVAL; use
    `perf.set_bpf` there.
    """
    return _create(prog, event, PERF_EVENT, 0, Struct("=Q").pack(cookie), event.what)


def link_create_tracing(
    prog: FD,
    attach_type: int,
    *,
    target: FD | int | None = None,
    target_btf_id: int = 0,
    cookie: int = 0,
) -> FD:
    """BPF_LINK_CREATE of a tracing program (tp_btf, fentry, fexit, fmod_ret, LSM, freplace).

    *target* and *target_btf_id* only re-target an extension program. *cookie* needs Linux 5.19
    ("bpf: Add cookie support to programs attached by fentry/fexit/fmod_ret"; EINVAL or E2BIG
    before), as does this command for tp_btf: `raw_tracepoint_open` works everywhere.
    """
    union = Struct("=IIQ").pack(target_btf_id, 0, cookie)
    return _create(prog, target, attach_type, 0, union, "tracing")


def link_create_uprobe_multi(
    prog: FD,
    path: str | bytes,
    offsets: Sequence[int],
    *,
    ref_counters: Sequence[int] = (),
    cookies: Sequence[int] = (),
    pid: int = 0,
    flags: int = 0,
    attach_type: int = TRACE_UPROBE_MULTI,
) -> FD:
    """BPF_LINK_CREATE of a uprobe_multi link: many offsets of one file (Linux 6.6).

    *offsets* are file offsets, not addresses; *ref_counters* (semaphore offsets, 0 for none)
    and *cookies* are as many, or empty. *pid* 0 is every process. *flags* are `MultiFlags`.
    *attach_type* TRACE_UPROBE_SESSION runs the program at entry and return (Linux 6.13).
    """
    for name, values in (("ref_counters", ref_counters), ("cookies", cookies)):
        if values and len(values) != len(offsets):
            message = f"{len(values)} {name} were given for {len(offsets)} offsets of {path!r}"
            raise RangeError(message)
    name_bytes = os.fsencode(path) + b"\0"
    arrays = [_u64_array(values) for values in (offsets, ref_counters, cookies)]
    union = Struct("=QQQQIII4x").pack(
        address_of(name_bytes), *map(address_of, arrays), len(offsets), flags, pid
    )
    where = f"{os.fsdecode(path)}, {len(offsets)} places"
    return _create(prog, None, attach_type, 0, union, where)


def link_create_kprobe_multi(
    prog: FD,
    *,
    symbols: Sequence[str] = (),
    addresses: Sequence[int] = (),
    cookies: Sequence[int] = (),
    flags: int = 0,
    attach_type: int = TRACE_KPROBE_MULTI,
) -> FD:
    """BPF_LINK_CREATE of a kprobe_multi link: many kernel functions at once (Linux 5.18).

    Either *symbols* or *addresses*. *attach_type* TRACE_KPROBE_SESSION: Linux 6.10.
    """
    count = len(symbols or addresses)
    if bool(symbols) == bool(addresses) or (cookies and len(cookies) != count):
        message = "kprobe_multi takes either symbols or addresses, and no or as many cookies"
        raise RangeError(message)
    names = [symbol.encode() + b"\0" for symbol in symbols]
    pointers = _u64_array([address_of(name) for name in names])
    places, values = _u64_array(addresses), _u64_array(cookies)
    union = Struct("=IIQQQ").pack(
        flags, count, address_of(pointers), address_of(places), address_of(values)
    )
    return _create(prog, None, attach_type, 0, union, f"{count} kernel functions")


def _u64_array(values: Sequence[int]) -> Any:
    return (c_uint64 * len(values))(*values)


def link_update(link: FD, new_prog: FD, *, old_prog: FD | None = None, flags: int = 0) -> None:
    """BPF_LINK_UPDATE: swap the program of a link atomically.

    With *old_prog* the swap happens only while that is the current one (EPERM or EINVAL
    otherwise); BPF_F_REPLACE is added to *flags*. perf_event and tracing links: EINVAL.
    """
    if old_prog is not None:
        flags |= 1 << 2
    attr = _update_attr(link.fileno(), new_prog.fileno(), flags, number_of(old_prog))
    if bpf(NR, _UPDATE, attr, len(attr)) != 0:
        raise failure(_UPDATE, link)


def link_detach(link: FD) -> None:
    """BPF_LINK_DETACH: detach now, though the link's descriptor stays open.

    EOPNOTSUPP for kinds that only detach when closed (perf_event, tracing, raw_tracepoint).
    """
    attr = _pair_attr(link.fileno(), 0)
    if bpf(NR, _DETACH, attr, 4) != 0:
        raise failure(_DETACH, link)


def iter_create(link: FD, *, flags: int = 0) -> FD:
    """BPF_ITER_CREATE: open one walk of an iterator link; reading it runs the program."""
    attr = _pair_attr(link.fileno(), flags)
    number = bpf(NR, _ITER_CREATE, attr, len(attr))
    if number < 0:
        raise failure(_ITER_CREATE, link)
    return FD(number, f"iterator of {link.what}")


def raw_tracepoint_open(prog: FD, name: str | None, cookie: int = 0) -> FD:
    """BPF_RAW_TRACEPOINT_OPEN: attach a raw_tp (by *name*) or tracing program (*name* None).

    Since Linux 5.8 the descriptor is a link. *cookie* needs Linux 6.10 ("bpf: support BPF
    cookie in raw tracepoint (raw_tp, tp_btf) programs"); older kernels answer EINVAL to one.
    """
    name_bytes = b"" if name is None else name.encode() + b"\0"
    # Older kernels know only the first 16 bytes; a zero cookie in the tail does not disturb.
    attr = _raw_attr(address_of(name_bytes), prog.fileno(), 0, cookie)
    number = bpf(NR, _RAW_TRACEPOINT_OPEN, attr, len(attr))
    where = "its BTF target" if name is None else f"raw tracepoint {name}"
    if number < 0:
        raise failure(_RAW_TRACEPOINT_OPEN, f"{prog.what} to {where}", target=name or "")
    return FD(number, f"link of {prog.what} to {where}")
