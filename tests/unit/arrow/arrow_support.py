"""Reading the structs of the C data interface from the outside, as a reader in C would."""

from __future__ import annotations

import ctypes
from typing import Any

from skep.arrow.structs import ArrowArray, ArrowArrayStream, ArrowSchema

_python: Any = ctypes.pythonapi
pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", _python)
)
name_of = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", _python))
# Without the GIL, as threads that know nothing of Python do.
_Release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_Get = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_Text = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)

Struct = ArrowSchema | ArrowArray | ArrowArrayStream


def take(capsule: object, kind: type[Any]) -> Any:
    """Move the struct out of *capsule*, as a reader does; fail when it is gone already."""
    name = {
        ArrowSchema: b"arrow_schema",
        ArrowArray: b"arrow_array",
        ArrowArrayStream: b"arrow_array_stream",
    }[kind]
    there = kind.from_address(pointer_of(capsule, name))
    assert there.release, "somebody has taken it"
    mine = kind.from_buffer_copy(there)
    there.release = None
    return mine


def release(struct: Any) -> None:
    """Call the release callback of *struct*, which must mark it as released."""
    _Release(struct.release)(ctypes.addressof(struct))
    assert not struct.release


def children(struct: Any) -> list[Any]:
    """Return the children of *struct*, in place."""
    places = (ctypes.c_uint64 * struct.n_children).from_address(struct.children)
    return [type(struct).from_address(place) for place in places]


def buffers(array: Any) -> list[int]:
    """Return the addresses of the buffers of *array*; 0 where there is none."""
    return list((ctypes.c_uint64 * array.n_buffers).from_address(array.buffers))


def schema_of(stream: Any) -> Any:
    made = ArrowSchema()
    code = _Get(stream.get_schema)(ctypes.addressof(stream), ctypes.addressof(made))
    assert code == 0, last_error(stream)
    return made


def next_of(stream: Any) -> tuple[int, Any]:
    """Return (errno, array); the array is released at the end of the stream."""
    made = ArrowArray()
    return _Get(stream.get_next)(ctypes.addressof(stream), ctypes.addressof(made)), made


def last_error(stream: Any) -> bytes | None:
    found: bytes | None = _Text(stream.get_last_error)(ctypes.addressof(stream))
    return found
