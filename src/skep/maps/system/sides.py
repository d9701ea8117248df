"""The two sides of any map, keys and values, each with its type: declared, or told by a person.

For `skep map` and the diagnosis: maps of other programs, whose types may be missing or wrong.
"""

from __future__ import annotations

from skep.errors import KernelError, SkepError, TypeMismatchError, UnsupportedError
from skep.kernel import bpf
from skep.maps import kinds
from skep.maps.system.plain import BARE, NUMBER, OTHER, Shape, shape
from skep.maps.system.type_names import Places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Self

    from skep.btf.btf import Btf
    from skep.kernel.fd import FD
    from skep.maps.cells import Cell
    from skep.maps.map import Map


class Section:
    """The cell of a data section: a mapping of the names of its variables to their values."""

    __slots__ = ("_variables", "size")

    def __init__(self, btf: Btf, type_id: int, size: int) -> None:
        from skep.btf.codec import codec, raw_codec

        self.size = size
        self._variables: dict[str, tuple[int, Any]] = {}
        for id, offset, length in btf.type(type_id).variables:  # type: ignore[attr-defined]
            if offset + length > size:
                continue
            try:
                cell = codec(btf, id)
            except SkepError:  # of a type that has no Python value
                cell = raw_codec(length)
            self._variables[btf.type(id).name] = offset, cell

    def pack(self, value: Any) -> bytes:
        """Return the section with all variables as the mapping *value* has them."""
        if not isinstance(value, dict) or set(value) != set(self._variables):
            message = f"a data section takes all of its variables: {', '.join(self._variables)}"
            raise TypeMismatchError(message, expected="a mapping", given=value)
        data = bytearray(self.size)
        for name, (offset, cell) in self._variables.items():
            packed = cell.pack(value[name])
            data[offset : offset + len(packed)] = packed
        return bytes(data)

    def unpack(self, buffer: Any, offset: int = 0) -> dict[str, Any]:
        """Return the variables by name."""
        return {
            name: cell.unpack(buffer, offset + at) for name, (at, cell) in self._variables.items()
        }


class Side:
    """Keys or values (*role*) of a map: `size` in bytes, of one CPU; `cell` packs and unpacks.

    `btf` and `type_id` are the type, None and 0 where it is not known; `told` says that it was
    given by a person and not by the map.
    """

    __slots__ = ("btf", "cell", "role", "shape", "size", "told", "type_id")

    def __init__(
        self, role: str, size: int, cell: Cell, btf: Btf | None, type_id: int, *, told: bool = False
    ) -> None:
        self.role = role
        self.size = size
        self.cell = cell
        self.btf = btf if type_id else None
        self.type_id = type_id if btf is not None else 0
        self.told = told
        self.shape = _shape(cell, self.btf, self.type_id)

    @property
    def typed(self) -> bool:
        """Whether its type is known."""
        return self.btf is not None

    @property
    def type_name(self) -> str:
        """C's name of the type, "index", or "8 bytes"."""
        if self.btf is None:
            from skep.maps.cells import Index

            return "index" if isinstance(self.cell, Index) else f"{self.size} bytes"
        from skep.btf.types import DataSec

        found = self.btf.type(self.type_id)
        if isinstance(found, DataSec):
            return found.name
        from skep.btf.spelling import declaration

        return declaration(self.btf, self.type_id)

    def plain(self, buffer: Any, offset: int = 0) -> Any:
        """Return what is at *offset* as JSON has it."""
        return self.shape.plain(self.cell.unpack(buffer, offset))


def _shape(cell: Cell, btf: Btf | None, type_id: int) -> Shape:
    """Return the shape of what *cell* decodes: that of the type, where it is the type's codec."""
    from skep.btf.codec import Codec, codec, raw_codec
    from skep.maps.cells import Index

    if isinstance(cell, Index):
        return Shape(NUMBER)
    if isinstance(cell, Section) or (btf is not None and cell is codec(btf, type_id)):
        return shape(btf, type_id)
    raw = isinstance(cell, Codec) and cell.type_name == raw_codec(cell.size).type_name
    return BARE if raw else Shape(OTHER)


class View:
    """A live map and its two sides. `key` is None in maps without keys. Owns the map."""

    __slots__ = ("cpus", "key", "map", "slot", "value")

    def __init__(self, map: Map, key: Side | None, value: Side) -> None:
        self.map = map
        self.key = key
        self.value = value
        self.cpus = 0
        if map.spec.type in kinds.PER_CPU:
            from skep.kernel.cpus import possible_cpus

            self.cpus = possible_cpus()
        self.slot = value.size + 7 & ~7 if self.cpus else value.size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.map.close()

    @property
    def value_bytes(self) -> int:
        """Bytes of a value as user space gets it: of all CPUs."""
        return self.slot * (self.cpus or 1)

    def lookup(self, key: bytes) -> bytearray | None:
        """Return the bytes under *key*, None where there are none."""
        data = bytearray(self.value_bytes)
        return data if bpf.map_lookup(self.map.fd, key, data) else None

    def entries(self) -> Iterator[tuple[bytes, bytes | KernelError]]:
        """Yield (key, value) in bytes of the whole map, a chunk at a time.

        Where the kernel gives keys but not the value of one, its error is in the value's place.
        """
        from skep.maps import batch

        key = self.keyed()
        if self.map.spec.type in kinds.STORAGES:
            from skep.maps.diagnose import instead

            kind = kinds.type_name(self.map.spec.type)
            message = f"map {self.map.name!r} ({kind}) cannot be walked"
            raise UnsupportedError(message, hint=instead(self.map.spec.type), feature="map walk")
        geometry = batch.Geometry(
            fd=self.map.fd,
            type=self.map.spec.type,
            key_size=key.size,
            value_size=self.value_bytes,
            entries=self.map.spec.max_entries,
        )
        if self.map.spec.type in kinds.HASHES or self.map.spec.type in kinds.ARRAYS:
            for rows, keys, values in batch.chunks(geometry):
                for row in range(rows):
                    at, to = row * key.size, row * self.value_bytes
                    yield bytes(keys[at : at + key.size]), bytes(values[to : to + self.value_bytes])
            return
        for one in batch.walk(geometry):
            try:
                found = self.lookup(one)
            except KernelError as error:
                yield one, error
                continue
            if found is not None:
                yield one, bytes(found)

    def keyed(self) -> Side:
        """Return the key's side; `UnsupportedError` for maps without keys."""
        if self.key is not None:
            return self.key
        from skep.maps.diagnose import instead

        kind = kinds.type_name(self.map.spec.type)
        raise UnsupportedError(
            f"map {self.map.name!r} ({kind}) has no keys", hint=instead(self.map.spec.type),
            feature="map items",
        )  # fmt: skip

    def of_cpus(self, data: bytes) -> list[Any]:
        """Return the plain values of all CPUs."""
        return [self.value.plain(data, at) for at in range(0, len(data), self.slot or 1)]

    def plain(self, data: bytes) -> Any:
        """Return one plain value: of a per-CPU map the sum over CPUs (`Shape.total`)."""
        if not self.cpus:
            return self.value.plain(data)
        return self.value.shape.total(self.of_cpus(data))


def view(
    fd: FD, *, key_type: str | None = None, value_type: str | None = None, object: str | None = None
) -> View:
    """Take over *fd* and type it: by its own BTF, or by the names of C types.

    Names are looked up in the BTF of the file *object*, then in the map's own, then in the
    kernel's. `TypeMismatchError` when a type has another size than the map's keys or values.
    """
    from skep.maps.map import Map

    map = Map.from_fd(fd)
    try:
        places = Places(object, map.spec.btf)
        key = None
        if map.spec.key_size:
            key = _side(map, "key", key_type, places)
        return View(map, key, _side(map, "value", value_type, places))
    except BaseException:
        map.close()
        raise


def _side(map: Map, role: str, name: str | None, places: Places) -> Side:
    spec = map.spec
    size = spec.key_size if role == "key" else spec.value_size
    type_id = spec.key_type_id if role == "key" else spec.value_type_id
    if name is not None:
        from skep.btf.codec import codec

        btf, id = places.find(name)
        cell: Cell = codec(btf, id)
        if cell.size != size:
            from skep.maps.diagnose import wrong_size

            raise wrong_size(map.name, role, size, spec.btf, type_id, btf, id, name)
        return Side(role, size, cell, btf, id, told=True)
    if spec.btf is not None and type_id and size:
        from skep.btf.types import DataSec

        if isinstance(spec.btf.type(type_id), DataSec):
            return Side(role, size, Section(spec.btf, type_id, size), spec.btf, type_id)
    from skep.btf.codec import raw_codec
    from skep.maps.cells import PerCpu

    try:
        cell = map.cells.key if role == "key" else map.cells.value
    except SkepError:
        return Side(role, size, raw_codec(size), None, 0)  # has no keys, or types that do not fit
    if isinstance(cell, PerCpu):
        cell = cell.cell
    if cell.size != size:
        cell = raw_codec(size)
    return Side(role, size, cell, spec.btf, type_id)
