"""Write BTF: the inverse of the parser.

A `Builder` numbers types in the order they are added; ids may be used before their type exists
(`next_id` says what comes next), as recursive structures need. Nothing is checked against the
kernel's rules beyond what the format can hold, so that tests can write wrong blobs too.
"""

from __future__ import annotations

import sys
from array import array
from struct import pack

from skep.btf import types as t
from skep.btf.header import HEADER_SIZE, MAGIC
from skep.errors import RangeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from skep.btf.btf import Btf

# Methods are called int, float and so on, after the kinds; these are the builtins.
Number = int

_KIND_FLAG = 1 << 31


class Builder:
    """Collects types and strings; `build` makes the blob. Not thread-safe.

    With *base* the blob is a split one that continues these types and strings. (Without having
    them, *base_types* and *base_strings* are its length and `string_end`.) Every method that adds
    a type returns its id and raises `RangeError` when a number does not fit its place in the
    format.
    """

    def __init__(
        self,
        byteorder: str = "little",
        *,
        base: Btf | None = None,
        base_types: Number = 1,
        base_strings: Number = 0,
    ) -> None:
        if base is not None:
            base_types, base_strings = len(base), base.string_end
        self.byteorder = byteorder
        self._words = array("I")
        self._base_strings = base_strings
        self._strings = bytearray(b"" if base_strings else b"\0")
        self._offsets: dict[str, Number] = {"": 0}
        self._next = base_types

    @property
    def next_id(self) -> Number:
        """The id the next type added will have."""
        return self._next

    def string(self, text: str) -> Number:
        """Return the offset of *text* in the string section, adding it if it is new."""
        offset = self._offsets.get(text)
        if offset is None:
            if "\0" in text:
                raise RangeError(f"a BTF string cannot contain NUL: {text!r}")
            offset = self._offsets[text] = self._base_strings + len(self._strings)
            self._strings += text.encode("utf-8", "surrogateescape") + b"\0"
        return offset

    def build(self) -> bytes:
        """Return the blob as it is so far: header, types, strings."""
        words = self._words
        if self.byteorder != sys.byteorder:
            words = array("I", words)
            words.byteswap()
        size = 4 * len(words)
        order = "<" if self.byteorder == "little" else ">"
        strings = bytes(self._strings)
        header = pack(f"{order}HBBIIIII", MAGIC, 1, 0, HEADER_SIZE, 0, size, size, len(strings))
        return header + words.tobytes() + strings

    def record(
        self,
        kind: Number,
        name: str,
        third: Number,
        items: Sequence[Number] = (),
        *,
        vlen: Number = 0,
        flag: bool = False,
    ) -> Number:
        """Add a record of any kind from its parts; negative numbers are taken modulo 2**32."""
        if not 0 <= vlen < 1 << 16:
            raise RangeError(f"BTF type {name!r} has {vlen} items; the format ends at 65535")
        info = kind << 24 | vlen | (_KIND_FLAG if flag else 0)
        for number in (third, *items):
            if not -(1 << 31) <= number < 1 << 32:
                raise RangeError(f"{number} of BTF type {name!r} does not fit 32 bits")
        self._words.extend((self.string(name), info, third & 0xFFFFFFFF))
        self._words.extend([number & 0xFFFFFFFF for number in items])
        made = self._next
        self._next += 1
        return made

    # -- scalars --------------------------------------------------------------------------

    def int(
        self,
        name: str,
        size: Number,
        *,
        signed: bool = False,
        is_char: bool = False,
        is_bool: bool = False,
        bits: Number | None = None,
        bit_offset: Number = 0,
    ) -> Number:
        """Add an integer of *size* bytes."""
        if bits is None:
            bits = 8 * size
        if not (0 <= bits < 256 and 0 <= bit_offset < 256):
            raise RangeError(f"BTF int {name!r} cannot have {bits} bits at bit {bit_offset}")
        encoding = signed | is_char << 1 | is_bool << 2
        return self.record(t.Kind.INT, name, size, [encoding << 24 | bit_offset << 16 | bits])

    def float(self, name: str, size: Number) -> Number:
        """Add a floating-point type of *size* bytes."""
        return self.record(t.Kind.FLOAT, name, size)

    def enum(
        self,
        name: str,
        values: Iterable[tuple[str, Number]],
        *,
        size: Number = 4,
        signed: bool | None = None,
    ) -> Number:
        """Add an ENUM; *signed* defaults to whether a value is negative."""
        values = list(values)
        if signed is None:
            signed = any(value < 0 for _, value in values)
        items = [word for label, value in values for word in (self.string(label), value)]
        return self.record(t.Kind.ENUM, name, size, items, vlen=len(values), flag=signed)

    def enum64(
        self,
        name: str,
        values: Iterable[tuple[str, Number]],
        *,
        size: Number = 8,
        signed: bool | None = None,
    ) -> Number:
        """Add an ENUM64 (Linux 6.0)."""
        values = list(values)
        if signed is None:
            signed = any(value < 0 for _, value in values)
        items = []
        for label, value in values:
            if not -(1 << 63) <= value < 1 << 64:
                raise RangeError(f"{value} of BTF enum {name!r} does not fit 64 bits")
            items += [self.string(label), value & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF]
        return self.record(t.Kind.ENUM64, name, size, items, vlen=len(values), flag=signed)

    # -- references -----------------------------------------------------------------------

    def pointer(self, type_id: Number) -> Number:
        """Add a pointer to *type_id*."""
        return self.record(t.Kind.PTR, "", type_id)

    def typedef(self, name: str, type_id: Number) -> Number:
        """Add a typedef."""
        return self.record(t.Kind.TYPEDEF, name, type_id)

    def const(self, type_id: Number) -> Number:
        """Add `const` to *type_id*."""
        return self.record(t.Kind.CONST, "", type_id)

    def volatile(self, type_id: Number) -> Number:
        """Add `volatile` to *type_id*."""
        return self.record(t.Kind.VOLATILE, "", type_id)

    def restrict(self, type_id: Number) -> Number:
        """Add `restrict` to *type_id*."""
        return self.record(t.Kind.RESTRICT, "", type_id)

    def type_tag(self, tag: str, type_id: Number, *, attribute: bool = False) -> Number:
        """Add a type tag; *attribute* as in `TypeTag.is_attribute`."""
        return self.record(t.Kind.TYPE_TAG, tag, type_id, flag=attribute)

    def decl_tag(
        self, tag: str, type_id: Number, component: Number = -1, *, attribute: bool = False
    ) -> Number:
        """Add a declaration tag on *type_id* or its member or parameter number *component*."""
        return self.record(t.Kind.DECL_TAG, tag, type_id, [component], flag=attribute)

    def forward(self, name: str, *, union: bool = False) -> Number:
        """Add a forward declaration of a struct or union."""
        return self.record(t.Kind.FWD, name, 0, flag=union)

    # -- aggregates -----------------------------------------------------------------------

    def array(self, type_id: Number, length: Number, index_type_id: Number) -> Number:
        """Add an array of *length* elements."""
        return self.record(t.Kind.ARRAY, "", 0, [type_id, index_type_id, length])

    def struct(
        self,
        name: str,
        size: Number,
        members: Iterable[tuple[str, Number, Number] | tuple[str, Number, Number, Number]],
    ) -> Number:
        """Add a struct. A member is (name, type id, bit offset), then bits of a bit-field."""
        return self._composite(t.Kind.STRUCT, name, size, members)

    def union(
        self,
        name: str,
        size: Number,
        members: Iterable[tuple[str, Number, Number] | tuple[str, Number, Number, Number]],
    ) -> Number:
        """Add a union; members as for `struct`."""
        return self._composite(t.Kind.UNION, name, size, members)

    def _composite(
        self,
        kind: Number,
        name: str,
        size: Number,
        members: Iterable[tuple[str, Number, Number] | tuple[str, Number, Number, Number]],
    ) -> Number:
        full = [(m[0], m[1], m[2], m[3] if len(m) == 4 else 0) for m in members]
        flag = any(bits for *_, bits in full)
        items = []
        for label, type_id, offset, bits in full:
            if flag and not (0 <= offset < 1 << 24 and 0 <= bits < 256):
                raise RangeError(
                    f"member {label!r} of {name!r}: {bits} bits at bit {offset} do not fit the"
                    " format of a struct with bit-fields"
                )
            items += [self.string(label), type_id, bits << 24 | offset]
        return self.record(kind, name, size, items, vlen=len(full), flag=flag)

    # -- functions and variables ----------------------------------------------------------

    def func_proto(self, returns: Number, params: Iterable[tuple[str, Number]]) -> Number:
        """Add a function type; a last parameter of ("", 0) is `...`."""
        items = [word for name, type_id in params for word in (self.string(name), type_id)]
        return self.record(t.Kind.FUNC_PROTO, "", returns, items, vlen=len(items) // 2)

    def func(self, name: str, proto: Number, linkage: Number = 1) -> Number:
        """Add a function: linkage 0 static, 1 global, 2 extern."""
        return self.record(t.Kind.FUNC, name, proto, vlen=linkage)

    def var(self, name: str, type_id: Number, linkage: Number = 1) -> Number:
        """Add a variable: linkage 0 static, 1 global, 2 extern."""
        return self.record(t.Kind.VAR, name, type_id, [linkage])

    def datasec(
        self, name: str, size: Number, variables: Iterable[tuple[Number, Number, Number]]
    ) -> Number:
        """Add a data section of (id of the Var, byte offset, byte size)."""
        items = [word for variable in variables for word in variable]
        return self.record(t.Kind.DATASEC, name, size, items, vlen=len(items) // 3)

    # -- copying --------------------------------------------------------------------------

    def add(self, of: t.Type, remap: Callable[[Number], Number]) -> Number:
        """Add a copy of a parsed type, passing every type id it mentions through *remap*."""
        if isinstance(of, t.Int):
            return self.int(
                of.name,
                of.size,
                signed=of.signed,
                is_char=of.is_char,
                is_bool=of.is_bool,
                bits=of.bits,
                bit_offset=of.bit_offset,
            )
        if isinstance(of, t.Composite):
            members = [(m.name, remap(m.type_id), m.bit_offset, m.bit_size) for m in of.members]
            return self._composite(of.kind, of.name, of.size, members)
        if isinstance(of, t.Enum):
            add = self.enum if of.kind == t.Kind.ENUM else self.enum64
            return add(of.name, of.values, size=of.size, signed=of.signed)
        if isinstance(of, t.Array):
            return self.array(remap(of.type_id), of.length, remap(of.index_type_id))
        if isinstance(of, t.Float):
            return self.float(of.name, of.size)
        if isinstance(of, t.Forward):
            return self.forward(of.name, union=of.is_union)
        if isinstance(of, t.FuncProto):
            params = [(name, remap(type_id)) for name, type_id in of.params]
            return self.func_proto(remap(of.type_id), params)
        if isinstance(of, t.Func):
            return self.func(of.name, remap(of.type_id), of.linkage)
        if isinstance(of, t.Var):
            return self.var(of.name, remap(of.type_id), of.linkage)
        if isinstance(of, t.DataSec):
            variables = [(remap(var), offset, size) for var, offset, size in of.variables]
            return self.datasec(of.name, of.size, variables)
        if isinstance(of, t.DeclTag):
            return self.decl_tag(
                of.name, remap(of.type_id), of.component_index, attribute=of.is_attribute
            )
        if isinstance(of, t.TypeTag):
            return self.type_tag(of.name, remap(of.type_id), attribute=of.is_attribute)
        if isinstance(of, (t.Pointer, t.Modifier)):
            return self.record(of.kind, of.name, remap(of.type_id))
        raise RangeError("void is not a BTF record; it is always type 0")
