"""How an attribute union reaches the kernel, and how a buffer's address is found."""

from __future__ import annotations

import ctypes
import sys

from skep.errors import RangeError
from skep.kernel.syscall import get_errno, numbers
from skep.kernel.syscall import number as syscall_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from skep.kernel.fd import FD

    AnyBuffer: TypeAlias = Any  # bytes, bytearray, memoryview, array, NumPy array

NR: int = numbers.get("bpf", -1)
"""The number of bpf(2) here; -1 where skep cannot call it (the kernel then answers ENOSYS)."""

TOKEN_FD = 1 << 16
"""BPF_F_TOKEN_FD, in the flags of every command that takes a token."""

addressof = ctypes.addressof
from_buffer = ctypes.c_char.from_buffer


def _function(library: type[ctypes.CDLL]) -> Callable[[int, int, Any, int], int]:
    if NR < 0:

        def unsupported(*_: Any) -> int:
            syscall_number("bpf")  # raises UnsupportedError
            return -1

        return unsupported
    function = library(None, use_errno=True)["syscall"]
    function.restype = ctypes.c_long
    # c_void_p takes an address, a ctypes array, or bytes (then the address of their content).
    function.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_long)
    return function


bpf = _function(ctypes.CDLL)
"""`bpf(NR, command, attr, size)`: the raw call, -1 and `get_errno()` on failure."""

bpf_keeping_gil = _function(ctypes.PyDLL)
"""The same without releasing the GIL: 0.2 us faster. Only for commands that never sleep."""

# The content of a bytes object follows its header, and basicsize counts the header and the
# terminating NUL (PyBytesObject_SIZE in Objects/bytesobject.c). Taking the address this way
# costs 80 ns; through ctypes (a Structure with a c_char_p) it costs 1 100 ns, as much as the
# system call.
CONTENT = bytes.__basicsize__ - 1
DIRECT = bytes if sys.implementation.name == "cpython" else None


def address_of(buffer: AnyBuffer) -> int:
    """Return the address of a contiguous buffer's first byte, 0 when it is empty.

    `bytes` may be read by the kernel; any other buffer must be writable (a read-only one is a
    TypeError, see `readable`). The address holds while the caller keeps the object alive and
    does not resize it.
    """
    if not len(buffer):
        return 0
    if type(buffer) is DIRECT:
        return id(buffer) + CONTENT
    if isinstance(buffer, bytes):
        return ctypes.cast(ctypes.c_char_p(buffer), ctypes.c_void_p).value or 0
    return addressof(from_buffer(buffer))


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


def failure(command: int, what: str, code: int | None = None, **evidence: Any) -> Exception:
    """Make the exception for a failed *command* on *what*; the errno is this thread's."""
    from skep.kernel.bpf.failure import describe

    return describe(command, what, get_errno() if code is None else code, **evidence)
