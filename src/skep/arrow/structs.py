"""The three structs of the Arrow C data interface, and what their callbacks are.

https://arrow.apache.org/docs/format/CDataInterface.html and CStreamInterface.html. A consumer
*moves* a struct: it copies the bytes and sets `release` of the original to NULL. It calls `release`
of its copy once, from any thread, with or without the GIL, maybe with an exception pending or
when the interpreter is gone. Python code cannot be called so (it replaces the pending exception,
or fails before it has done anything, and readers abort the process when `release` stays set), so
`release` is machine code of our own (`release.c`), and the only thing it does to Python objects
is to drop a reference.
"""

from __future__ import annotations

import ctypes

ADDRESS = ctypes.c_void_p
FLAG_NULLABLE = 2


class ArrowSchema(ctypes.Structure):
    """What a column is: its format, name and children."""

    _fields_ = [
        ("format", ctypes.c_char_p),
        ("name", ctypes.c_char_p),
        ("metadata", ctypes.c_char_p),
        ("flags", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("children", ADDRESS),
        ("dictionary", ADDRESS),
        ("release", ADDRESS),
        ("private_data", ADDRESS),
    ]


class ArrowArray(ctypes.Structure):
    """What a column holds: addresses of its buffers."""

    _fields_ = [
        ("length", ctypes.c_int64),
        ("null_count", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("n_buffers", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("buffers", ADDRESS),
        ("children", ADDRESS),
        ("dictionary", ADDRESS),
        ("release", ADDRESS),
        ("private_data", ADDRESS),
    ]


class ArrowArrayStream(ctypes.Structure):
    """Batches of columns, one after another."""

    _fields_ = [
        ("get_schema", ADDRESS),
        ("get_next", ADDRESS),
        ("get_last_error", ADDRESS),
        ("release", ADDRESS),
        ("private_data", ADDRESS),
    ]
