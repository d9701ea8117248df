"""Whole maps as NumPy columns: read, drain, update, delete, zero."""

from __future__ import annotations

from skep.errors import KernelError, SkepError, TypeMismatchError, UnsupportedError
from skep.kernel import bpf
from skep.maps import batch, kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    import numpy as np

    from skep.maps.map import Map

    Column = np.ndarray[Any, Any]

_LOCK = 4  # UpdateFlags.LOCK
_SINGLY = 8  # keys removed one by one after a batch that ended before as many


def read(map: Map, *, lock: bool = False) -> tuple[Column, Column]:
    """Return all (keys, values) of *map*."""
    rows, keys, values = raw(map, lock=lock)
    return map.cells.key_column(keys, rows), map.cells.value_column(values, rows)


def drain(map: Map) -> tuple[Column, Column]:
    """Remove and return all (keys, values) of *map*."""
    check_drain(map)
    # Before anything is removed: what cannot be a column would be gone for nothing.
    _ = map.cells.key_dtype, map.cells.value_dtype
    rows, keys, values = raw(map, delete=True)
    return map.cells.key_column(keys, rows), map.cells.value_column(values, rows)


def check_drain(map: Map) -> None:
    """Raise `UnsupportedError` when entries of *map* cannot be removed."""
    if map.spec.type in kinds.INDEXED:
        message = f"the entries of map {map.name!r} cannot be removed: it is an array"
        raise UnsupportedError(message, hint="use read() and clear()", feature="drain of an array")


def raw(map: Map, *, delete: bool = False, lock: bool = False) -> tuple[int, Any, Any]:
    """Return (rows, keys, values) of the whole map; the two are arrays of packed bytes.

    Without a system call for an array that shares its memory, except with *lock*.
    """
    if map.spec.type in kinds.ARRAYS and not (delete or lock):
        found = _from_memory(map)
        if found is not None:
            return found
    from skep.maps.dump import dump

    try:
        return dump(map.geometry, delete=delete, flags=_LOCK if lock else 0)
    except SkepError as error:
        taken = error.evidence.pop("taken", None)
        told: SkepError = error
        if isinstance(error, KernelError):
            told = _explained(map, error, flags=_LOCK if lock else 0)
        if taken is not None:
            told.evidence.update(zip(("keys", "values"), _columns(map, *taken), strict=True))
        raise told from None


def _columns(map: Map, rows: int, keys: Any, values: Any) -> tuple[Any, Any]:
    """Return packed keys and values as columns, or as they are when their types are none."""
    try:
        return map.cells.key_column(keys, rows), map.cells.value_column(values, rows)
    except UnsupportedError:
        return keys, values


def _from_memory(map: Map) -> tuple[int, Any, Any] | None:
    """Copy an array from its shared memory; None when it has none."""
    import numpy as np

    mapping = map.memory()
    if mapping is None:
        return None
    entries, size = map.spec.max_entries, map.spec.value_size
    slot = size + 7 & ~7
    live = np.frombuffer(mapping.view, np.uint8, entries * slot)
    values = live.copy() if slot == size else live.reshape(entries, slot)[:, :size].copy()
    return entries, np.arange(entries, dtype=np.uint32).view(np.uint8), values.reshape(-1)


def update(map: Map, keys: Any, values: Any, flags: int) -> None:
    """Store the rows of two columns, all with *flags*."""
    cells = map.cells
    packed_keys, rows = cells.pack_keys(keys)
    packed_values, others = cells.pack_values(values)
    if rows != others:
        message = f"map {map.name!r}: {rows} keys and {others} values do not belong together"
        raise TypeMismatchError(message, expected=f"{rows} values", given=others)
    if not rows:
        return
    done, flags = 0, int(flags)
    # A batch takes no flag but LOCK (``generic_map_update_batch``).
    if not flags & ~_LOCK:
        try:
            bpf.map_update_batch(map.fd, packed_keys, packed_values, rows, flags)
        except KernelError as error:
            done = error.evidence.get("done", 0)
            if done or error.errno not in batch.UNSUPPORTED:
                raise _refused(map, error, packed_keys, done, rows, flags) from None
        else:
            return
    key_at, value_at = _rows(packed_keys, cells.key.size), _rows(packed_values, cells.value.size)
    try:
        while done < rows:
            bpf.map_update(map.fd, key_at(done), value_at(done), flags)
            done += 1
    except KernelError as error:
        raise _refused(map, error, packed_keys, done, rows, flags) from None


def delete(map: Map, keys: Iterable[Any]) -> int:
    """Remove the keys of a column, those that exist; return how many did."""
    packed, rows = map.cells.pack_keys(keys)
    if isinstance(packed, bytes):
        packed = bytearray(packed)  # of which a part has an address without being copied
    view, size = memoryview(packed), map.cells.key.size
    one = _rows(packed, size)
    done = removed = singly = 0
    batches = True
    # The kernel stops at the first key that is absent (its count says where): pass over it. Where
    # that is soon, the next ones go singly: a batch costs twice as much as one key.
    try:
        while done < rows:
            if batches and done >= singly:
                try:
                    got = bpf.map_delete_batch(map.fd, view[done * size :], rows - done)
                except KernelError as error:
                    done += error.evidence.get("done", 0)
                    removed += error.evidence.get("done", 0)
                    if error.errno not in batch.UNSUPPORTED:
                        raise
                    batches = False
                    continue
                done += got + 1
                singly = done + _SINGLY if got < _SINGLY else done
            else:
                got = bpf.map_delete(map.fd, one(done))
                done += 1
            removed += got
    except KernelError as error:
        raise _explained(map, error, key=map.cells.key.unpack(one(done))) from None
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
    try:
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
    except KernelError as error:
        raise _explained(map, error) from None


def _rows(packed: Any, size: int) -> Callable[[int], bytes]:
    """Return what gives one row of *packed* as bytes."""
    view = memoryview(packed)
    return lambda row: bytes(view[row * size : (row + 1) * size])


def _explained(map: Map, error: KernelError, *, key: Any = None, flags: int = 0) -> SkepError:
    from skep.maps.refusal import refused

    return refused(map, error, key, flags=flags)


def _refused(map: Map, error: KernelError, keys: Any, row: int, rows: int, flags: int) -> SkepError:
    """Say which row the kernel refused, and that those before it are stored."""
    key = map.cells.key.unpack(_rows(keys, map.cells.key.size)(row))
    found = _explained(map, error, key=key, flags=flags)
    stored = f"{row} {'row' if row == 1 else 'rows'} of {rows} are stored"
    message = f"{found.message}; {stored}, row {row} (key {key!r:.60}) is the first that is not"
    evidence = {**found.evidence, "done": row, "row": row, "rows": rows, "key": key}
    return type(found)(message, hint=found.hint, **evidence)
