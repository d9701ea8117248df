"""From columns to the structs of the C data interface, and capsules around them."""

from __future__ import annotations

import ctypes
import errno

from skep.arrow.callbacks import address_of_function, code, hold
from skep.arrow.fields import utf8
from skep.arrow.structs import (
    FLAG_NULLABLE,
    ArrowArray,
    ArrowArrayStream,
    ArrowSchema,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from skep.arrow.column import Column
    from skep.arrow.fields import Field

_Words = ctypes.c_uint64
_python: Any = ctypes.pythonapi
_new_capsule = ctypes.PYFUNCTYPE(
    ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
)(("PyCapsule_New", _python))
_set_context = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_void_p)(
    ("PyCapsule_SetContext", _python)
)

# A capsule keeps the address of its name.
_NAMES = {
    ArrowSchema: ctypes.create_string_buffer(b"arrow_schema"),
    ArrowArray: ctypes.create_string_buffer(b"arrow_array"),
    ArrowArrayStream: ctypes.create_string_buffer(b"arrow_array_stream"),
}


def schema_capsule(field: Field) -> object:
    """Return a capsule "arrow_schema" of *field*."""
    struct = ArrowSchema()
    fill_schema(struct, field)
    return _capsule(struct)


def array_capsule(column: Column) -> object:
    """Return a capsule "arrow_array" of *column*, whose buffers it keeps."""
    struct = ArrowArray()
    fill_array(struct, column)
    return _capsule(struct)


def stream_capsule(field: Field, batches: Iterator[Column]) -> object:
    """Return a capsule "arrow_array_stream" that gives *batches*, each of the type *field*."""
    struct = ArrowArrayStream()
    _fill_stream(struct, field, batches)
    return _capsule(struct)


def _capsule(struct: Any) -> object:
    start = ctypes.addressof(struct)
    kind = type(struct)
    held = hold(struct, slot=start + kind.release.offset, struct=start)
    made = _new_capsule(start, ctypes.addressof(_NAMES[kind]), code().free_capsule)
    _set_context(made, held)
    return made


def fill_schema(struct: Any, field: Field) -> None:
    """Write *field* and all that is inside it into *struct*, an empty `ArrowSchema`."""
    children = (ArrowSchema * len(field.children))()
    for child, inner in zip(children, field.children, strict=True):
        fill_schema(child, inner)
    dictionary = None
    if field.dictionary is not None:
        dictionary = ArrowSchema()
        fill_schema(dictionary, field.dictionary)
    places, texts = _places(children), (field.format.encode(), utf8(field.name), field.encoded())
    struct.format, struct.name, struct.metadata = texts
    struct.flags = FLAG_NULLABLE if field.nullable else 0
    struct.n_children = len(children)
    struct.children = ctypes.addressof(places) if len(children) else None
    struct.dictionary = None if dictionary is None else ctypes.addressof(dictionary)
    struct.private_data = hold(children, places, dictionary, texts)
    struct.release = code().release_schema


def fill_array(struct: Any, column: Column) -> None:
    """Write *column* and all that is inside it into *struct*, an empty `ArrowArray`."""
    children = (ArrowArray * len(column.children))()
    for child, inner in zip(children, column.children, strict=True):
        fill_array(child, inner)
    dictionary = None
    if column.dictionary is not None:
        dictionary = ArrowArray()
        fill_array(dictionary, column.dictionary)
    places = _places(children)
    # The first buffer is the bitmap of what is not null; there are no nulls.
    starts = [0, *(_start(buffer) for buffer in column.buffers)]
    buffers = (_Words * len(starts))(*starts)
    struct.length = column.length
    struct.n_buffers = len(starts)
    struct.buffers = ctypes.addressof(buffers)
    struct.n_children = len(children)
    struct.children = ctypes.addressof(places) if len(children) else None
    struct.dictionary = None if dictionary is None else ctypes.addressof(dictionary)
    struct.private_data = hold(children, places, dictionary, buffers, tuple(column.buffers))
    struct.release = code().release_array


def _places(structs: Any) -> Any:
    step = ctypes.sizeof(structs._type_)
    start = ctypes.addressof(structs)
    return (_Words * len(structs))(*range(start, start + step * len(structs), step))


def _start(buffer: Any) -> int:
    """Return where the memory of a NumPy array begins; some address even when it is empty."""
    start: int = buffer.ctypes.data
    return start


_Get = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_GetText = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)


def _fill_stream(struct: Any, field: Field, batches: Iterator[Column]) -> None:
    """Write a stream into *struct*.

    These callbacks are Python code: they are called while a reader reads, and not, as `release`
    is, when an object dies.
    """
    said: list[Any] = [None]

    def get_schema(_: int, out: int) -> int:
        return guarded(lambda: fill_schema(ArrowSchema.from_address(out), field))

    def get_next(_: int, out: int) -> int:
        ctypes.memset(out, 0, ctypes.sizeof(ArrowArray))  # released: the end
        return guarded(lambda: write_next(out))

    def write_next(out: int) -> None:
        batch = next(batches, None)
        if batch is not None:
            fill_array(ArrowArray.from_address(out), batch)

    def guarded(work: Any) -> int:
        try:
            work()
        except Exception as error:  # noqa: BLE001  there is nobody above to raise it to
            text = f"{type(error).__name__}: {error}".encode("utf-8", "replace")
            said[0] = ctypes.create_string_buffer(text.replace(b"\0", b""))
            return errno.EIO
        return 0

    def get_last_error(_: int) -> Any:
        return None if said[0] is None else ctypes.addressof(said[0])

    callbacks = (_Get(get_schema), _Get(get_next), _GetText(get_last_error))
    struct.get_schema, struct.get_next, struct.get_last_error = map(address_of_function, callbacks)
    struct.private_data = hold(callbacks)
    struct.release = code().release_stream
