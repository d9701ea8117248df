"""`Table`: named columns that any library which reads Arrow takes."""

from __future__ import annotations

from skep.arrow.column import Column
from skep.arrow.fields import Group
from skep.errors import RangeError, TypeMismatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Self

    import numpy as np

    from skep.arrow.fields import Field

    Array = np.ndarray[Any, Any]


class Table:
    """Columns of the same length, by name. It never changes and owns its memory.

    It has the Arrow PyCapsule interface, so ``pyarrow.table(t)``, ``polars.DataFrame(t)``,
    ``duckdb.sql("from t")`` and ``pandas.DataFrame.from_arrow(t)`` take it, without pyarrow in
    between where they do not need it themselves. They take the memory as it is; it lives until the
    last of them lets go of it. A table may be exported any number of times, from any thread.
    """

    __slots__ = ("__weakref__", "_column", "_field")

    def __init__(self, fields: Sequence[Field], columns: Sequence[Column]) -> None:
        lengths = {column.length for column in columns}
        if len(lengths) > 1:
            said = ", ".join(
                f"{field.name} {column.length}"
                for field, column in zip(fields, columns, strict=True)
            )
            message = f"columns of one table have the same number of rows; these have {said}"
            raise TypeMismatchError(message, expected="one length", given=sorted(lengths))
        names = [field.name for field in fields]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            message = f"two columns are called {twice!r}"
            raise RangeError(message, expected="names that differ", given=twice)
        self._field = Group("", [(field, 0, 0) for field in fields])
        self._column = Column(lengths.pop() if lengths else 0, children=columns)

    @classmethod
    def from_numpy(cls, columns: Mapping[str, Array] | Array, *, text: str = "utf8") -> Self:
        """Make a table of NumPy arrays by name, or of one structured array.

        Numbers in one piece and in the machine's byte order are not copied: do not change them as
        long as the table lives. ``S`` columns become text up to the first NUL (*text* "binary":
        bytes), structs Arrow structs, arrays in a dtype lists, ``u1`` arrays and ``V`` bytes.
        `UnsupportedError` for a dtype that Arrow has no type for.
        """
        import numpy as np

        from skep.arrow.describe import Choices, base_of, of_dtype

        if isinstance(columns, np.ndarray):
            array = columns
            if array.dtype.names is None or array.ndim != 1:
                message = (
                    f"a table is made of a structured array of one dimension, not {array!r:.60}"
                )
                raise TypeMismatchError(message, expected="a structured array", given=array.dtype)
            columns = {name: array[name] for name in array.dtype.names}
        fields, made = [], []
        for name, one in columns.items():
            array = np.asarray(one)
            if not array.ndim:
                message = f"column {name!r} is {one!r:.60}, expected an array with a dimension"
                raise TypeMismatchError(message, expected="an array", given=one)
            dtype = base_of(array.dtype, array.shape[1:])
            choices = Choices(rows=len(array), binary=binary(text))
            field = of_dtype(name, dtype, choices)
            fields.append(field)
            made.append(field.column(rows_of(array)))
        return cls(fields, made)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(field.name for field in self._field.children)

    @property
    def nbytes(self) -> int:
        """Bytes that the columns have."""
        return self._column.nbytes

    def __len__(self) -> int:
        return self._column.length

    def __repr__(self) -> str:
        return f"<Table {len(self)} rows: {', '.join(self.names)}>"

    def __arrow_c_schema__(self) -> object:
        """Return the types of the columns, as a capsule "arrow_schema"."""
        from skep.arrow.export import schema_capsule

        return schema_capsule(self._field)

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """Return the columns as one struct array: capsules "arrow_schema" and "arrow_array".

        *requested_schema* is not looked at, as the interface allows: the reader converts.
        """
        from skep.arrow.export import array_capsule, schema_capsule

        return schema_capsule(self._field), array_capsule(self._column)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the columns as a stream of one batch: a capsule "arrow_array_stream".

        *requested_schema* is not looked at, as the interface allows: the reader converts.
        """
        from skep.arrow.export import stream_capsule

        return stream_capsule(self._field, iter([self._column]))


def binary(text: str) -> bool:
    """Check the choice for arrays of char, "utf8" or "binary"; tell whether it is "binary"."""
    if text not in {"utf8", "binary"}:
        message = f"text is {text!r}, expected 'utf8' or 'binary'"
        raise RangeError(message, expected="'utf8' or 'binary'", given=text)
    return text == "binary"


def rows_of(array: Array) -> Array:
    """Return the bytes of *array*: for each of its items a row, without copying if possible."""
    import numpy as np

    if array.ndim > 1:  # an item is an array itself, which has to be in one piece
        array = np.ascontiguousarray(array)
    rows, size = len(array), array.dtype.itemsize
    for length in array.shape[1:]:
        size *= length
    if not rows or not size:
        return np.empty((rows, size), np.uint8)
    return np.asarray(_Bytes(array, (rows, size), (array.strides[0], 1)))


class _Bytes:
    """The memory of an array as bytes; NumPy itself makes a view of bytes only without gaps."""

    def __init__(self, array: Array, shape: tuple[int, int], strides: tuple[int, int]) -> None:
        self.array = array  # NumPy keeps this object, and so the memory
        self.__array_interface__ = {
            "version": 3,
            "typestr": "|u1",
            "data": (array.ctypes.data, not array.flags.writeable),
            "shape": shape,
            "strides": strides,
        }
