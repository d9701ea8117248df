"""Keys and values of a map as bytes: codecs, the per-CPU layout, and NumPy dtypes.

A per-CPU value is, for user space, one *slot* for each possible CPU, each slot being the value
rounded up to 8 bytes (kernel: ``bpf_percpu_hash_copy``, ``bpf_percpu_array_copy``).
"""

from __future__ import annotations

import sys
from _operator import index as to_index  # operator without its Python part

from skep.errors import RangeError, TypeMismatchError, UnsupportedError
from skep.kernel.constants import MapType
from skep.maps import kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    import numpy as np

    from skep.btf.btf import Btf
    from skep.maps.spec import MapSpec

    class Cell(Protocol):
        """What turns one key or value into bytes and back (`skep.btf.codec.Codec`)."""

        @property
        def size(self) -> int:
            """Bytes of one packed value."""

        def pack(self, value: Any) -> bytes:
            """Return *value* as `size` bytes."""

        def unpack(self, buffer: Any, offset: int = 0) -> Any:
            """Return the value at *offset* of *buffer*."""


class Index:
    """The u32 key of array-like maps: plain integers, in the machine's byte order."""

    __slots__ = ()

    size = 4

    @property
    def dtype(self) -> np.dtype[Any]:
        """What a column of indices is made of."""
        import numpy as np

        return np.dtype(np.uint32)

    def pack(self, value: Any) -> bytes:
        """Return *value*, anything that is an integer from 0 to 2**32 - 1, as 4 bytes."""
        try:
            number = to_index(value)
        except TypeError:
            message = f"an array index is an integer, not {type(value).__name__} {value!r:.60}"
            raise TypeMismatchError(message, expected="u32", given=value) from None
        if not 0 <= number < 1 << 32:
            expected = "0 to 2**32 - 1"
            message = f"{number} is not an array index: expected {expected}"
            raise RangeError(message, expected=expected, given=value)
        return bytes(number.to_bytes(4, sys.byteorder))

    def unpack(self, buffer: Any, offset: int = 0) -> int:
        """Return the index at *offset*."""
        return int.from_bytes(buffer[offset : offset + 4], sys.byteorder)


class PerCpu:
    """One value for each possible CPU, as a tuple; *cell* is the codec of one of them."""

    __slots__ = ("cell", "cpus", "size", "slot")

    def __init__(self, cell: Cell, cpus: int) -> None:
        self.cell = cell
        self.cpus = cpus
        self.slot = cell.size + 7 & ~7
        self.size = self.slot * cpus

    def pack(self, value: Any) -> bytes:
        """Return a sequence of one value for each possible CPU as padded slots."""
        if not isinstance(value, (tuple, list)) or len(value) != self.cpus:
            given = f"{len(value)} values" if isinstance(value, (tuple, list)) else repr(value)
            message = f"expected a sequence of {self.cpus} values, one for each CPU, not {given}"
            raise TypeMismatchError(message, expected=f"{self.cpus} values", given=value)
        pad = bytes(self.slot - self.cell.size)
        try:
            return b"".join([self.cell.pack(one) + pad for one in value])
        except (TypeMismatchError, RangeError):
            from skep.maps.failure import misfit_of_one

            raise misfit_of_one(self.cell.pack, value) from None

    def unpack(self, buffer: Any, offset: int = 0) -> tuple[Any, ...]:
        """Return the tuple of one value for each possible CPU at *offset*."""
        end = offset + self.size
        return tuple([self.cell.unpack(buffer, at) for at in range(offset, end, self.slot)])


class Cells:
    """The key and value codecs of one map, made once and never changed (so: thread-safe).

    *key* and *value* are cells to use in place of those that BTF describes. The value is that of
    one CPU; a per-CPU map is given one for each by this class.
    """

    __slots__ = ("_dtypes", "cpus", "key", "spec", "value")

    def __init__(self, spec: MapSpec, key: Cell | None = None, value: Cell | None = None) -> None:
        self.spec = spec
        self.key: Cell = key_cell(spec) if key is None else key
        one: Cell = value_cell(spec) if value is None else value
        self.cpus = 0
        if spec.type in kinds.PER_CPU:
            from skep.kernel.cpus import possible_cpus

            self.cpus = possible_cpus()
            one = PerCpu(one, self.cpus)
        self.value: Cell = one
        self._dtypes: dict[str, np.dtype[Any]] = {}

    @property
    def key_dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of one key; `UnsupportedError` for one that cannot be a column."""
        return self._dtype("key", self.key)

    @property
    def value_dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of one value (of one CPU); `UnsupportedError` as for `key_dtype`."""
        return self._dtype("value", self.value)

    def _dtype(self, role: str, cell: Any) -> np.dtype[Any]:
        found = self._dtypes.get(role)
        if found is None:
            if isinstance(cell, PerCpu):
                cell = cell.cell
            found = getattr(cell, "dtype", None)
            if found is None:
                raise UnsupportedError(
                    f"the {role}s of map {self.spec.name!r} cannot be a NumPy column",
                    hint="read them one by one, with items()",
                    feature="columns",
                )
            self._dtypes[role] = found
        return found

    def key_column(self, data: Any, rows: int) -> np.ndarray[Any, Any]:
        """Return *rows* packed keys as an array over the memory of *data*."""
        import numpy as np

        return np.ndarray((rows,), self.key_dtype, buffer=data)

    def value_column(self, data: Any, rows: int) -> np.ndarray[Any, Any]:
        """Return *rows* packed values as an array (per-CPU: (rows, cpus)) over *data*."""
        import numpy as np

        dtype = self.value_dtype
        if not self.cpus:
            return np.ndarray((rows,), dtype, buffer=data)
        if not rows:  # strides over nothing are an error
            return np.empty((0, self.cpus), dtype)
        slot = self.value.size // self.cpus
        shape, strides = (rows, self.cpus), (self.value.size, slot)
        return np.ndarray(shape, dtype, buffer=data, strides=strides)

    def pack_keys(self, keys: Any) -> tuple[Any, int]:
        """Return a column or iterable of keys as (packed bytes, rows)."""
        return self._pack(keys, self.key, "keys")

    def pack_values(self, values: Any) -> tuple[Any, int]:
        """Return a column or iterable of values as (packed bytes, rows)."""
        return self._pack(values, self.value, "values")

    def _pack(self, column: Any, cell: Cell, what: str) -> tuple[Any, int]:
        if hasattr(column, "__array_interface__") and getattr(column, "shape", None) != ():
            return _pack_array(self, column, cell, what)
        return self.pack_each(column, cell, what)

    def pack_each(self, column: Any, cell: Cell, what: str) -> tuple[Any, int]:
        """Return an iterable of *what* ("keys" or "values") as (packed bytes, rows)."""
        try:
            ones = iter(column)
        except TypeError:
            from skep.maps.failure import not_a_column

            raise not_a_column(self.spec.name, what, column) from None
        packed: list[bytes] = []
        try:
            for one in ones:
                packed.append(cell.pack(one))  # noqa: PERF401  how many there are is the row
        except (TypeMismatchError, RangeError) as error:
            from skep.maps.failure import misfit

            raise misfit(error, self.spec, what[:-1], row=len(packed)) from None
        return b"".join(packed), len(packed)


def _pack_array(cells: Cells, column: Any, cell: Cell, what: str) -> tuple[Any, int]:
    """Pack a NumPy column: as it is when its dtype matches, cast when no value changes."""
    import numpy as np

    array = np.asarray(column)
    dtype = cells.key_dtype if what == "keys" else cells.value_dtype
    cpus = cells.cpus if what == "values" else 0
    name = cells.spec.name
    if array.dtype.names is None and dtype.subdtype is not None:
        return _pack_rows(cells, array, cell, dtype, what)
    shape = (len(array), cpus) if cpus else (len(array),)
    if array.shape != shape:
        message = f"map {name!r}: {what} have shape {array.shape}, expected {shape}"
        raise TypeMismatchError(
            message, expected=str(shape), given=array.shape, map=name, role=what[:-1]
        )
    if array.dtype != dtype:
        if array.dtype.kind not in "biu" or dtype.kind not in "biu":
            message = f"map {name!r}: {what} are {array.dtype}, expected {dtype}"
            raise TypeMismatchError(
                message, expected=str(dtype), given=str(array.dtype), map=name, role=what[:-1]
            )
        cast = array.astype(dtype)
        # A negative number in an unsigned column survives the round trip, not the comparison.
        if not np.array_equal(cast, array):
            wrong = array[cast != array].flat[0].item()
            message = f"map {name!r}: {what} do not all fit {dtype}: {wrong} does not"
            raise RangeError(message, expected=str(dtype), given=wrong, map=name, role=what[:-1])
        array = cast
    array = _unpadded(array)
    if not cpus:
        return np.ascontiguousarray(array).view(np.uint8).reshape(-1), len(array)
    packed = np.zeros(len(array) * cell.size, np.uint8)
    cells.value_column(packed, len(array))[...] = array
    return packed, len(array)


def _pack_rows(
    cells: Cells, array: np.ndarray[Any, Any], cell: Cell, dtype: np.dtype[Any], what: str
) -> tuple[Any, int]:
    """Pack values that are arrays themselves, whose dtype has a shape: row by row."""
    import numpy as np

    base, inner = dtype.subdtype or (dtype, ())
    if array.shape[1:] != inner or array.dtype != base:
        return cells.pack_each(array.tolist(), cell, what)
    array = _unpadded(array)
    return np.ascontiguousarray(array).view(np.uint8).reshape(-1), len(array)


def _unpadded(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return *array* with zeros in its padding, itself when it has none.

    What NumPy copies by member (a selection of rows, a sort) has anything there, and the kernel
    compares keys byte by byte.
    """
    import numpy as np

    if array.dtype.names is None:
        return array
    covered = _covered(array.dtype)
    if covered.all():
        return array
    rows = np.ascontiguousarray(array).view(np.uint8).reshape(-1, array.dtype.itemsize)
    clean: np.ndarray[Any, Any] = (rows & covered).view(array.dtype)
    return clean.reshape(array.shape)


def _covered(dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return 255 for every byte that belongs to a member, 0 for padding."""
    import numpy as np

    if dtype.subdtype is not None:
        inner = _covered(dtype.subdtype[0])
        return np.tile(inner, dtype.itemsize // max(1, len(inner)))
    if dtype.fields is None:
        return np.full(dtype.itemsize, 255, np.uint8)
    found = np.zeros(dtype.itemsize, np.uint8)
    for member in dtype.fields.values():
        found[member[1] : member[1] + member[0].itemsize] |= _covered(member[0])
    return found


def key_cell(spec: MapSpec) -> Cell:
    """Return the cell of a map's keys as its type and BTF say."""
    indexed = spec.type in kinds.INDEXED or spec.type == MapType.STRUCT_OPS
    if indexed and spec.key_size == 4:
        return Index()
    return _cell(spec, "key", spec.key_type_id, spec.key_size)


def value_cell(spec: MapSpec) -> Cell:
    """Return the cell of a map's values as BTF says; of one CPU's, in a per-CPU map."""
    return _cell(spec, "value", spec.value_type_id, spec.value_size)


def _cell(spec: MapSpec, what: str, type_id: int, size: int) -> Cell:
    """Return the codec of the map's key or value, checked against the map's size for it."""
    from skep.btf.codec import codec, raw_codec

    if spec.btf is None or not type_id or _is_section(spec.btf, type_id):
        return raw_codec(size)
    if spec.type == MapType.PERF_EVENT_ARRAY and what == "value":
        return raw_codec(size)  # a descriptor; the type is that of the records
    cell = codec(spec.btf, type_id)
    if cell.size != size:
        message = (
            f"map {spec.name!r}: its {what}s are {size} bytes, "
            f"but the declared type has {cell.size}"
        )
        raise TypeMismatchError(
            message, expected=f"{size} bytes", given=cell.size, map=spec.name, role=what
        )
    return cell


def _is_section(btf: Btf, type_id: int) -> bool:
    """Tell whether this is a data section, whose values `Variable` reads one by one."""
    from skep.btf.types import DataSec

    return isinstance(btf.type(type_id), DataSec)
