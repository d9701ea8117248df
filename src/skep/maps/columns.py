"""Whole maps as NumPy columns: read, drain, update, delete, zero."""

from __future__ import annotations

from skep.errors import KernelError, TypeMismatchError, UnsupportedError
from skep.kernel import bpf
from skep.maps import batch, kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    import numpy as np

    from skep.maps.map import Map

    Column = np.ndarray[Any, Any]


def read(map: Map) -> tuple[Column, Column]:
    """Return all (keys, values) of *map*."""
    if map.spec.type in kinds.ARRAYS:
        memory = _from_memory(map)
        if memory is not None:
            return memory
    rows, keys, values = batch.dump(map.geometry)
    return map.cells.key_column(keys, rows), map.cells.value_column(values, rows)


def drain(map: Map) -> tuple[Column, Column]:
    """Remove and return all (keys, values) of *map*."""
    if map.spec.type in kinds.INDEXED:
        message = f"the entries of map {map.name!r} cannot be removed: it is an array"
        raise UnsupportedError(message, hint="use read() and clear()", feature="drain of an array")
    rows, keys, values = batch.dump(map.geometry, delete=True)
    return map.cells.key_column(keys, rows), map.cells.value_column(values, rows)


def _from_memory(map: Map) -> tuple[Column, Column] | None:
    """Read an array through its shared memory, without a system call; None when it has none."""
    import numpy as np

    mapping = map.memory()
    if mapping is None:
        return None
    entries, slot = map.spec.max_entries, map.spec.value_size + 7 & ~7
    live: Column = np.ndarray(
        (entries,), map.cells.value_dtype, buffer=mapping.view, strides=(slot,)
    )
    return np.arange(entries, dtype=np.uint32), live.copy()


def update(map: Map, keys: Any, values: Any, flags: int) -> None:
    """Store the rows of two columns."""
    cells = map.cells
    packed_keys, rows = cells.pack_keys(keys)
    packed_values, others = cells.pack_values(values)
    if rows != others:
        message = f"map {map.name!r}: {rows} keys and {others} values do not belong together"
        raise TypeMismatchError(message, expected=f"{rows} values", given=others)
    if not rows:
        return
    try:
        bpf.map_update_batch(map.fd, packed_keys, packed_values, rows, flags)
    except KernelError as error:
        if getattr(error, "done", 0) or error.errno not in batch.UNSUPPORTED:
            raise
        key_size, value_size = cells.key.size, cells.value.size
        keys, values = memoryview(packed_keys), memoryview(packed_values)
        for row in range(rows):
            key = bytes(keys[row * key_size : (row + 1) * key_size])
            value = bytes(values[row * value_size : (row + 1) * value_size])
            bpf.map_update(map.fd, key, value, flags)


def delete(map: Map, keys: Iterable[Any]) -> int:
    """Remove the keys of a column, those that exist; return how many did."""
    packed, rows = map.cells.pack_keys(keys)
    view, size = memoryview(packed), map.cells.key.size
    done = removed = 0
    # The kernel stops at the first key that is absent (its count says where): pass over it.
    while done < rows:
        try:
            got = bpf.map_delete_batch(map.fd, view[done * size :], rows - done)
        except KernelError as error:
            if error.errno not in batch.UNSUPPORTED:
                raise
            one = bytes(view[done * size : (done + 1) * size])
            got = int(bpf.map_delete(map.fd, one))
        removed += got
        done += got + 1 if got < rows - done else got
    return removed


def zero(map: Map) -> None:
    """Set every value of an array to zero."""
    entries, size = map.spec.max_entries, map.cells.value.size
    mapping = map.memory()
    if mapping is not None and not mapping.view.readonly:
        mapping.view[:] = bytes(len(mapping.view))
        return
    step = max(1, min(entries, batch.CHUNK_BYTES // size))
    nothing, pack = bytes(step * size), map.cells.key.pack
    for start in range(0, entries, step):
        rows = min(step, entries - start)
        keys = b"".join([pack(index) for index in range(start, start + rows)])
        try:
            bpf.map_update_batch(map.fd, keys, nothing, rows)
        except KernelError as error:
            if error.errno not in batch.UNSUPPORTED:
                raise
            for index in range(start, start + rows):
                bpf.map_update(map.fd, pack(index), nothing[:size])
