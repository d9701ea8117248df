"""`Map`: a live map. Typed item access, iteration and columns; per-CPU values as tuples."""

from __future__ import annotations

from skep.errors import (
    ClosedError,
    KernelError,
    MissingKeyError,
    RangeError,
    SkepError,
    TypeMismatchError,
    UnsupportedError,
)
from skep.kernel import bpf
from skep.kernel.constants import MapFlags, MapType
from skep.maps import kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Self, TypeAlias

    import numpy as np

    from skep.kernel.bpf.info import MapInfo
    from skep.kernel.fd import FD
    from skep.kernel.memory import Mapping
    from skep.maps import batch
    from skep.maps.cells import Cells
    from skep.maps.spec import MapSpec
    from skep.streams.ringbuf import RingBuffer

    Column: TypeAlias = np.ndarray[Any, Any]

_ABSENT: Any = object()
_MISFIT = (TypeMismatchError, RangeError)


class Map:
    """A live map of the kernel; owns its descriptor.

    ``m[key]`` is the typed value and raises `MissingKeyError` (a KeyError) when there is none: a
    stored zero is a value, never an absence. Keys and values have the types that BTF declares
    (see `skep.btf.codec`); without BTF they are `bytes`, and array indices are integers all the
    same. The value of a per-CPU map is a tuple, one entry for each possible CPU.

    Iteration gives the keys as `dict` does, each once, and ends even while others change the
    map; entries that come or go meanwhile may or may not be seen. There is no ``len()`` of a hash
    map, as the kernel cannot tell: use `count`.

    Any number of threads may use one map. Close it when they are done with it: a call that
    starts after `close` raises `ClosedError`, but nothing guards a call that is under way in
    another thread, whose descriptor number the kernel may give to the next file opened.

    Errors of the kernel are `KernelError`; a key or value that does not fit its type is a
    `TypeMismatchError` or `RangeError` that names the map, and says which of the two it is.
    """

    __slots__ = ("__weakref__", "_cells", "_fd", "_ledger", "_memory", "_streams", "spec")

    def __init__(self, fd: FD, spec: MapSpec) -> None:
        self._fd = fd
        self.spec = spec
        self._cells: Cells | None = None
        self._memory: Mapping | None = None
        self._ledger: Callable[[], tuple[int, int]] | None = None
        self._streams: list[RingBuffer] = []

    @classmethod
    def from_pin(cls, path: str) -> Self:
        """Open the map pinned at *path*, typed by the BTF it was created with.

        Raises `KernelError`, with ENOENT and the close names when there is no such pin.
        """
        try:
            fd = bpf.obj_get(path)
        except KernelError as error:
            from skep.maps.failure import no_pin

            raise no_pin(path, error) from error
        return cls.from_fd(fd)

    @classmethod
    def from_id(cls, id: int) -> Self:
        """Open the map of the system that has this *id*, typed by the BTF it was created with."""
        return cls.from_fd(bpf.fd_by_id("map", id))

    @classmethod
    def from_fd(cls, fd: FD) -> Self:
        """Take over *fd*, asking the kernel for the map's shape and types."""
        from skep.maps.pins import spec_of

        try:
            return cls(fd, spec_of(fd))
        except BaseException:
            fd.close()
            raise

    # Identity and lifetime

    @property
    def name(self) -> str:
        """The name in the object file; the kernel keeps its first 15 characters."""
        return self.spec.name

    @property
    def type(self) -> MapType:
        """The map type."""
        return MapType(self.spec.type)

    @property
    def fd(self) -> FD:
        """The descriptor, owned by this map."""
        return self._fd

    @property
    def info(self) -> MapInfo:
        """What the kernel says about the map now (BPF_OBJ_GET_INFO_BY_FD)."""
        return bpf.map_info(self._fd)

    @property
    def id(self) -> int:
        """The system-wide id; a number that may be given to another map once this one is gone."""
        return self.info.id

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._fd.closed

    def fileno(self) -> int:
        """Return the descriptor's number, or raise `ClosedError`."""
        return self._fd.fileno()

    def close(self) -> None:
        """Close the map, its memory and its streams. The kernel frees it when nobody uses it."""
        streams, self._streams = self._streams, []
        for stream in streams:
            stream.close()
        if self._memory is not None:
            self._memory.close()
            self._memory = None
        self._fd.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = " (closed)" if self.closed else ""
        return f"<Map {self.name!r} {kinds.type_name(self.spec.type)}{state}>"

    def pin(self, path: str) -> None:
        """Give the map a name in a bpf file system; it then outlives this process."""
        bpf.obj_pin(self._fd, path)

    def freeze(self) -> None:
        """Make the map read-only for user space, for good; its programs may still write."""
        bpf.map_freeze(self._fd)

    # Items

    @property
    def cells(self) -> Cells:
        """The codecs of keys and values."""
        if self._cells is None:
            if self.spec.type in kinds.KEYLESS:
                message = f"{self._what()} has no keys: items cannot be read or written by key"
                hint = "read its records with stream()" if self._is_ring() else ""
                raise UnsupportedError(message, hint=hint, feature="map items")
            from skep.maps.cells import Cells  # not for loading

            self._cells = Cells(self.spec)
        return self._cells

    def __getitem__(self, key: Any) -> Any:
        cells = self.cells
        value = bytearray(cells.value.size)
        try:
            found = bpf.map_lookup(self._fd, cells.key.pack(key), value)
        except _MISFIT as error:
            raise self._misfit(error, "key") from None
        if not found:
            raise self._missing(key)
        return cells.value.unpack(value)

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of *key*, or *default* when there is none."""
        cells = self.cells
        value = bytearray(cells.value.size)
        try:
            found = bpf.map_lookup(self._fd, cells.key.pack(key), value)
        except _MISFIT as error:
            raise self._misfit(error, "key") from None
        return cells.value.unpack(value) if found else default

    def __contains__(self, key: Any) -> bool:
        cells = self.cells
        try:
            return bpf.map_lookup(self._fd, cells.key.pack(key), bytearray(cells.value.size))
        except _MISFIT as error:
            raise self._misfit(error, "key") from None

    def __setitem__(self, key: Any, value: Any) -> None:
        cells = self.cells
        try:
            if self.spec.type in kinds.DESCRIPTORS:
                packed = _descriptor(value)
            else:
                packed = cells.value.pack(value)
        except _MISFIT as error:
            raise self._misfit(error, "value") from None
        try:
            bpf.map_update(self._fd, cells.key.pack(key), packed)
        except _MISFIT as error:
            raise self._misfit(error, "key") from None

    def __delitem__(self, key: Any) -> None:
        try:
            found = bpf.map_delete(self._fd, self.cells.key.pack(key))
        except _MISFIT as error:
            raise self._misfit(error, "key") from None
        if not found:
            raise self._missing(key)

    def pop(self, key: Any, default: Any = _ABSENT) -> Any:
        """Remove *key* and return its value; *default*, or `MissingKeyError`, when absent.

        One atomic call where the kernel has it (hash maps since Linux 5.14), else two.
        """
        cells = self.cells
        value = bytearray(cells.value.size)
        try:
            packed = cells.key.pack(key)
        except _MISFIT as error:
            raise self._misfit(error, "key") from None
        try:
            found = bpf.map_lookup_and_delete(self._fd, packed, value)
        except SkepError as error:
            from skep.maps import batch

            if getattr(error, "errno", None) not in batch.UNSUPPORTED:
                raise
            found = bpf.map_lookup(self._fd, packed, value) and bpf.map_delete(self._fd, packed)
        if found:
            return cells.value.unpack(value)
        if default is _ABSENT:
            raise self._missing(key)
        return default

    def __iter__(self) -> Iterator[Any]:
        from skep.maps import batch

        cells = self.cells
        if self.spec.type in kinds.ARRAYS:
            yield from range(self.spec.max_entries)
            return
        if self.spec.type not in kinds.HASHES:
            for one in batch.walk(self.geometry):
                yield cells.key.unpack(one)
            return
        for rows, keys, _ in batch.chunks(self.geometry):
            # All of the chunk at once: the buffers are written again by the next step.
            size = cells.key.size
            yield from [cells.key.unpack(keys, at) for at in range(0, rows * size, size)]

    def keys(self) -> Iterator[Any]:
        """Iterate over the keys."""
        return iter(self)

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Iterate over (key, value), read in batches."""
        from skep.maps import batch

        cells = self.cells
        key, value = cells.key, cells.value
        for rows, keys, values in batch.chunks(self.geometry):
            yield from [
                (key.unpack(keys, row * key.size), value.unpack(values, row * value.size))
                for row in range(rows)
            ]

    def values(self) -> Iterator[Any]:
        """Iterate over the values, read in batches."""
        from skep.maps import batch

        cell = self.cells.value
        for rows, _, values in batch.chunks(self.geometry):
            yield from [cell.unpack(values, row * cell.size) for row in range(rows)]

    def count(self) -> int:
        """Return the number of entries, by walking the map; arrays are always full."""
        from skep.maps import batch

        if self.spec.type in kinds.ARRAYS:
            return self.spec.max_entries
        if self.spec.type not in kinds.HASHES:
            return sum(1 for _ in batch.walk(self.geometry))
        return sum(rows for rows, _, _ in batch.chunks(self.geometry))

    def clear(self) -> None:
        """Remove every entry; of an array, set every value to zero."""
        if self.spec.type in kinds.ARRAYS:
            from skep.maps.columns import zero

            zero(self)
            return
        from skep.maps import batch

        for _ in batch.chunks(self.geometry, delete=True):
            pass

    # Columns

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

    def read(self) -> tuple[Column, Column]:
        """Return all keys and all values as NumPy arrays, read in a few system calls.

        The dtypes come from BTF and are structured for structs; rows of the two belong together.
        Values of a per-CPU map have the shape (rows, possible CPUs). The arrays own their memory.
        """
        from skep.maps.columns import read

        return read(self)

    def drain(self) -> tuple[Column, Column]:
        """Remove all entries and return them as `read` does; nothing is counted twice or lost.

        An update between the read and the removal of its entry is impossible where the kernel
        drains in batches (hash maps, Linux 5.6). `UnsupportedError` for arrays.
        """
        from skep.maps.columns import drain

        return drain(self)

    def update(self, keys: Any, values: Any = None, *, flags: int = 0) -> None:
        """Store many entries: two columns (arrays or iterables), or one mapping.

        *flags* are `UpdateFlags`, e.g. NOEXIST. Arrays with the map's own dtypes are stored
        without conversion; integers of another size are converted when all fit (`RangeError`).
        """
        from skep.maps.columns import update

        if values is None:
            if not hasattr(keys, "keys"):
                from skep.maps.failure import not_a_mapping

                raise not_a_mapping(self.name, keys)
            keys, values = list(keys.keys()), list(keys.values())
        update(self, keys, values, flags)

    def delete(self, keys: Iterable[Any]) -> int:
        """Remove many keys, those that exist; return how many did."""
        from skep.maps.columns import delete

        return delete(self, keys)

    # Streams

    def bind_ledger(self, reader: Callable[[], tuple[int, int]]) -> None:
        """Tell the streams of this map where its BPF side counts (produced, lost) records."""
        self._ledger = reader

    def stream(self, *, record: str = "", **options: Any) -> RingBuffer:
        """Open the reader of this ring buffer; see `RingBuffer` for the *options*.

        The records have the type that the map declares, or the struct called *record* in the
        object's BTF (`NotFoundError` when there is none). The map owns the reader and closes it
        with itself; closing it earlier is fine. A ring buffer has one consumer position, so
        there is one open reader at a time (`SkepError`).
        """
        if not self._is_ring():
            message = f"{self._what()} is not a ring buffer: it has no stream"
            hint = "read it as columns with read()"
            raise UnsupportedError(message, hint=hint, feature="stream")
        if self.closed:
            raise ClosedError(f"{self._what()} is closed")
        self._streams = [stream for stream in self._streams if not stream.closed]
        if self._streams:
            message = f"{self._what()} has an open reader already, and a ring buffer takes one"
            raise SkepError(message, hint="use that reader again, or close it first")
        from skep.btf.types import Kind
        from skep.streams.decode import RecordDecoder
        from skep.streams.ringbuf import RingBuffer

        spec = self.spec
        if "decoder" not in options:
            type_id = spec.value_type_id
            if record and spec.btf is not None:
                type_id = spec.btf.find_type(record, Kind.STRUCT).id
            options["decoder"] = RecordDecoder(spec.btf, type_id, spec.name)
        options.setdefault("ledger", self._ledger)
        stream = RingBuffer(self._fd, spec.max_entries, name=spec.name, **options)
        self._streams.append(stream)
        return stream

    # For the rest of this room

    @property
    def contents_at(self) -> int:
        """At which byte the contents begin: 0, but in an arena they are its last pages.

        So that the first page, and with it the null pointer, stays free.
        """
        if self.spec.type != MapType.ARENA or self.spec.contents is None:
            return 0
        from skep.maps import arena

        return arena.contents_at(self.spec)

    def memory(self) -> Mapping | None:
        """Return the values of an array as shared memory, or None where that is not possible.

        Possible for an ARRAY created with MMAPABLE; elements are rounded up to 8 bytes
        (``array_map_mmap``). Writable unless the map is frozen or RDONLY. Owned by the map.

        For an ARENA it is the whole region, at the address that pointers in it have. A page comes
        into being when it is first touched, or ends the process with SIGSEGV when the arena was
        made with SEGV_ON_FAULT.
        """
        if self._memory is not None:
            return self._memory
        flags = int(self.spec.flags)
        if self.spec.type == MapType.ARENA:
            from skep.maps import arena

            self._memory = arena.mapped(self._fd, self.spec)
            return self._memory
        if self.spec.type != MapType.ARRAY or not flags & MapFlags.MMAPABLE:
            return None
        from skep.kernel.memory import Mapping

        length = (self.spec.value_size + 7 & ~7) * self.spec.max_entries
        writable = not (self.spec.frozen or flags & MapFlags.RDONLY)
        self._memory = Mapping(self._fd, length, writable=writable, what=self._what())
        return self._memory

    def write_contents(self, data: bytes) -> None:
        """Store the initial value of a data section."""
        if self.spec.type == MapType.ARENA:
            from skep.maps import arena

            arena.store(self, data)
            return
        bpf.map_update(self._fd, bytes(4), data)

    def _what(self) -> str:
        return f"map {self.name!r} ({kinds.type_name(self.spec.type)})"

    def _is_ring(self) -> bool:
        return self.spec.type == MapType.RINGBUF

    def _missing(self, key: Any) -> MissingKeyError:
        message = f"map {self.name!r} has no key {key!r}"
        if self.spec.type in kinds.ARRAYS:
            entries = kinds.entries(self.spec.max_entries)
            message = f"map {self.name!r} has {entries}: no index {key!r}"
        return MissingKeyError(message, key=key, map=self.name)

    def _misfit(self, error: TypeMismatchError | RangeError, role: str) -> SkepError:
        """Name the map, and the *role* ("key" or "value") of what does not fit."""
        from skep.maps.failure import misfit

        return misfit(error, self.name, role)


def _descriptor(value: Any) -> bytes:
    """Return what stands for a program, map or event in maps of descriptors."""
    import sys

    if hasattr(value, "fileno"):
        value = value.fileno()
    if not isinstance(value, int):
        message = f"expected a map, program or descriptor, not {type(value).__name__}"
        raise TypeMismatchError(message, expected="something with fileno()", given=value)
    if not 0 <= value < 1 << 31:
        message = f"{value} is not the number of a descriptor"
        raise RangeError(message, expected="0 to 2**31 - 1", given=value)
    return value.to_bytes(4, sys.byteorder)
