"""Records: decoded structs and unions as named tuples that read like C.

A `Record` is a tuple of the member values, so it unpacks, compares, hashes and sorts as one,
and costs as little. Members are attributes too. Members of anonymous structs and unions belong
to the record that contains them, as in C; in a union every member is decoded from the same bytes.
"""

from __future__ import annotations

from operator import itemgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Record(tuple):  # type: ignore[type-arg]
    """One decoded struct or union; immutable. Subclasses are generated, one per BTF type.

    `fields` of the class are the member names in order, `type_name` is C's name of the type.
    A member called like a method (`count`, `index`, `asdict`) hides the method.
    """

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    _type_name: str = "struct"

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def asdict(self) -> dict[str, Any]:
        """Return the members as a dict, nested records included, ready for JSON but for bytes."""
        return asdict(self)

    def __repr__(self) -> str:
        pairs = zip(self._fields, self, strict=True)
        inner = ", ".join(f".{name} = {value!r}" for name, value in pairs)
        return f"{self._type_name} {{{inner}}}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._type_name, self._fields, tuple(self))


def asdict(record: Record) -> dict[str, Any]:
    """Return *record* as a dict of its members; nested records become dicts, tuples lists."""
    pairs = zip(record._fields, record, strict=True)
    return {name: _plain(value) for name, value in pairs}


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return asdict(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def record_type(type_name: str, fields: tuple[str, ...]) -> type[Record]:
    """Make the record class of a struct or union called *type_name* in C."""
    namespace: dict[str, Any] = {
        "__slots__": (),
        "_fields": fields,
        "_type_name": type_name,
    }
    for index, name in enumerate(fields):
        # A C member may be called like one of Python's own attributes; those stay Python's,
        # and the member is reached by position.
        if name not in _RESERVED and not (name.startswith("__") and name.endswith("__")):
            namespace[name] = property(itemgetter(index))
    # A class name has to be encodable, a BTF string need not be.
    name = type_name.rpartition(" ")[2].encode("ascii", "replace").decode()
    return type(name, (Record,), namespace)


_RESERVED = frozenset({"_fields", "_type_name"})
_restored: dict[tuple[str, tuple[str, ...]], type[Record]] = {}


def _restore(type_name: str, fields: tuple[str, ...], values: tuple[Any, ...]) -> Record:
    """Rebuild an unpickled record; its class is made anew in this process."""
    made = _restored.get((type_name, fields))
    if made is None:
        made = _restored[type_name, fields] = record_type(type_name, fields)
    return made(values)
