"""What /proc says about a process. Source: proc(5).

A process may end between any two calls: every function says what it does then. Nothing is
cached; a pid may be given out again (compare `start_time`).
"""

from __future__ import annotations

import os
from errno import EACCES, ENOENT, EPERM, ESRCH

from skep.errors import FormatError, KernelError, NotFoundError, RangeError
from skep.kernel.fd import FD
from skep.kernel.native import get_errno
from skep.kernel.syscall import error_text, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

_GONE = (ENOENT, ESRCH)
_PIDFD_THREAD = os.O_EXCL if hasattr(os, "O_EXCL") else 0  # include/uapi/linux/pidfd.h


def exists(pid: int) -> bool:
    """Whether a process (or thread) *pid* exists; a zombie does."""
    return pid > 0 and os.path.exists(f"/proc/{pid}")


def pids() -> Iterator[int]:
    """Yield the pids of all processes, in no particular order."""
    for name in os.listdir("/proc"):
        if name.isdecimal():
            yield int(name)


def comm(pid: int) -> str:
    """Return the process's name (up to 15 bytes; undecodable bytes as surrogates).

    `NotFoundError` when there is no such process.
    """
    return _read(pid, "comm").rstrip(b"\n").decode("utf-8", "surrogateescape")


def command(pid: int) -> list[str]:
    """Return the command line; empty for kernel threads and zombies."""
    parts = _read(pid, "cmdline").split(b"\0")
    return [part.decode("utf-8", "surrogateescape") for part in parts[:-1]]


def exe(pid: int) -> str:
    """Return the path of the executable, as the process's own mount namespace names it.

    Ends in " (deleted)" when the file is gone; `executable_file` opens it all the same.
    `NotFoundError` for a kernel thread, `PrivilegeError` when it is another user's.
    """
    try:
        return os.readlink(f"/proc/{_checked(pid)}/exe")
    except OSError as error:
        _fail(pid, "executable", error)


def executable_file(pid: int) -> str:
    """Return a path that opens the executable whatever became of its name."""
    return f"/proc/{_checked(pid)}/exe"


def root(pid: int) -> str:
    """Return the directory under which the process's files are found from here."""
    return f"/proc/{_checked(pid)}/root"


def start_time(pid: int) -> int:
    """Return when the process began, in clock ticks since boot: with the pid, an identity."""
    data = _read(pid, "stat")
    # The name, in parentheses, may itself hold spaces and parentheses: count from the last.
    fields = data.rpartition(b")")[2].split()
    if len(fields) < 20 or not fields[19].isdigit():
        raise FormatError(f"/proc/{pid}/stat is not as proc(5) says")
    return int(fields[19])


class MappedFile:
    """One line of /proc/PID/maps: addresses *start* to *end* show *path* from *offset*."""

    __slots__ = ("device", "end", "inode", "offset", "path", "permissions", "start")

    def __init__(
        self,
        start: int,
        end: int,
        permissions: str,
        offset: int,
        device: tuple[int, int],
        inode: int,
        path: str,
    ) -> None:
        self.start = start
        self.end = end
        self.permissions = permissions
        self.offset = offset
        self.device = device
        self.inode = inode
        self.path = path

    @property
    def executable(self) -> bool:
        """Whether code may run from it."""
        return self.permissions[2:3] == "x"

    def __repr__(self) -> str:
        span = f"{self.start:#x}-{self.end:#x} {self.permissions} {self.offset:#x}"
        return f"<MappedFile {span} {self.path}>"


def parse_maps(data: bytes, source: str = "maps") -> list[MappedFile]:
    """Parse the content of /proc/PID/maps (all lines; anonymous memory has an empty path)."""
    found = []
    for line in data.splitlines():
        fields = line.split(None, 5)
        try:
            start, _, end = fields[0].partition(b"-")
            major, _, minor = fields[3].partition(b":")
            path = fields[5] if len(fields) > 5 else b""
            found.append(
                MappedFile(
                    int(start, 16),
                    int(end, 16),
                    fields[1].decode("ascii"),
                    int(fields[2], 16),
                    (int(major, 16), int(minor, 16)),
                    int(fields[4]),
                    # The kernel escapes newlines only (seq_file_path with "\n").
                    path.replace(b"\\012", b"\n").decode("utf-8", "surrogateescape"),
                )
            )
        except (ValueError, IndexError):
            message = f"{source}: {line[:80]!r} is not a line of a memory map"
            raise FormatError(message, source=source) from None
    return found


def maps(pid: int) -> list[MappedFile]:
    """Return the process's memory map; empty for kernel threads.

    `NotFoundError` when it is gone, `PrivilegeError` without ptrace access to it.
    """
    return parse_maps(_read(pid, "maps"), f"/proc/{pid}/maps")


def thread_group(pid: int) -> int | None:
    """Return the process that thread *pid* belongs to (itself for a process), None when gone."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            for line in file:
                if line.startswith(b"Tgid:"):
                    return int(line[5:])
    except OSError:
        pass
    return None


def pidfd_open(pid: int, *, thread: bool = False) -> FD:
    """Open a descriptor that becomes readable when the process ends (pidfd_open(2), Linux 5.3).

    With *thread* it is that of a single thread (PIDFD_THREAD, Linux 6.9; EINVAL before that).
    """
    number = syscall("pidfd_open", _checked(pid), _PIDFD_THREAD if thread else 0)
    if number < 0:
        code = get_errno()
        _fail(pid, "state", OSError(code, os.strerror(code)))
    return FD(number, f"process {pid}")


def _checked(pid: int) -> int:
    if pid <= 0:
        raise RangeError(f"{pid} is not a process id")
    return pid


def _read(pid: int, name: str) -> bytes:
    try:
        with open(f"/proc/{_checked(pid)}/{name}", "rb") as file:
            return file.read()
    except OSError as error:
        _fail(pid, name, error)


def _fail(pid: int, name: str, error: OSError) -> NoReturn:
    code = error.errno or 0
    what = f"the {name} of process {pid}"
    if code in _GONE:
        if exists(pid):
            message = f"{what} does not exist: it is a kernel thread, or just ended"
        else:
            message = f"there is no process {pid}"
        raise NotFoundError(message, name=str(pid), where="/proc") from error
    if code in (EACCES, EPERM):
        from skep.kernel.capabilities import explain_eperm

        doing = f"reading {what}"
        raise explain_eperm("open", doing, ("CAP_SYS_PTRACE",), errno=code, pid=pid) from error
    message = f"{what} cannot be read: {error_text(code)}"
    raise KernelError(message, errno=code, call="open") from error
