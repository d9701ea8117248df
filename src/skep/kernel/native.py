"""The few parts of `ctypes` that system calls need, without the import of the rest.

`import ctypes` makes two dozen types and functions, of which skep needs five, and costs 2 ms on a
start-up path where the whole load of an object costs 20. The machinery is the extension module
`_ctypes`; its Python half is what is left out here. The names taken from it are those which
`ctypes/__init__.py` itself takes, unchanged since Python 3.0. What is made here is what `ctypes`
would make, so both can be used together; an interpreter without these names gets `ctypes`.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from ctypes import (
        Array,
        addressof,
        c_char,
        c_int,
        c_long,
        c_uint32,
        c_uint64,
        c_void_p,
        get_errno,
    )
    from typing import Any, TypeAlias

    AnyBuffer: TypeAlias = Any  # bytes, bytearray, memoryview, array, NumPy array
else:
    AnyBuffer = object
    try:
        from _ctypes import _SimpleCData, addressof, get_errno

        class c_char(_SimpleCData):  # noqa: D101, N801  the names of ctypes
            _type_ = "c"

        class c_int(_SimpleCData):  # noqa: D101, N801
            _type_ = "i"

        class c_uint32(_SimpleCData):  # noqa: D101, N801
            _type_ = "I"

        class c_long(_SimpleCData):  # noqa: D101, N801
            _type_ = "l"

        class c_uint64(_SimpleCData):  # noqa: D101, N801  64 bits: skep calls 64-bit kernels only
            _type_ = "Q"

        class c_void_p(_SimpleCData):  # noqa: D101, N801
            _type_ = "P"

    except ImportError:  # not CPython
        from ctypes import (
            addressof,
            c_char,
            c_int,
            c_long,
            c_uint32,
            c_uint64,
            c_void_p,
            get_errno,
        )

__all__ = [
    "CONTENT",
    "DIRECT",
    "AnyBuffer",
    "address_of",
    "addressof",
    "c_char",
    "c_int",
    "c_long",
    "c_uint32",
    "c_uint64",
    "c_void_p",
    "create_string_buffer",
    "from_buffer",
    "function",
    "get_errno",
]


from_buffer = c_char.from_buffer

# The content of a bytes object follows its header, and basicsize counts the header and the
# terminating NUL (PyBytesObject_SIZE in Objects/bytesobject.c). Taking the address this way
# costs 80 ns; through ctypes (a Structure with a c_char_p) it costs 1 100 ns, as much as the
# system call.
CONTENT = bytes.__basicsize__ - 1
DIRECT = bytes if sys.implementation.name == "cpython" else None


def address_of(buffer: AnyBuffer) -> int:
    """Return the address of a contiguous buffer's first byte, 0 when it is empty.

    `bytes` may be read by the kernel; any other buffer must be writable (a read-only one is a
    TypeError). The address holds while the caller keeps the object alive and
    does not resize it.
    """
    if not len(buffer):
        return 0
    if type(buffer) is DIRECT:
        return id(buffer) + CONTENT
    if isinstance(buffer, bytes):
        import ctypes

        return ctypes.cast(ctypes.c_char_p(buffer), ctypes.c_void_p).value or 0
    return addressof(from_buffer(buffer))


def create_string_buffer(data: bytes, size: int) -> Array[c_char]:
    """Return a buffer of *size* bytes that C may write to, starting with *data*."""
    made = (c_char * size)()
    made.raw = data
    return made


def function(
    name: str, result: type[Any], arguments: tuple[type[Any], ...], *, keep_gil: bool = False
) -> Callable[..., Any]:
    """Return the C library's function *name*, which keeps errno for `get_errno()`.

    The object is the caller's own. It releases the GIL for the call, or with *keep_gil* does
    not: 0.2 us faster, for what never waits. Raises `OSError` or `AttributeError` when the
    library has no such function or is none that can be opened.
    """
    try:
        from _ctypes import (  # type: ignore[attr-defined, unused-ignore]
            FUNCFLAG_CDECL,
            FUNCFLAG_PYTHONAPI,
            FUNCFLAG_USE_ERRNO,
            CFuncPtr,
            dlopen,
            dlsym,
        )
    except ImportError:
        import ctypes

        found = (ctypes.PyDLL if keep_gil else ctypes.CDLL)(None, use_errno=True)[name]
        found.restype = result
        found.argtypes = arguments
        return found
    flags = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO | (FUNCFLAG_PYTHONAPI if keep_gil else 0)
    kind: Any = type("Function", (CFuncPtr,), {"_flags_": flags, "_restype_": result})
    library: Any = None  # the process itself, which typeshed does not know
    made: Callable[..., Any] = kind(dlsym(dlopen(library, 0), name))
    made.argtypes = arguments  # type: ignore[attr-defined]
    return made
