"""How an attribute union reaches the kernel, and how a buffer's address is found."""

from __future__ import annotations

from skep.errors import RangeError
from skep.kernel.native import AnyBuffer, c_long, c_void_p, function, get_errno
from skep.kernel.syscall import number as syscall_number
from skep.kernel.syscall import numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from skep.kernel.fd import FD

NR: int = numbers.get("bpf", -1)
"""The number of bpf(2) here; -1 where skep cannot call it (the kernel then answers ENOSYS)."""

TOKEN_FD = 1 << 16
"""BPF_F_TOKEN_FD, in the flags of every command that takes a token."""


def _function(*, keep_gil: bool) -> Callable[[int, int, Any, int], int]:
    if NR < 0:

        def unsupported(*_: Any) -> int:
            syscall_number("bpf")  # raises UnsupportedError
            return -1

        return unsupported
    # c_void_p takes an address, a ctypes array, or bytes (then the address of their content).
    return function("syscall", c_long, (c_long, c_long, c_void_p, c_long), keep_gil=keep_gil)


bpf = _function(keep_gil=False)
"""`bpf(NR, command, attr, size)`: the raw call, -1 and `get_errno()` on failure."""

bpf_keeping_gil = _function(keep_gil=True)
"""The same without releasing the GIL: 0.2 us faster. Only for commands that never sleep."""

bpf_with_bytes: Any = _function(keep_gil=True)
"""The same for attributes that are `bytes`, which ctypes passes without converters: 0.3 us more."""
bpf_with_bytes.argtypes = None


def readable(buffer: AnyBuffer) -> AnyBuffer:
    """Return *buffer*, or a copy as `bytes` when it is read-only: something with an address."""
    if isinstance(buffer, bytes | bytearray):
        return buffer
    view = memoryview(buffer)
    return view.tobytes() if view.readonly or not view.c_contiguous else buffer


def name_field(name: str) -> bytes:
    """Encode an object *name* for `char name[16]`; `RangeError` when the kernel cannot hold it.

    The kernel takes letters, digits, "_" and "." (bpf_obj_name_cpy) and up to 15 bytes; cutting
    and replacing is the caller's decision.
    """
    data = name.encode()
    if len(data) > 15 or not all(c.isalnum() or c in "_." for c in name) or not name.isascii():
        message = f"{name!r} is not a name the kernel takes: 15 letters, digits, '_' and '.'"
        raise RangeError(message, name=name)
    return data


def number_of(fd: FD | int | None, absent: int = 0) -> int:
    """Return the descriptor number of an FD or an int; *absent* for None."""
    if fd is None:
        return absent
    return fd if isinstance(fd, int) else fd.fileno()


def failure(command: int, what: FD | str, code: int | None = None, **evidence: Any) -> Exception:
    """Make the exception for a failed *command* on *what*; the errno is this thread's.

    `ClosedError` when *what* was closed by another thread before the kernel looked at it.
    """
    from skep.kernel.bpf.failure import describe, gone

    code = get_errno() if code is None else code
    if isinstance(what, str):
        return describe(command, what, code, **evidence)
    return gone(what, code) or describe(command, what.what, code, **evidence)
