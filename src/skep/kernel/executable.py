"""Machine code of our own, mapped for good: for callbacks that must not be Python code."""

from __future__ import annotations

import os

from skep.errors import KernelError, UnsupportedError
from skep.kernel.fd import FD
from skep.kernel.syscall import checked

_PROT_READ = 1
_PROT_EXEC = 4
_MAP_PRIVATE = 2


def executable(code: bytes, what: str) -> int:
    """Map *code*, which must be position independent, and return the address of its first byte.

    It is mapped from a file in memory, as a shared library is from its file: never writable and
    executable at once, so policies that forbid that (MemoryDenyWriteExecute= of systemd, execmem
    of SELinux) do not mind, and the kernel makes the instruction caches of arm64 agree. The pages
    stay until the process ends: nobody can know who still holds the address. Call it once.

    Raises `UnsupportedError` saying *what* is not possible where the kernel refuses.
    """
    try:
        with FD(os.memfd_create("skep", os.MFD_CLOEXEC), what) as file:
            os.write(file.fileno(), code)
            return checked(
                "mmap",
                0,
                len(code),
                _PROT_READ | _PROT_EXEC,
                _MAP_PRIVATE,
                file.fileno(),
                0,
                what=f"mapping {len(code)} bytes of {what}",
            )
    except (OSError, KernelError) as error:
        raise UnsupportedError(
            f"{what} needs memory that may be executed, and the kernel gives none: {error}",
            hint="a security policy forbids it to this process",
            feature="executable memory",
        ) from error
