"""The kernel's trace file system: which tracepoints there are, and their numbers.

Source: Documentation/trace/events.rst; fsopen(2), fsconfig(2), fsmount(2).
"""

from __future__ import annotations

import os
from errno import EACCES, EPERM

from skep.errors import FormatError, KernelError, NotFoundError, UnsupportedError
from skep.kernel.fd import FD
from skep.kernel.native import get_errno
from skep.kernel.syscall import error_text, syscall
from skep.owner import Closing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MOUNT_POINTS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")

# include/uapi/linux/mount.h
_FSOPEN_CLOEXEC = 1
_FSCONFIG_CMD_CREATE = 6
_FSMOUNT_CLOEXEC = 1


class TraceFS(Closing):
    """The trace file system's root directory, as a descriptor: a context manager.

    Uses the machine's mount when there is one, else makes a detached private mount (Linux 5.2)
    that nobody else sees and that ends with `close()`; nothing on the machine changes.

    Mode 0700 and owned by root: without CAP_DAC_READ_SEARCH (and CAP_SYS_ADMIN for a mount of
    one's own) a `PrivilegeError`; `UnsupportedError` in a kernel without tracing.
    """

    __slots__ = ("fd", "where")

    fd: FD
    where: str

    def __init__(self) -> None:
        for where in MOUNT_POINTS:
            fd = _open_mounted(where)
            if fd is not None:
                self.fd, self.where = fd, where
                return
        self.fd, self.where = _mount_privately(), "a private mount of tracefs"

    def read(self, path: str) -> str:
        """Return the text of the file *path*, relative to the root; errors as `OSError`."""
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.fd.fileno())
        with open(number, encoding="utf-8", errors="replace") as file:
            return file.read()

    def listdir(self, path: str) -> list[str]:
        """Return the sorted names of the directories in *path*; errors as `OSError`."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        number = os.open(path, flags, dir_fd=self.fd.fileno())
        try:
            with os.scandir(number) as entries:
                return sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
        finally:
            os.close(number)

    def close(self) -> None:
        """Close the root (and end the private mount)."""
        self.fd.close()


def _open_mounted(where: str) -> FD | None:
    """Open *where* when tracefs is mounted there (it has "events"), else return None."""
    try:
        number = os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (EACCES, EPERM) and os.path.exists(where):
            raise _forbidden(f"opening {where}", "CAP_DAC_READ_SEARCH", error.errno) from error
        return None
    fd = FD(number, f"directory {where}")
    try:
        os.stat("events", dir_fd=number)
    except FileNotFoundError:
        fd.close()  # the empty mount point
        return None
    except OSError as error:
        fd.close()
        code = error.errno or 0
        raise _forbidden(f"reading {where}", "CAP_DAC_READ_SEARCH", code) from error
    return fd


def _mount_privately() -> FD:
    name = b"tracefs\0"
    from skep.kernel.native import address_of

    context = syscall("fsopen", address_of(name), _FSOPEN_CLOEXEC)
    if context < 0:
        raise _mount_failure(get_errno())
    with FD(context, "tracefs context") as owner:
        if syscall("fsconfig", owner.fileno(), _FSCONFIG_CMD_CREATE) < 0:
            raise _mount_failure(get_errno())
        mount = syscall("fsmount", owner.fileno(), _FSMOUNT_CLOEXEC)
        if mount < 0:
            raise _mount_failure(get_errno())
    return FD(mount, "private mount of tracefs")


def _mount_failure(code: int) -> Exception:
    if code in (EACCES, EPERM):
        return _forbidden("opening tracefs, which is not mounted here,", "CAP_SYS_ADMIN", code)
    message = f"this kernel offers no tracefs: {error_text(code)}"
    hint = "tracepoints need CONFIG_FTRACE; mount it: mount -t tracefs nodev /sys/kernel/tracing"
    return UnsupportedError(message, hint=hint, feature="tracefs")


def _forbidden(what: str, capability: str, code: int) -> Exception:
    from skep.kernel.capabilities import explain_eperm

    return explain_eperm("open", what, (capability,), errno=code)


def tracepoint_id(category: str, name: str) -> int:
    """Return the number of the tracepoint *category*/*name* for perf_event_open(2).

    `NotFoundError` with close names when there is none.
    """
    with TraceFS() as fs:
        if not _plain(category) or not _plain(name):
            raise _no_tracepoint(fs, category, name)
        try:
            text = fs.read(f"events/{category}/{name}/id").strip()
        except (FileNotFoundError, NotADirectoryError):
            raise _no_tracepoint(fs, category, name) from None
        except OSError as error:
            code = error.errno or 0
            what = f"reading the number of tracepoint {category}/{name}"
            if code in (EACCES, EPERM):
                raise _forbidden(what, "CAP_DAC_READ_SEARCH", code) from error
            message = f"{what} failed: {error_text(code)}"
            raise KernelError(message, errno=code, call="open") from error
    if not text.isdecimal():
        raise FormatError(f"tracepoint {category}/{name} has the number {text!r}")
    return int(text)


def _plain(part: str) -> bool:
    return bool(part) and "/" not in part and "\0" not in part and part not in (".", "..")


def _no_tracepoint(fs: TraceFS, category: str, name: str) -> NotFoundError:
    from difflib import get_close_matches

    wanted = f"{category}/{name}"
    known = [f"{c}/{n}" for c, n in _walk(fs)]
    # The right name in another category first, then names that look alike.
    close = [other for other in known if other.partition("/")[2] == name]
    close += [n for n in get_close_matches(wanted, known, n=3, cutoff=0.75) if n not in close]
    hint = f"did you mean {', '.join(close[:3])}?" if close else ""
    message = f"this kernel has no tracepoint {wanted}"
    return NotFoundError(message, hint=hint, name=wanted, where="tracefs", close=close[:3])


def tracepoints() -> Iterator[tuple[str, str]]:
    """Yield (category, name) of every tracepoint, sorted; about 10 ms for 1 000 of them."""
    with TraceFS() as fs:
        found = list(_walk(fs))  # read at once, so that an abandoned generator holds no mount
    yield from found


def _walk(fs: TraceFS) -> Iterator[tuple[str, str]]:
    for category in fs.listdir("events"):
        for name in fs.listdir(f"events/{category}"):
            # ftrace's own events have no number to attach to.
            if category != "ftrace":
                yield category, name
