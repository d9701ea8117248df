# ruff: noqa: SLF001
"""Records: decoded structs and unions as named tuples that read like C.

A `Record` is a tuple of the member values, so it unpacks, compares, hashes and sorts as one,
and costs as little. Members are attributes too. Members of anonymous structs and unions belong
to the record that contains them, as in C; in a union every member is decoded from the same bytes.

The classes of records are made from BTF. One may also be declared, to have names that a type
checker and an editor know, and bound to a map (`skep.maps.map.Map.bind`)::

    class caller(skep.Record):
        calls: int
        comm: str

    caller(calls=7, comm="init")
"""

from __future__ import annotations

import sys
from operator import itemgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, ClassVar, Self, dataclass_transform
else:

    def dataclass_transform(**_: object) -> Any:
        """Do nothing: it is a word to type checkers (PEP 681)."""
        return lambda made: made


_RESERVED = frozenset(
    {"_declared", "_defaults", "_fields", "_names", "_own", "_packed", "_type_name"}
)
_METHODS = frozenset({"asdict", "count", "index", "replace"})


@dataclass_transform(frozen_default=True)
class RecordType(type):
    """The class of record classes: what is annotated in the body becomes the members.

    *type_name* is what C calls the type, in the repr; ``"struct <class>"`` when left out.
    *members* are C's names of the members, in order, where those in the body are others. *packed*
    leaves no holes when the class describes a new type (`skep.btf.declare`).
    """

    def __new__(
        cls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        type_name: str = "",
        members: tuple[str, ...] = (),
        packed: bool = False,
    ) -> Any:
        """Make the class; without a `__dict__`, for records do not change."""
        namespace.setdefault("__slots__", ())
        defaults, annotations = {}, {}
        if bases and "_fields" not in namespace:
            annotations = _annotations_in(namespace)
            for one in annotations:
                # Not there with the annotation alone; a property of that name comes instead.
                if one in namespace and not _is_class_variable(annotations[one]):
                    defaults[one] = namespace.pop(one)
        made = super().__new__(cls, name, bases, namespace)
        if bases and "_fields" not in namespace:
            _declare(made, annotations, type_name, defaults, members)
            made._packed = packed  # type: ignore[attr-defined]  # of a record
        return made


if TYPE_CHECKING:

    class Record(metaclass=RecordType):
        """For type checkers: a record, whose members are what its class declares.

        At run time it is a tuple as well. That is left out here: a member called `count` or
        `index` would contradict the methods of a tuple.
        """

        __match_args__: ClassVar[tuple[str, ...]]
        _fields: ClassVar[tuple[str, ...]]
        _type_name: ClassVar[str]

        def __getitem__(self, index: int) -> Any: ...
        def __iter__(self) -> Iterator[Any]: ...
        def __len__(self) -> int: ...
        def __lt__(self, other: object) -> bool: ...
        def asdict(self) -> dict[str, Any]:
            """Return the members as a dict."""

        def replace(self, **changes: Any) -> Self:
            """Return a copy with *changes*."""

else:

    class Record(tuple, metaclass=RecordType):  # noqa: SLOT001  RecordType adds them
        """One struct or union; immutable. Subclasses come from BTF, or are declared.

        A subclass with annotations is made by its members' names, or in their order:
        ``caller(calls=7, comm="init")``. ``comm: str = ""`` gives a default. A member whose name
        is a word of Python's has ``_`` after it (``class_``, ``bytes_``, ``count_``).

        `_fields` of the class are the member names in order, `_type_name` is C's name of the
        type. A member called like a method (`count`, `index`, `asdict`) hides the method.
        """

        _fields = ()
        _type_name = "struct"
        _defaults = {}  # noqa: RUF012  never changed
        _declared = False
        _packed = False
        _own = ()  # of a declared class: its own members, as it writes them
        _names = {}  # noqa: RUF012  names in Python of members whose own names it cannot have

        def asdict(self) -> dict[str, Any]:
            """Return the members as a dict, nested records included, ready for JSON but for bytes.

            Addresses are left as they are (`ipaddress`); ``str()`` makes text of them.
            """
            return asdict(self)

        def replace(self, **changes: Any) -> Self:
            """Return a copy with *changes* of members, by name; `TypeError` for an unknown one."""
            return replaced(self, changes)

        __replace__ = replace

        def __repr__(self) -> str:
            pairs = zip(self._fields, self, strict=True)
            inner = ", ".join(f".{name} = {value!r}" for name, value in pairs)
            return f"{self._type_name} {{{inner}}}"

        def __reduce__(self) -> tuple[Any, ...]:
            if self._declared:
                return tuple.__new__, (type(self), tuple(self))
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


def replaced(record: Record, changes: dict[str, Any]) -> Any:
    """Return a copy of *record* with *changes* of its members."""
    kind: Any = type(record)
    changes = {kind._names.get(name, name): value for name, value in changes.items()}
    unknown = [name for name in changes if name not in kind._fields]
    if unknown:
        raise _wrong(kind, f"has no member {unknown[0]!r}")
    pairs = zip(kind._fields, record, strict=True)
    return tuple.__new__(kind, [changes.get(name, old) for name, old in pairs])


def record_type(type_name: str, fields: tuple[str, ...]) -> type[Record]:
    """Make the record class of a struct or union called *type_name* in C."""
    namespace: dict[str, Any] = {"_fields": fields, "_type_name": type_name}
    namespace["__match_args__"] = fields
    namespace.update(_properties(fields))
    # A class name has to be encodable, a BTF string need not be.
    name = type_name.rpartition(" ")[2].encode("ascii", "replace").decode()
    made: Any = RecordType(name, (Record,), namespace)
    return made  # type: ignore[no-any-return]


def _properties(fields: tuple[str, ...]) -> dict[str, Any]:
    # A C member may be called like one of Python's own attributes; those stay Python's,
    # and the member is reached by position.
    return {
        name: property(itemgetter(index))
        for index, name in enumerate(fields)
        if name not in _RESERVED and not (name.startswith("__") and name.endswith("__"))
    }


# -- declared classes -------------------------------------------------------------------


def _declare(
    made: Any,
    annotations: dict[str, Any],
    type_name: str,
    defaults: dict[str, Any],
    members: tuple[str, ...],
) -> None:
    """Give a class declared in Python its members, and `__new__`."""
    written = [name for name, one in annotations.items() if not _is_class_variable(one)]
    # C's name of each member to the one that was written.
    c_names = members or tuple(member_name(name, made.__name__) for name in written)
    own = dict(zip(c_names, written, strict=True))
    all_defaults = {name: value for name, value in made._defaults.items() if name not in own}
    for member, name in own.items():
        if name in defaults:
            all_defaults[member] = defaults[name]
    inherited = [name for name in made._fields if name not in own]
    made._fields = fields = (*inherited, *own)
    made._type_name = type_name or f"struct {made.__name__}"
    made._defaults = all_defaults
    made._declared = True
    made._own = tuple(own.values())
    made._names = {**made._names, **{name: member for member, name in own.items()}}
    match_args = tuple(own.get(member, member) for member in fields)
    made.__match_args__ = match_args  # type: ignore[misc]  # of this class alone
    for index, member in enumerate(fields):
        if member in own:
            setattr(made, own[member], property(itemgetter(index)))
    for member, made_property in _properties(fields).items():
        if not hasattr(made, member):
            setattr(made, member, made_property)
    made.__new__ = _new


def _new(cls: Any, /, *values: Any, **members: Any) -> Any:
    """Make a declared record of its members, in order or by name."""
    fields = cls._fields
    if not values and len(members) == len(fields):
        try:
            return tuple.__new__(cls, [members[name] for name in fields])
        except KeyError:
            pass  # a name is spelled otherwise, or is unknown
    if len(values) > len(fields):
        raise _wrong(cls, f"has {len(fields)} members, {len(values)} values given")
    given = dict(zip(fields, values, strict=False))
    for name, value in members.items():
        member = name if name in fields else cls._names.get(name)
        if member is None:
            raise _wrong(cls, f"has no member {name!r}")
        if member in given:
            raise _wrong(cls, f"is given its member {name!r} twice")
        given[member] = value
    given = {**cls._defaults, **given}
    missing = [name for name in fields if name not in given]
    if missing:
        raise _wrong(cls, f"needs a value for its member {missing[0]!r}")
    return tuple.__new__(cls, [given[name] for name in fields])


def member_name(name: str, owner: str) -> str:
    """Return C's name of the member that the class called *owner* declares as *name*.

    Python writes ``__pad`` of a class ``event`` as ``_event__pad``, cannot write ``class``, and had
    better not write ``bytes`` where other members are of that type: ``class_``, ``bytes_``.
    """
    name = name.removeprefix(f"_{owner.lstrip('_')}") if "__" in name[1:] else name
    if name.endswith("_"):
        import builtins
        from keyword import iskeyword

        plain = name[:-1]
        if iskeyword(plain) or hasattr(builtins, plain) or plain in _METHODS:
            return plain
    return name


def _is_class_variable(annotation: Any) -> bool:
    return "ClassVar[" in (annotation if isinstance(annotation, str) else repr(annotation))


def _annotations_in(namespace: dict[str, Any]) -> dict[str, Any]:
    """Return the annotations of a class body: as text, or already looked up.

    Since Python 3.14 (PEP 749) they are looked up when somebody asks, and in the class, where the
    members are by then: of ``bytes: int`` and ``comm: bytes`` the second would be the first. So
    they are looked up here, as before; what is not known yet stays a name.
    """
    found = namespace.get("__annotations__")
    if found is None and sys.version_info >= (3, 14):
        from annotationlib import (
            Format,
            call_annotate_function,
            get_annotate_from_class_namespace,
        )

        annotate = get_annotate_from_class_namespace(namespace)
        if annotate is not None:
            found = call_annotate_function(annotate, Format.FORWARDREF)
            namespace.pop("__annotate_func__", None)
            namespace["__annotations__"] = found
    return dict(found or {})


def _wrong(of: Any, text: str) -> Exception:
    from skep.errors import TypeMismatchError

    names = ", ".join(of._fields)
    return TypeMismatchError(
        f"{of._type_name} {text}",
        hint=f"its members are {names}",
        expected=of._type_name,
    )


_restored: dict[tuple[str, tuple[str, ...]], type[Record]] = {}


def _restore(type_name: str, fields: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    """Rebuild an unpickled record; its class is made anew in this process."""
    made: Any = _restored.get((type_name, fields))
    if made is None:
        made = _restored[type_name, fields] = record_type(type_name, fields)
    return tuple.__new__(made, values)
