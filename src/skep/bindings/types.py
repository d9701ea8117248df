"""The types that an object's maps and variables use: which there are, and what Python calls them.

`Types` walks from the keys, values and variables of a spec to every struct, union and enum in
them. The order, and so the names of those that C does not name, depends on nothing but the object.
"""

from __future__ import annotations

from skep.bindings.names import ENUM, MODULE, RECORD, Names
from skep.btf import _values as v
from skep.btf import types as t
from skep.btf._composite import Composite
from skep.btf.codec import codec
from skep.errors import BtfError, SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from skep.btf.btf import Btf
    from skep.btf.codec import Codec
    from skep.maps.spec import MapSpec
    from skep.object.spec import ObjectSpec

ANY = "Any"
MAX_TYPES = 1 << 12
"""Structs and enums of one module; an object with more is no program but a kernel's BTF."""
MAX_MEMBERS = 1 << 15
"""Members of all of them together."""


class Field:
    """A member of a record: what C and Python call it, its BTF type and its annotation."""

    __slots__ = ("annotation", "c_name", "name", "offset", "type_id")

    def __init__(self, c_name: str, type_id: int, offset: int) -> None:
        self.c_name = c_name
        self.type_id = type_id
        self.offset = offset  # in bits
        self.name = ""
        self.annotation = ANY


class RecordShape:
    """A struct or union that becomes a class; `fields` are all that a `Record` of it has."""

    __slots__ = ("fields", "found", "name", "spelt", "type_name")

    def __init__(self, found: t.Composite, spelt: str, type_name: str, fields: list[Field]) -> None:
        self.found = found
        self.spelt = spelt  # as nothing else is
        self.type_name = type_name  # as C has it
        self.fields = fields
        self.name = ""


class EnumShape:
    """An enum that becomes a class; `values` are (name in Python, number)."""

    __slots__ = ("found", "name", "spelt", "values")

    def __init__(self, found: t.Enum, spelt: str) -> None:
        self.found = found
        self.spelt = spelt
        self.name = ""
        names = Names(ENUM).assign(_plain_member(name) for name, _ in found.values)
        self.values = [(name, n) for name, (_, n) in zip(names, found.values, strict=True)]


def _plain_member(name: str) -> str:
    """Return *name* without what Python's enums keep for themselves: ``_name_``."""
    if len(name) > 2 and name[0] == "_" == name[-1]:
        return name.rstrip("_")
    return name


class Types:
    """Every record and enum of *spec*, in the order to write them, each with a name of its own.

    *more* are names of further structs and enums to take in, used or not (`NotFoundError`).
    """

    __slots__ = ("_budget", "_by_id", "btf", "enums", "names", "records", "spec")

    btf: Btf | None

    def __init__(self, spec: ObjectSpec, more: Iterable[str] = ()) -> None:
        self.spec = spec
        self.btf = spec.btf
        self.records: list[RecordShape] = []
        self.enums: list[EnumShape] = []
        self._by_id: dict[int, RecordShape | EnumShape | None] = {}
        self.names = Names(MODULE)  # of the module
        self._budget = MAX_MEMBERS
        if self.btf is None:
            return
        for name, each in spec.maps.items():
            self._walk_map(name, each)
        for name, variable in spec.variables.items():
            self._start(variable.type_id, name)
            self._follow(variable.type_id, name)
        for name in more:
            self._start(self._named(name).id, name)
        self._give_names()

    def _named(self, name: str) -> t.Type:
        """Return the struct, union, enum or typedef called *name*, whatever else is called so."""
        assert self.btf is not None
        for kind in (t.Kind.STRUCT, t.Kind.UNION, t.Kind.ENUM, t.Kind.ENUM64, t.Kind.TYPEDEF):
            ids = self.btf.find(name, kind)
            if ids:
                return self.btf.type(ids[0])
        return self.btf.find_type(name, t.Kind.STRUCT)

    def _walk_map(self, name: str, spec: MapSpec) -> None:
        if spec.contents is not None:
            return  # a data section: read variable by variable
        self._start(spec.key_type_id, f"{name}_key")
        self._start(spec.value_type_id, f"{name}_value")
        if spec.inner is not None:
            self._walk_map(f"{name}_inner", spec.inner)

    def _start(self, type_id: int, proposed: str) -> None:
        if self.codec(type_id) is not None:
            self._visit(type_id, proposed)

    def _follow(self, type_id: int, proposed: str) -> None:
        """Take in what a variable points to: how C keeps a type that nothing else mentions."""
        assert self.btf is not None
        try:
            found = self.btf.strip(type_id)
        except BtfError:
            return
        if isinstance(found, t.Pointer):
            self._start(found.type_id, proposed)

    def codec(self, type_id: int) -> Codec | None:
        """Return the codec of a type, None for what has none and is `Any` to Python."""
        if self.btf is None or not type_id:
            return None
        try:
            return codec(self.btf, type_id)
        except SkepError:
            return None

    def _visit(self, type_id: int, proposed: str) -> None:
        """Note what *type_id* is made of. It has a codec, so it is not nested without end."""
        btf = self.btf
        assert btf is not None
        called = ""
        found = btf.type(type_id)
        while isinstance(found, t.Modifier):
            if isinstance(found, t.Typedef):
                called = found.name
            found = btf.type(found.type_id)
        if isinstance(found, t.Array):
            self._visit(found.type_id, proposed)
        elif isinstance(found, t.Composite) and found.id not in self._by_id:
            self._add_record(found, called, proposed)
        elif isinstance(found, t.Enum) and found.id not in self._by_id and found.values:
            self._count(1 + len(found.values))
            spelt = f"enum {found.name}" if found.name else called or f"enum of {proposed}"
            shape = self._by_id[found.id] = EnumShape(found, spelt)
            self.enums.append(shape)
            shape.name = found.name or called or proposed
        elif isinstance(found, t.Var):
            self._visit(found.type_id, proposed)

    def _count(self, members: int) -> None:
        self._budget -= members
        if self._budget < 0 or len(self._by_id) > MAX_TYPES:
            message = f"{self.spec.name}: its maps and variables have too many types for a module"
            raise BtfError(message, hint="is it a BPF program?", source=self.spec.name)

    def _add_record(self, found: t.Composite, called: str, proposed: str) -> None:
        made = self.codec(found.id)
        if not isinstance(made, Composite):
            self._by_id[found.id] = None  # a struct that is one Python value: an address
            return
        assert self.btf is not None
        fields = [Field(*row) for row in members(self.btf, found)]
        if len({field.c_name for field in fields}) < len(fields):
            self._by_id[found.id] = None  # no C compiler writes that
            return
        name = found.name or called or proposed
        tag = "union" if isinstance(found, t.Union) else "struct"
        c_name = f"{tag} {found.name}" if found.name else called
        spelt = c_name or f"{tag} of {proposed}"
        self._count(1 + len(fields))
        shape = self._by_id[found.id] = RecordShape(
            found, spelt, c_name or f"{tag} (anonymous)", fields
        )
        for field in fields:
            self._visit(field.type_id, f"{name}_{field.c_name}")
        self.records.append(shape)  # after those it is made of
        shape.name = name

    def _give_names(self) -> None:
        shapes: list[EnumShape | RecordShape] = [*self.enums, *self.records]
        # Names of C's own before those that were made up.
        shapes.sort(key=lambda shape: not shape.found.name)
        names = self.names.assign(shape.name for shape in shapes)
        for shape, name in zip(shapes, names, strict=True):
            shape.name = name
        for record in self.records:
            self._finish(record)

    def _finish(self, record: RecordShape) -> None:
        """Give the members their names and annotations, which the codec decides about."""
        names = Names(RECORD).assign(field.c_name for field in record.fields)
        made = self.codec(record.found.id)
        assert isinstance(made, Composite)
        for field, name, decoded in zip(record.fields, names, made.fields, strict=True):
            field.name = name
            field.annotation = self.annotation(field.type_id, decoded.codec)

    def annotation(self, type_id: int, made: Codec | None = None) -> str:
        """Return what Python calls the values of type *type_id*, as *made* decodes them."""
        made = self.codec(type_id) if made is None else made
        if made is None or self.btf is None:
            return ANY
        if isinstance(made, Composite):
            shape = self._by_id.get(self.btf.strip(type_id).id)
            return shape.name if shape else ANY
        if isinstance(made, (v.Array, v.Numbers)):
            array = self.btf.strip(type_id)
            inner = array.type_id if isinstance(array, t.Array) else 0
            return f"tuple[{self.annotation(inner, made.element)}, ...]"
        return scalar(made)

    def ids(self) -> dict[int, str]:
        """Return which struct and union of the object's BTF has which class."""
        return {record.found.id: record.name for record in self.records}


def scalar(made: Codec) -> str:
    """Return what Python calls one value that is not made of others."""
    if isinstance(made, v.Enumeration) and made.names:
        return "str | int"
    if isinstance(made, v.Scalar):
        return {"?": "bool", "e": "float", "f": "float", "d": "float"}.get(made.char, "int")
    if isinstance(made, v.String):
        return "str"
    if isinstance(made, v.Raw):
        return "bytes"
    if isinstance(made, (v.BigInteger, v.BitField)):
        return "int"
    if type(made).__name__ == "Address":  # its module imports ipaddress
        return "IPv4Address" if made.size == 4 else "IPv6Address"
    return ANY


def members(btf: Btf, owner: t.Composite) -> Iterator[tuple[str, int, int]]:
    """Yield (name, type id, offset in bits) of all members that a record of *owner* has.

    Those of anonymous structs and unions inside are its own, as in C, in the codec's order.
    """
    stack = [iter([(member, 0) for member in owner.members])]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            continue
        member, base = entry
        at = base + member.bit_offset
        if member.name:
            yield member.name, member.type_id, at
            continue
        inner = btf.strip(member.type_id)
        if isinstance(inner, t.Composite):
            stack.append(iter([(each, at) for each in inner.members]))
