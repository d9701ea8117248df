"""Mounts and namespaces, as /proc says. Source: proc_pid_mountinfo(5), namespaces(7)."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

INITIAL = {"pid": 4026531836, "user": 4026531837}
"""Inode numbers of the initial namespaces, where they are fixed (include/linux/proc_ns.h)."""


class Mount:
    """One mount: `point` where it is, `kind` of file system ("bpf"), `device` as os.stat has."""

    __slots__ = ("device", "kind", "point")

    def __init__(self, point: str, kind: str, device: int) -> None:
        self.point = point
        self.kind = kind
        self.device = device

    def __repr__(self) -> str:
        return f"<Mount {self.kind} at {self.point}>"


def mounts(pid: int | str = "self") -> list[Mount]:
    """Return the mounts that process *pid* sees; empty when it is gone or may not be asked."""
    try:
        with open(f"/proc/{pid}/mountinfo", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        before, _, after = line.partition(b" - ")
        fields, kind = before.split(), after.partition(b" ")[0]
        if len(fields) < 5:
            continue
        major, _, minor = fields[2].partition(b":")
        if major.isdigit() and minor.isdigit():
            device = os.makedev(int(major), int(minor))
            found.append(Mount(_unescaped(fields[4]), kind.decode(), device))
    return found


def _unescaped(path: bytes) -> str:
    """Return a path without the kernel's octal escapes of blanks and backslashes."""
    for code in (b"\\040", b"\\011", b"\\012", b"\\134"):
        path = path.replace(code, bytes([int(code[1:], 8)]))
    return os.fsdecode(path)


def kind_at(path: str) -> str:
    """Return the kind of file system that *path*, or else its folder, is on; "" if not known."""
    here = os.path.abspath(path)
    while not os.path.lexists(here) and here != "/":
        here = os.path.dirname(here)
    try:
        device = os.stat(here).st_dev
    except OSError:
        return ""
    return next((mount.kind for mount in mounts() if mount.device == device), "")


def namespace(kind: str, pid: int | str = "self") -> int:
    """Return the inode of the namespace *kind* ("mnt", "net", "pid") of *pid*; 0 if not known."""
    try:
        text = os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return 0
    number = text.partition("[")[2].rstrip("]")
    return int(number) if number.isdecimal() else 0


def other_namespaces(kind: str) -> Iterator[int]:
    """Yield one pid for each namespace *kind* but this process's own."""
    from skep.kernel.process import pids

    seen = {namespace(kind), 0}
    for pid in sorted(pids()):
        found = namespace(kind, pid)
        if found not in seen:
            seen.add(found)
            yield pid
