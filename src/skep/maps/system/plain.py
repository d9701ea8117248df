"""Values of a BTF type as JSON has them, summed over CPUs, and split into columns.

A `Shape` follows a type down to its numbers and texts. It knows what a decoded value alone does
not tell: that an integer is an enumerator, a pointer, a count.
"""

from __future__ import annotations

from skep.btf import types as t
from skep.btf.btf import MAX_DEPTH
from skep.btf.codec import is_byte, is_char

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from skep.btf.btf import Btf

# What a value is.
NUMBER = "number"  # an integer that can be added up
FLOAT = "float"
BOOL = "bool"
ENUM = "enum"
POINTER = "pointer"
TEXT = "text"
BYTES = "bytes"
ARRAY = "array"
RECORD = "record"
OTHER = "other"  # what its codec makes of it: a network, a descriptor

ADDABLE = frozenset({NUMBER, FLOAT})


class Shape:
    """What a value of one type is made of.

    `kind` is one of the words above; `names` of an enum maps numbers to names, `members` of a
    record its members' shapes (anonymous ones dissolved), `element` of an array is the shape of
    one. `overlaps` says that a member shares its bytes with others, in a union. `enumerators` are
    the numbers of all names of an enum, of which two may have the same.
    """

    __slots__ = ("element", "enumerators", "kind", "members", "names", "overlaps")

    def __init__(
        self,
        kind: str,
        *,
        element: Shape | None = None,
        members: Mapping[str, Shape] | None = None,
        names: Mapping[int, str] | None = None,
        enumerators: Mapping[str, int] | None = None,
        overlaps: bool = False,
    ) -> None:
        self.kind = kind
        self.element = element
        self.members = dict(members or {})
        self.names = dict(names or {})
        self.enumerators = dict(enumerators or {})
        self.overlaps = overlaps

    def __repr__(self) -> str:
        return f"<Shape {self.kind}>"

    def plain(self, value: Any) -> Any:
        """Return a decoded *value* as JSON has it.

        Enums are their names, bytes hexadecimal digits, records and mappings objects, other
        sequences lists; what JSON does not know, such as an address, is its text.
        """
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int):
            return self.names.get(int(value), int(value)) if self.names else int(value)
        if isinstance(value, float):
            return value if value - value == 0 else str(value)  # JSON has no infinity
        if isinstance(value, (bytes, bytearray)):
            return value.hex()
        fields: Sequence[str] | None = getattr(value, "_fields", None)
        if fields is not None:
            pairs = zip(fields, value, strict=True)
            return {name: self.member(name).plain(one) for name, one in pairs}
        if isinstance(value, dict):
            return {name: self.member(name).plain(one) for name, one in value.items()}
        if isinstance(value, (tuple, list)):
            inner = self.element or BARE
            return [inner.plain(one) for one in value]
        return str(value)

    def member(self, name: str) -> Shape:
        """Return the shape of a member."""
        return self.members.get(name, BARE)

    def total(self, plains: Sequence[Any]) -> Any:
        """Return one value for those of all CPUs, each of them made by `plain`.

        Numbers are added. What cannot be added (texts, enums, pointers, unions) is the value that
        the CPUs agree on, those that hold only zeros aside; None where they do not agree.
        """
        if self.kind in ADDABLE and not self.overlaps and all(map(_is_number, plains)):
            return sum(plains)
        if self.kind == RECORD and not self.overlaps and all(isinstance(p, dict) for p in plains):
            return {
                name: self.member(name).total([one[name] for one in plains]) for name in plains[0]
            }
        if self.kind == ARRAY and not self.overlaps and all(isinstance(p, list) for p in plains):
            inner = self.element or BARE
            return [inner.total(ones) for ones in zip(*plains, strict=True)]
        some = [one for one in plains if one not in (0, "", False) and not _zero(one)] or plains[:1]
        return some[0] if all(one == some[0] for one in some) else None

    def leaves(self, path: str) -> Iterator[tuple[str, Shape]]:
        """Yield (path, shape) of what a table has columns for: all but the insides of arrays."""
        if self.kind != RECORD or not self.members:
            yield path, self
            return
        for name, inner in self.members.items():
            yield from inner.leaves(f"{path}.{name}")

    def numbers(self, plain: Any, path: str = "") -> Iterator[tuple[str, int | float]]:
        """Yield (path, number) of all that can be added up in a value made by `plain`."""
        if self.kind in ADDABLE and _is_number(plain):
            yield path, plain
        elif isinstance(plain, dict):
            for name, one in plain.items():
                yield from self.member(name).numbers(one, f"{path}.{name}" if path else name)
        elif isinstance(plain, list):
            inner = self.element or BARE
            for index, one in enumerate(plain):
                yield from inner.numbers(one, f"{path}[{index}]")


BARE = Shape(BYTES)
"""Of what nothing is known."""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _zero(plain: Any) -> bool:
    """Whether a text is hexadecimal zeros only."""
    return isinstance(plain, str) and not plain.strip("0")


def shape(
    btf: Btf | None, type_id: int, *, depth: int = MAX_DEPTH, overlaps: bool = False
) -> Shape:
    """Return the shape of type *type_id*; `BARE` without BTF and for what has no values."""
    if btf is None or not type_id or not depth:
        return BARE
    found = btf.strip(type_id)
    if isinstance(found, t.Var):
        found = btf.strip(found.type_id)
    if isinstance(found, t.Int):
        return Shape(BOOL if found.is_bool else NUMBER, overlaps=overlaps)
    if isinstance(found, t.Enum):
        names: dict[int, str] = {}
        for name, number in found.values:
            names.setdefault(number, name)
        return Shape(ENUM, names=names, enumerators=dict(found.values), overlaps=overlaps)
    if isinstance(found, t.Pointer):
        return Shape(POINTER, overlaps=overlaps)
    if isinstance(found, t.Float):
        return Shape(FLOAT, overlaps=overlaps)
    if isinstance(found, t.Array):
        element = btf.strip(found.type_id)
        if is_char(element) or is_byte(element):
            return Shape(TEXT if is_char(element) else BYTES, overlaps=overlaps)
        inner = shape(btf, found.type_id, depth=depth - 1)
        return Shape(ARRAY, element=inner, overlaps=overlaps)
    if isinstance(found, t.Composite):
        members = dict(_members(btf, found, depth - 1, overlaps=False))
        return Shape(RECORD, members=members, overlaps=overlaps)
    if isinstance(found, t.DataSec):
        variables = [btf.type(id) for id, _, _ in found.variables]
        return Shape(
            RECORD, members={one.name: shape(btf, one.id, depth=depth - 1) for one in variables}
        )
    return BARE


def _members(
    btf: Btf, owner: t.Composite, depth: int, *, overlaps: bool
) -> Iterator[tuple[str, Shape]]:
    overlaps = overlaps or isinstance(owner, t.Union)
    for member in owner.members:
        if member.name:
            yield member.name, shape(btf, member.type_id, depth=depth, overlaps=overlaps)
            continue
        inner = btf.strip(member.type_id)
        if isinstance(inner, t.Composite) and depth:
            yield from _members(btf, inner, depth - 1, overlaps=overlaps)
