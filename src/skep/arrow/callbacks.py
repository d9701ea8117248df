"""The addresses of the callbacks that readers call, and how objects are held until they do."""

from __future__ import annotations

import ctypes
from _thread import allocate_lock

from skep.errors import UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_python: Any = ctypes.pythonapi
_hold_object = ctypes.PYFUNCTYPE(None, ctypes.py_object)(("Py_IncRef", _python))

_here = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("PyInterpreterState_Get", _python))
_main = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("PyInterpreterState_Main", _python))


class Code:
    """Where the functions of `release.c` are in this process.

    They take the GIL by ``PyGILState_Ensure``, which knows the main interpreter only, so others are
    refused. Free-threaded builds have their own size of the object header.
    """

    __slots__ = ("api", "free_capsule", "release_array", "release_schema", "release_stream")

    release_array: int
    release_schema: int
    release_stream: int
    free_capsule: int

    def __init__(self) -> None:
        from base64 import b64decode

        from skep.arrow.machine_code import CODE, FUNCTIONS
        from skep.kernel.executable import executable
        from skep.kernel.syscall import machine

        if _here() != _main():
            raise UnsupportedError(
                "columns cannot be exported in a sub-interpreter: what readers call takes the lock"
                " of the main interpreter, for ever",
                hint="export them in the main interpreter; read() gives NumPy arrays here",
                feature="arrow export",
            )
        # A capsule's own fields follow the header that all objects have.
        found = CODE.get((machine, object.__basicsize__))
        if found is None:
            there = ", ".join(sorted({name for name, _ in CODE}))
            raise UnsupportedError(
                f"columns cannot be exported here: skep has the code for {there}, not for"
                f" {machine or 'this machine'}",
                hint="read() gives the columns as NumPy arrays",
                feature="arrow export",
            )
        offsets, text = found
        start = executable(b64decode(text), "the export of columns")
        for name, offset in zip(FUNCTIONS, offsets, strict=True):
            setattr(self, name, start + offset)
        # struct api; it must be there as long as the code, so it is never freed.
        functions = ("Py_IsInitialized", "PyGILState_Ensure", "Py_DecRef", "PyGILState_Release")
        addresses = [address_of_function(_python[name]) for name in functions]
        api = (ctypes.c_void_p * len(addresses))(*addresses)
        _hold_object(api)
        self.api = ctypes.addressof(api)


_code: list[Code] = []
_making = allocate_lock()


def code() -> Code:
    """Return the functions, put into memory at the first call, once for all threads."""
    if not _code:
        with _making:
            if not _code:
                _code.append(Code())
    return _code[0]


def address_of_function(function: Any) -> int:
    """Return the address of a foreign function or of a callback made by ctypes."""
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def hold(*objects: Any, slot: int = 0, struct: int = 0) -> int:
    """Keep *objects* until `release.c` lets go of them; return the address of its `struct hold`.

    *slot* is, for a capsule, the address of the release callback in its *struct*.
    """
    words = (ctypes.c_uint64 * 4)()
    kept = (words, *objects)
    words[:] = [id(kept), code().api, slot, struct]
    _hold_object(kept)
    return ctypes.addressof(words)
