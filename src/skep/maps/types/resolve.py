"""What the keys of storages are given as, made into descriptors: pids, paths, sockets, cgroups.

A storage map has one entry for each task, file, socket or cgroup, and user space names one by a
descriptor of it. What this opens it closes; what it is given stays the caller's.
"""

from __future__ import annotations

import errno
import os
from _operator import index as to_index  # operator without its Python part

from skep.errors import (
    ClosedError,
    KernelError,
    NotFoundError,
    TypeMismatchError,
    UnsupportedError,
)
from skep.kernel.fd import FD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias


class Borrowed:
    """A descriptor that is somebody else's: *owner*, which is kept alive, or a bare number."""

    __slots__ = ("number", "owner")

    def __init__(self, number: int, owner: Any) -> None:
        self.number = number
        self.owner = owner

    def fileno(self) -> int:
        """Return the descriptor's number."""
        return self.number

    def close(self) -> None:
        """Leave it to its owner."""


if TYPE_CHECKING:
    Held: TypeAlias = FD | Borrowed


def descriptor(given: Any, where: str, expected: str) -> Borrowed:
    """Return the descriptor of *given*, a number or something with ``fileno()``.

    *where* begins the message of an error, *expected* says what was: `ClosedError` when *given*
    is closed, `TypeMismatchError` when it has no descriptor.
    """
    number = given
    if hasattr(given, "fileno"):
        try:
            number = given.fileno()
        except (ValueError, OSError) as error:
            raise ClosedError(f"{where}: {given!r:.80} is closed") from error
        if isinstance(number, int) and number < 0:  # what a closed socket says
            raise ClosedError(f"{where}: {given!r:.80} is closed")
    if not isinstance(number, int) or isinstance(number, bool):
        raise wrong(where, expected, given)
    if not 0 <= number < 1 << 31:
        raise wrong(where, expected, given)
    return Borrowed(number, given)


def wrong(where: str, expected: str, given: Any) -> TypeMismatchError:
    """Make the error for something that is no key at all."""
    message = f"{where}: expected {expected}, not {type(given).__name__} {given!r:.60}"
    return TypeMismatchError(message, expected=expected, given=given, role="key")


def task(key: Any, where: str) -> Held:
    """Return a pidfd for *key*: the pid of a process or thread, or something that is a pidfd."""
    expected = "a pid, or an object with the fileno() of a pidfd"
    if hasattr(key, "fileno"):
        return descriptor(key, where, expected)
    try:
        pid = to_index(key)
    except TypeError:
        raise wrong(where, expected, key) from None
    if isinstance(key, bool) or pid <= 0 or pid >= 1 << 31:
        raise wrong(where, expected, key)
    from skep.kernel import process

    try:
        return process.pidfd_open(pid)
    except (NotFoundError, KernelError) as error:
        main = process.thread_group(pid)
        if main == pid:
            raise
        if main is None:
            raise NotFoundError(
                f"{where}: there is no process or thread {pid} in this pid namespace",
                hint="it has ended, or it is the pid that another pid namespace gives it",
                name=str(pid),
                where="/proc",
            ) from error
    return _thread(pid, main, where)


def _thread(tid: int, main: int, where: str) -> FD:
    from skep.kernel import process

    try:
        return process.pidfd_open(tid, thread=True)
    except KernelError as error:
        if error.errno != errno.EINVAL:
            raise
        raise UnsupportedError(
            f"{where}: {tid} is a thread of process {main}, and this kernel has pidfds of whole"
            " processes only",
            hint=f"threads need Linux 6.9; the process's first thread is {main}",
            feature="pidfds of threads",
        ) from error


def gone(held: Held) -> bool:
    """Whether the process or thread of a pidfd has ended and was waited for."""
    import signal

    try:
        signal.pidfd_send_signal(held.fileno(), 0)  # 0 sends nothing
    except ProcessLookupError:
        return True
    except OSError:  # it is there, and somebody else's
        return False
    return False


def file(key: Any, where: str) -> Held:
    """Return a descriptor of the file *key*: a path, a file object, or a descriptor."""
    if isinstance(key, (str, bytes)) or hasattr(key, "__fspath__"):
        return _path(key, where, os.O_PATH, "file")
    return descriptor(key, where, "a path, a file object, or a descriptor of a file")


def cgroup(key: Any, where: str) -> Held:
    """Return a descriptor of the cgroup *key*: the path of its folder, or a descriptor."""
    if isinstance(key, (str, bytes)) or hasattr(key, "__fspath__"):
        return _path(key, where, os.O_PATH | os.O_DIRECTORY, "cgroup")
    return descriptor(key, where, "the path of a cgroup's folder, or a descriptor of it")


def socket(key: Any, where: str) -> Held:
    """Return the descriptor of the socket *key*: a socket object, or a descriptor."""
    return descriptor(key, where, "a socket, or the descriptor of one")


def _path(path: Any, where: str, flags: int, what: str) -> FD:
    # O_PATH opens nothing: no permission on the file itself, and no FIFO or device to wait for.
    text = os.fsdecode(path)
    try:
        return FD(os.open(path, flags | os.O_CLOEXEC), f"{what} {text}")
    except (OSError, ValueError) as error:
        code = getattr(error, "errno", None) or errno.EINVAL
        if code == errno.ENOENT:
            folder = text
            while folder and not os.path.exists(folder):
                folder = os.path.dirname(folder.rstrip("/"))
            hint = f"what there is of this path is {folder}" if folder else ""
            raise NotFoundError(
                f"{where}: there is no {what} {text!r} in this mount namespace",
                hint=hint,
                name=text,
                where=folder,
            ) from error
        if code == errno.ENOTDIR and what == "cgroup":
            expected = "a cgroup, which is a folder"
            message = f"{where}: expected {expected}, and {text!r} is none"
            raise TypeMismatchError(message, expected=expected, given=path, role="key") from error
        from skep.kernel.syscall import error_text

        message = f"{where}: the {what} {text!r} cannot be opened: {error_text(code)}"
        raise KernelError(message, errno=code, call="open", path=text) from error


def refused(held: Held, key: Any, where: str, expected: str) -> ClosedError | TypeMismatchError:
    """Say why the kernel does not take the descriptor *held*: closed, or of another kind."""
    number = held.fileno()
    try:
        os.fstat(number)
    except OSError:
        return ClosedError(f"{where}: descriptor {number} is not open")
    try:
        there = os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        there = "something else"
    given = there if isinstance(held, FD) else f"{key!r:.120}, which is {there}"
    message = f"{where}: expected {expected}, not {given}"
    return TypeMismatchError(message, expected=expected, given=key, role="key")
