"""`uprobe`: a probe at one place of a user-space binary, on entry or on return."""

from __future__ import annotations

import errno
import os

from skep.elf.binary import Binary
from skep.errors import RangeError
from skep.kernel import perf
from skep.kernel.constants import ProgramType
from skep.links import place
from skep.links.events import hold
from skep.links.failure import ENOTSUPP, attaching, require_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.links.attachable import Attachable
    from skep.links.link import Link

# Measured on 6.1-7.2: perf_uprobe_event_init() asks for this one, CAP_PERFMON is not enough.
NEEDS = ("CAP_SYS_ADMIN",)

NOT_PROBEABLE = (
    "the kernel cannot probe the instruction there",
    "choose the first byte of another instruction; `objdump -d` lists them",
)
MEANING = {
    ENOTSUPP: NOT_PROBEABLE,
    errno.EOPNOTSUPP: NOT_PROBEABLE,
    errno.EILSEQ: NOT_PROBEABLE,
    errno.EIO: ("the file system of the binary cannot be probed", "copy the binary to a disk"),
    errno.ENOENT: ("the binary does not exist", "give its path"),
}


def uprobe(
    program: Attachable,
    binary: str | os.PathLike[str],
    *,
    symbol: str | None = None,
    offset: int = 0,
    address: int | None = None,
    retprobe: bool = False,
    pid: int | None = None,
    cookie: int = 0,
    ref_counter: int = 0,
    exact: bool = False,
) -> Link:
    """Attach *program* to a function of *binary*: a path, a program in PATH, or a library name.

    The place is *symbol* (plus *offset*), the virtual *address* that nm prints, or the file
    *offset* alone. With *pid* only that process is probed, and *binary* is looked up as it sees
    it (containers). *retprobe* runs the program when the function returns. *ref_counter* is the
    file offset of a USDT semaphore (16 bits).

    A probe at a symbol may be moved by a few bytes to an instruction that costs a tenth
    (`skep.elf.entry`); so may a return probe, since the stack pointer has not moved there, and an
    entry probe and a return probe of one function then share one trap. *exact* keeps the very
    address.

    Raises `NotFoundError` (binary, symbol, process), `ElfError`, `PrivilegeError`,
    `UnsupportedError`, `RangeError`, `AttachError`.
    """
    kind = "uretprobe" if retprobe else "uprobe"
    target = str(binary)
    if symbol or address or offset:
        target += f":{symbol or hex(address or offset)}"
    with attaching(program, to=f"{kind} {target}", needs=NEEDS, meaning=MEANING, pid=pid):
        require_type(
            program,
            f"{kind} {target}",
            types=(ProgramType.KPROBE,),
            attach_types=(0,),
            sections='"uprobe/BINARY:SYMBOL" or "uretprobe/..."',
        )
        if pid is not None and pid <= 0:
            raise RangeError(f"{pid} is not a process id", hint="None means every process")
        path = place.resolve(binary, pid, option="symbol={!r}")
        with Binary(path) as elf:
            where = place.find(elf, symbol, offset=offset, address=address, cheap=not exact)
        pmu = perf.pmu_type("uprobe")
        config = 0
        if ref_counter:
            config = ref_counter << perf.pmu_format_bit("uprobe", "ref_ctr_offset")
        if retprobe:
            config |= 1 << perf.pmu_format_bit("uprobe", "retprobe")
        attr = perf.PerfEventAttr(
            type=pmu,
            config=config,
            config1=os.fsencode(path) + b"\0",
            config2=where.offset,
            disabled=True,
        )
        # With a process any CPU, without one any process: the kernel takes no other pair here.
        event = perf.perf_event_open(
            attr,
            pid=-1 if pid is None else pid,
            cpu=0 if pid is None else -1,
            what=f"{kind} {target}",
        )
        return hold(
            program, event, kind=kind, target=f"{path}:{where.text}", pid=pid, cookie=cookie,
            offsets=(where.offset,),
        )  # fmt: skip
