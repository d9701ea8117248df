"""`Map`: a live map. Typed item access, iteration and columns; per-CPU values as tuples."""

from __future__ import annotations

from skep.errors import SkepError
from skep.generic import Generic, K, V
from skep.maps import kinds
from skep.maps.items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any, Literal, TypeAlias, TypeVar, overload

    import numpy as np

    from skep.arrow.table import Table
    from skep.maps import batch

    Column: TypeAlias = np.ndarray[Any, Any]
    Enums: TypeAlias = Literal["numbers", "names"]
    Order: TypeAlias = Literal["big", "little"]
    ByteOrder: TypeAlias = Order | Mapping[str, Order] | None
    from skep.streams.ringbuf import RingBuffer

    J = TypeVar("J")  # of the keys that are wanted, W of the values
    W = TypeVar("W")


class Map(Items[K, V], Generic[K, V]):
    """A live map of the kernel; owns its descriptor.

    ``m[key]`` is the typed value and raises `MissingKeyError` (a KeyError) when there is none: a
    stored zero is a value, never an absence. Keys and values have the types that BTF declares
    (see `skep.btf.codec`); without BTF they are `bytes`, and array indices are integers all the
    same. The value of a per-CPU map is a tuple, one entry for each possible CPU.

    Iteration gives the keys as `dict` does, each once, and ends even while others change the
    map; entries that come or go meanwhile may or may not be seen. There is no ``len()`` of a hash
    map, as the kernel cannot tell: use `count`.

    Any number of threads may use one map, and any of them may close it: what the others have begun
    ends with the right result or with `ClosedError`. Every access to an item is atomic; an
    update of the value that was read before is two of them (`insert`, `replace`, `pop` and
    `setdefault` are made for that, or let the program in the kernel count).

    What the kernel refuses is a `MapError` that says why (`skep.errors`); a key or value that does
    not fit its type is a `TypeMismatchError` or `RangeError` that names the map, and says which
    of the two it is.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        @overload
        def stream(self, *, record: str, **options: Any) -> RingBuffer: ...
        @overload
        def stream(self, **options: Any) -> RingBuffer[V]: ...
        def stream(self, **options: Any) -> RingBuffer[Any]:
            """Open the reader of this ring buffer: `LiveMap.stream`."""

    @property
    def geometry(self) -> batch.Geometry:
        """What a walk over the whole map needs to know."""
        from skep.maps import batch

        cells = self.cells
        return batch.Geometry(
            fd=self._fd,
            type=self.spec.type,
            key_size=cells.key.size,
            value_size=cells.value.size,
            entries=self.spec.max_entries,
        )

    # Typed as the caller likes

    if TYPE_CHECKING:

        @overload
        def bind(
            self, key: type[J], value: type[W], *, enums: Enums = ..., addresses: bool = ...,
            byteorder: ByteOrder = ...,
        ) -> Map[J, W]: ...  # fmt: skip
        @overload
        def bind(
            self, key: None = ..., *, value: type[W], enums: Enums = ..., addresses: bool = ...,
            byteorder: ByteOrder = ...,
        ) -> Map[K, W]: ...  # fmt: skip
        @overload
        def bind(
            self, key: type[J], value: None = ..., *, enums: Enums = ..., addresses: bool = ...,
            byteorder: ByteOrder = ...,
        ) -> Map[J, V]: ...  # fmt: skip
        @overload
        def bind(
            self, key: Any = ..., value: Any = ..., *, enums: Enums = ..., addresses: bool = ...,
            byteorder: ByteOrder = ...,
        ) -> Map[Any, Any]: ...  # fmt: skip

    def bind(
        self,
        key: Any = None,
        value: Any = None,
        *,
        enums: Any = "numbers",
        addresses: bool = True,
        byteorder: Any = None,
    ) -> Any:
        """Return another view of this map, in which keys and values are what the caller wants.

        *key* and *value* are classes: a `Record` subclass, a dataclass or named tuple, a ctypes
        structure, a NumPy dtype, or, for what is no struct, `int`, `str`, `bytes`, an enum or an
        address of `ipaddress`. They are checked member by member, and lookups return them.
        *enums* are read as "numbers" or as "names". *addresses* tells whether they are objects or
        numbers. *byteorder* overrides that of the value ("big", "little"), or of members of the
        value or key (``{"port": "big", "key.address": "big"}``).

        The view shares this map's descriptor and is closed with it. Raises `TypeMismatchError`
        with both layouts side by side for a class that does not fit.
        """
        from skep.maps.bind import bound_cells

        return self.viewed(
            bound_cells(
                self.spec, self.cells, key, value,
                enums=enums, addresses=addresses, byteorder=byteorder,
            )
        )  # fmt: skip

    # Entry by entry

    def __iter__(self) -> Iterator[K]:
        from skep.maps import batch

        cells = self.cells
        if self.spec.type not in kinds.HASHES:
            for one in self._walked(batch.walk(self.geometry)):
                yield cells.key.unpack(one)
            return
        for rows, keys, _ in self._walked(batch.chunks(self.geometry)):
            # All of the chunk at once: the buffers are written again by the next step.
            size = cells.key.size
            yield from [cells.key.unpack(keys, at) for at in range(0, rows * size, size)]

    def keys(self) -> Iterator[K]:
        """Iterate over the keys."""
        return iter(self)

    def items(self) -> Iterator[tuple[K, V]]:
        """Iterate over (key, value), read in batches."""
        from skep.maps import batch

        cells = self.cells
        key, value = cells.key, cells.value
        for rows, keys, values in self._walked(batch.chunks(self.geometry)):
            yield from [
                (key.unpack(keys, row * key.size), value.unpack(values, row * value.size))
                for row in range(rows)
            ]

    def values(self) -> Iterator[V]:
        """Iterate over the values, read in batches."""
        from skep.maps import batch

        cell = self.cells.value
        for rows, _, values in self._walked(batch.chunks(self.geometry)):
            yield from [cell.unpack(values, row * cell.size) for row in range(rows)]

    def count(self) -> int:
        """Return the number of entries, by walking the map; arrays are always full."""
        from skep.maps import batch

        if self.spec.type not in kinds.HASHES:
            return sum(1 for _ in self._walked(batch.walk(self.geometry)))
        return sum(rows for rows, _, _ in self._walked(batch.chunks(self.geometry)))

    def clear(self) -> None:
        """Remove every entry; of an array, set every value to zero."""
        from skep.maps import batch

        for _ in self._walked(batch.chunks(self.geometry, delete=True)):
            pass

    def _walked(self, walk: Iterator[W]) -> Iterator[W]:
        """Yield what *walk* does; an error of the kernel says why."""
        try:
            yield from walk
        except SkepError as error:
            raise self._explained(error, None) from None

    # As columns

    def read(self, *, lock: bool = False) -> tuple[Column, Column]:
        """Return all keys and all values as NumPy arrays, read in a few system calls.

        The dtypes come from BTF and are structured for structs; rows of the two belong together.
        Values of a per-CPU map have the shape (rows, possible CPUs). The arrays own their memory.
        With *lock* each value is copied while its ``struct bpf_spin_lock`` is held.
        """
        from skep.maps.columns import read

        return read(self, lock=lock)

    def drain(self) -> tuple[Column, Column]:
        """Remove all entries and return them as `read` does; nothing is counted twice or lost.

        An update between the read and the removal of its entry is impossible where the kernel
        drains in batches (hash maps, Linux 5.6). `UnsupportedError` for arrays. When it fails on
        the way, as when another thread closes the map, the error's `evidence` has what was removed
        until then as ``keys`` and ``values``.
        """
        from skep.maps.columns import drain

        return drain(self)

    def update(self, keys: Any, values: Any = None, *, flags: int = 0, lock: bool = False) -> None:
        """Store many entries: two columns (arrays or iterables), or one mapping.

        Arrays with the map's own dtypes are stored without conversion; integers of another size
        are converted when all fit (`RangeError`); values of a per-CPU map are an array of shape
        (rows, possible CPUs). *flags* are `UpdateFlags`; with NOEXIST or EXIST, which the kernel
        does not take for a batch, each row is a system call. *lock* as for `read`.

        Nothing is stored when a key or value does not fit its type. When the kernel refuses a
        row, those before it are stored: the error's `evidence` has ``done``, how many they are,
        ``row``, which one was refused, and its ``key``.
        """
        from skep.maps.columns import update

        if values is None:
            if not hasattr(keys, "keys"):
                from skep.maps.failure import not_a_mapping

                raise not_a_mapping(self.name, keys)
            keys, values = list(keys.keys()), list(keys.values())
        update(self, keys, values, self._flags(flags, lock=lock))

    def delete(self, keys: Iterable[Any]) -> int:
        """Remove many keys, those that exist; return how many did."""
        from skep.maps.columns import delete

        return delete(self, keys)

    def to_arrow(
        self,
        *,
        cpus: Literal["lists", "rows"] = "lists",
        enums: Literal["numbers", "names"] = "numbers",
        text: Literal["utf8", "binary"] = "utf8",
        drain: bool = False,
    ) -> Table:
        """Return the whole map as a table that pyarrow, Polars, DuckDB and pandas take.

        Reads as `read` does (with *drain* as `drain`), but bit-fields are columns too, big-endian
        numbers become the machine's, and no library is needed here: the result has the Arrow
        PyCapsule interface (`skep.arrow.Table`). The table owns its memory.

        A scalar key is the column ``key``, the members of a struct are columns by their names,
        values likewise; names that key and value share become ``key.NAME`` and ``value.NAME``.
        Each column of a per-CPU map is a list with an item for each possible CPU, or with *cpus*
        "rows" there is a row for each key and CPU and a column ``cpu``. *enums* "names" makes
        dictionaries of names, *text* "binary" leaves char arrays the bytes that they are.
        `UnsupportedError` for types that are no columns.
        """
        from skep.maps.arrow import to_arrow

        return to_arrow(self, cpus=cpus, enums=enums, text=text, drain=drain)
