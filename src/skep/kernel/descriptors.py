"""What /proc says about descriptors: of this process, and which BPF objects others hold.

Source: proc(5), /proc/PID/fd and /proc/PID/fdinfo; kernel/bpf/syscall.c ``bpf_map_show_fdinfo``
and ``bpf_prog_show_fdinfo``, Linux 6.18.
"""

from __future__ import annotations

import os

from skep.kernel import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from skep.kernel.fd import FD

    Kind = Literal["map", "prog", "link"]


def facts(fd: FD) -> dict[str, str]:
    """Return the lines of /proc/self/fdinfo for *fd* by name; empty where there is no /proc.

    Of a map among others `memlock` (bytes), `frozen` ("0" or "1") and `flags`, whose last digit
    (octal) says how it was opened: 0 read-only, 1 write-only, 2 both.
    """
    return _facts("self", str(fd.fileno()))


def _facts(pid: str, number: str) -> dict[str, str]:
    try:
        with open(f"/proc/{pid}/fdinfo/{number}", "rb") as file:
            text = file.read().decode("ascii", "replace")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in lines}


def holders(kind: Kind) -> Iterator[tuple[int, int]]:
    """Yield (pid, id) of every object of *kind* that a process has a descriptor of.

    Processes that end meanwhile, and those this one may not look into (CAP_SYS_PTRACE), are left
    out. One that maps an object into memory and closed it is not seen.
    """
    wanted = f"anon_inode:bpf-{kind}"
    field = f"{kind}_id"
    for pid in process.pids():
        folder = f"/proc/{pid}/fd"
        try:
            numbers = os.listdir(folder)
        except OSError:
            continue
        for number in numbers:
            try:
                what = os.readlink(f"{folder}/{number}")
            except OSError:
                continue
            if what != wanted:
                continue
            id = _facts(str(pid), number).get(field, "")
            if id.isdecimal():
                yield pid, int(id)


def kind_of(fd: FD) -> str:
    """Return which BPF object *fd* is, "map", "prog" or "link"; "" for anything else."""
    try:
        what = os.readlink(f"/proc/self/fd/{fd.fileno()}")
    except OSError:
        return ""
    start, _, kind = what.partition("anon_inode:bpf-")
    return "" if start else kind


def type_of_program(number: int) -> int | None:
    """Return the `ProgramType` of the program that descriptor *number* is; None for others."""
    facts = _facts("self", str(number))
    if "prog_tag" not in facts:
        return None
    return int(facts["prog_type"])
