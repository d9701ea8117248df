"""Raw system calls through libc's syscall(2), for those Python has no function for.

x86-64 and arm64 only. Importing this module works anywhere (specs are parsed on any system);
calling is an `UnsupportedError` elsewhere.
"""

from __future__ import annotations

import os
import sys

from skep.errors import KernelError, UnsupportedError
from skep.kernel.native import c_long, function, get_errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h. Numbers from 424
# on are the same everywhere.
_X86_64 = {
    "mmap": 9,
    "munmap": 11,
    "fstatfs": 138,
    "capget": 125,
    "capset": 126,
    "prctl": 157,
    "perf_event_open": 298,
    "process_vm_readv": 310,
    "bpf": 321,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "pidfd_open": 434,
}
_AARCH64 = {
    "mmap": 222,
    "munmap": 215,
    "fstatfs": 44,
    "capget": 90,
    "capset": 91,
    "prctl": 167,
    "perf_event_open": 241,
    "process_vm_readv": 270,
    "bpf": 280,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "pidfd_open": 434,
}

machine: str = os.uname().machine if hasattr(os, "uname") else ""
"""The kernel's name of the processor: "x86_64", "aarch64", ... (uname(2))."""

page_size: int = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
"""Bytes in a page of memory: 4096 on x86-64; 4096, 16384 or 65536 on arm64."""


def _numbers() -> dict[str, int]:
    # A 32-bit interpreter on a 64-bit kernel has other numbers and other structures.
    if sys.platform != "linux" or sys.maxsize < 1 << 32:
        return {}
    return {"x86_64": _X86_64, "aarch64": _AARCH64}.get(machine, {})


numbers: dict[str, int] = _numbers()
"""System call numbers by name on this machine; empty on one skep cannot call the kernel of."""


def number(name: str) -> int:
    """Return the number of the system call *name*, or raise `UnsupportedError`."""
    try:
        return numbers[name]
    except KeyError:
        message = f"the system call {name} is not available on {sys.platform} {machine}".rstrip()
        hint = "skep calls the kernel on 64-bit x86-64 and arm64 Linux"
        raise UnsupportedError(message, hint=hint, feature=name) from None


def _function() -> Callable[..., int]:
    """Return libc's syscall() taking a number and six longs.

    syscall() is variadic in C; the calling conventions of x86-64 and arm64 Linux pass integer
    arguments of variadic functions like any others, so declaring plain longs is right (and
    needed: an undeclared Python int would be passed as a 32-bit int).
    """
    if not numbers:

        def unsupported(nr: int, *_: Any) -> int:
            raise AssertionError(nr)  # number() has raised before

        return unsupported
    # A function object of our own, not one that somebody else declares otherwise.
    return function("syscall", c_long, (c_long,) * 7)


_call = _function()


def syscall(name: str, *arguments: int) -> int:
    """Call *name* with up to six integers (addresses, sizes, descriptors); return its result.

    -1 means failure, with the reason in `get_errno()`: a copy that belongs to this thread and
    that nothing but the next call through this module changes. The GIL is released. Keep every
    buffer whose address is passed alive until the call returns. Raises `UnsupportedError` on a
    machine whose numbers skep does not know.
    """
    return _call(number(name), *arguments, *(0,) * (6 - len(arguments)))


def checked(name: str, *arguments: int, what: str) -> int:
    """`syscall`, raising `KernelError` that says *what* was attempted when it fails.

    EINTR is retried: Python has run its signal handlers in between (PEP 475).
    """
    import errno

    while True:
        result = syscall(name, *arguments)
        if result >= 0:
            return result
        code = get_errno()
        if code != errno.EINTR:
            raise KernelError(f"{what} failed: {error_text(code)}", errno=code, call=name)


def error_text(code: int) -> str:
    """Say an errno in words and by name: "No such file or directory [ENOENT]"."""
    import errno

    return f"{os.strerror(code)} [{errno.errorcode.get(code, code)}]"
