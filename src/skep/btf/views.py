"""Codecs that make what the caller wants: records, dataclasses, ctypes structures, NumPy scalars.

`view` is asked by `skep.btf.codec` when `Options.want` is a type. What is wanted is checked against
BTF once, when the codec is made, and refused with both layouts when it does not fit.
"""

from __future__ import annotations

import sys

from skep.btf import _values as v
from skep.btf import codec as c
from skep.btf import types as t
from skep.btf._composite import Composite, Field, in_order
from skep.btf.btf import MAX_DEPTH
from skep.btf.hints import hints_of, is_members_class, unwrapped
from skep.btf.members import address_size, is_char
from skep.btf.record import Record
from skep.errors import TypeMismatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from skep.btf.btf import Btf
    from skep.btf.options import Options

_PLAIN = (int, float, bool, str, bytes, tuple, list)


def view(
    btf: Btf, type_id: int, name: str, target: t.Type, depth: int, options: Options
) -> v.Codec:
    """Return the codec of type *type_id* whose values are `options.want`.

    Raises `TypeMismatchError` with both layouts and what to change when it does not fit.
    """
    want, marks = unwrapped(options.want)
    if isinstance(target, t.Array):
        name = c.make(btf, type_id, depth, c.DEFAULT).type_name
    if marks:
        from skep.btf.marks import check

        check(btf, type_id, name, marks, options)
    if is_foreign(want):
        from skep.btf.foreign import foreign

        plain = options.but(order=options.order, orders=options.orders, form=options.form)
        inner = c.make(btf, type_id, depth, plain)
        return foreign(btf, type_id, name, inner, want, plain)
    if is_members_class(want):
        return _members(btf, type_id, name, target, depth, options, want)
    without = options.but(order=options.order, orders=options.orders, form=options.form)
    if isinstance(target, t.Array) and getattr(want, "__origin__", want) in {tuple, list}:
        return _array(btf, name, target, depth, without, want)
    if want is None or getattr(want, "__module__", "") == "typing":
        return c.make(btf, type_id, depth, without)
    return _scalar(btf, type_id, name, target, depth, without, want)


def is_foreign(want: Any) -> bool:
    """Tell whether *want* is memory laid out by somebody else: ctypes, NumPy."""
    ctypes, numpy = sys.modules.get("ctypes"), sys.modules.get("numpy")
    # The base of ctypes._SimpleCData is that of all classes that have memory.
    memory = () if ctypes is None else ctypes._SimpleCData.__base__  # noqa: SLF001
    if isinstance(want, type) and issubclass(want, memory):
        return True
    if numpy is None:
        return False
    return isinstance(want, numpy.dtype) or (
        isinstance(want, type) and issubclass(want, numpy.generic)
    )


# -- classes with members ----------------------------------------------------------------


class Members(Composite):
    """A struct read as, and written from, a class that has its members."""

    __slots__ = ("_picked", "_want")

    def __init__(
        self,
        name: str,
        order: str,
        size: int,
        fields: tuple[Field, ...],
        want: Any,
        wanted: tuple[str, ...],
    ) -> None:
        super().__init__(name, order, size, fields)
        self._want = want
        names = tuple(field.name for field in fields)
        positions = [names.index(one) for one in wanted]
        attributes = attributes_of(want, wanted)
        picked = [fields[at] for at in positions]
        self._picked = list(zip(picked, attributes, strict=True))
        if issubclass(want, Record):
            self.make(want)
        else:
            self._record = maker(want, attributes)
        if positions != list(range(len(names))):
            make = self._record
            self._record = lambda values: make([values[at] for at in positions])
        elif issubclass(want, tuple):
            self._picked = []  # its values are in the order of C already

    def _positional(self, value: Any) -> list[Any]:
        if self._is_own(value):
            value = {field.name: item for field, item in self._pairs(value)}
        return super()._positional(value)

    def _chosen(self, value: Any) -> list[tuple[Field, Any]]:
        return in_order(self._pairs(value)) if self._is_own(value) else super()._chosen(value)

    def _explain(self, value: Any, path: str) -> None:
        if not self._is_own(value):
            super()._explain(value, path)
            return
        for field, item in self._pairs(value):
            field.codec.explain(item, f"{path}.{field.name}" if path else field.name)

    def _is_own(self, value: Any) -> bool:
        """Tell whether *value* is one of the class, and not in C's order."""
        return bool(self._picked) and isinstance(value, self._want)

    def _pairs(self, value: Any) -> list[tuple[Field, Any]]:
        """Return the members of a value of the class; of a union it has as many as it declares."""
        return [(field, getattr(value, name)) for field, name in self._picked]


def attributes_of(want: Any, members: tuple[str, ...]) -> list[str]:
    """Return what the class *want* calls the *members* of C."""
    if issubclass(want, Record):
        return list(members)
    from skep.btf.hints import written

    names = written(want)
    return [names[member] for member in members]


def maker(want: Any, attributes: list[str]) -> Callable[[Any], Any]:
    """Return what makes a *want* of a sequence of values, in the order of *attributes*."""
    if issubclass(want, tuple):
        return want._make  # type: ignore[no-any-return]  # a named tuple
    return lambda values: want(**dict(zip(attributes, values, strict=True)))


def _members(
    btf: Btf, type_id: int, name: str, target: t.Type, depth: int, options: Options, want: Any
) -> v.Codec:
    if not isinstance(target, t.Composite):
        raise _cannot(name, want, "it is no struct", f"for {name} give {_fitting(btf, target)}")
    hints = hints_of(want)
    problems: list[tuple[str, TypeMismatchError]] = []
    within = options.but(orders=options.orders)
    fields = c.fields_of(btf, target, depth, within, hints, problems)
    names = {field.name for field in fields}
    given = {pair for field in fields if field.name in hints for pair in field.group}
    left_out = [
        field.name
        for field in fields
        if field.name not in hints
        and not (field.optional or is_padding(field.name) or _has_other(field, given))
    ]
    unknown = [one for one in hints if one not in names]
    repeated = [field.name for field in fields if sum(f.name == field.name for f in fields) > 1]
    if problems or left_out or unknown or repeated:
        from skep.btf.shape import class_misfit

        raise class_misfit(btf, type_id, name, want, hints, problems, left_out, unknown)
    _check_maker(name, want, tuple(hints))
    for field in fields:
        if field.name not in hints:
            field.optional = True
    # In the order of the class, not of C: that is the order of its constructor.
    order = "<" if btf.byteorder == "little" else ">"
    return Members(name, order, target.size, fields, want, tuple(hints))


def _check_maker(name: str, want: Any, members: tuple[str, ...]) -> None:
    """Refuse a dataclass that wants more to be made than its members: an InitVar, say."""
    if issubclass(want, tuple):
        return
    from inspect import signature

    try:
        signature(want).bind(**dict.fromkeys(attributes_of(want, members)))
    except TypeError as error:
        why = f"it cannot be made of its members: {error}"
        raise _cannot(name, want, why, "give what is no member a default") from None


def _has_other(field: Field, given: set[tuple[int, int]]) -> bool:
    """Tell whether another alternative of a union that *field* is in is among those *given*."""
    return any(
        union == other and alternative != one
        for union, alternative in field.group
        for other, one in given
    )


def is_padding(name: str) -> bool:
    """Tell whether a member called *name* is there only to fill a hole."""
    return name.lower().lstrip("_").startswith("pad")


class Characters(v.String):
    """An array of char as all of its bytes; what is written may be shorter, or a str."""

    __slots__ = ()

    def __init__(self, type_name: str, size: int) -> None:
        super().__init__(type_name, size)
        self.convert = None

    def unpack(self, buffer: v.Buffer, offset: int = 0) -> Any:
        """Return all of the bytes."""
        data = bytes(buffer[offset : offset + self.size])
        if len(data) != self.size:
            raise self._short(buffer, offset)
        return data


# -- single values -----------------------------------------------------------------------


def _array(
    btf: Btf, name: str, target: t.Array, depth: int, options: Options, want: Any
) -> v.Codec:
    arguments = [one for one in getattr(want, "__args__", ()) if one is not ...]
    if len(set(map(repr, arguments))) > 1:
        raise _cannot(name, want, "its elements are all of one type", "write tuple[T, ...]")
    element = arguments[0] if arguments else None
    # The elements of what would be one text are wanted one by one.
    made = c.make_array(btf, name, target, depth, options, element)
    if isinstance(made, (v.String, v.Raw)):
        inner = c.make(btf, target.type_id, depth - 1, options.but())
        made = v.Numbers(made.type_name, inner, target.length)  # type: ignore[arg-type]
    return made


def _scalar(
    btf: Btf, type_id: int, name: str, target: t.Type, depth: int, options: Options, want: Any
) -> v.Codec:
    if not isinstance(want, type):
        raise _unknown(name, want)
    address = _address_form(want)
    if address:
        made = _addressed(btf, name, target, options, address)
        if made is not None:
            return made
        raise _cannot(name, want, f"it is no address of {4 if address == 'ipv4' else 16} bytes")
    enum = sys.modules.get("enum")
    if enum is not None and issubclass(want, enum.Enum):
        return _enumerated(btf, type_id, name, target, depth, options, want)
    if want not in _PLAIN:
        raise _unknown(name, want)
    if want is bytes and isinstance(target, (t.Array, t.Composite)):
        size = btf.size_of(type_id)
        text = isinstance(target, t.Array) and is_char(btf.strip(target.type_id))
        return Characters(name, size) if text else v.Raw(name, size)
    if want is str and isinstance(target, t.Enum):
        return c.make(btf, type_id, depth, options.but(form="names"))
    if want is int and isinstance(target, t.Composite) and address_size(target):
        return _address_number(name, target.size, options.order or ">")
    plain = c.make(btf, type_id, depth, _numbers(options) if want is int else options)
    if want in _reads(plain):
        return plain
    read = " or ".join(one.__name__ for one in _reads(plain)) or "a Record"
    raise _cannot(name, want, f"its values are {read}", f"write {_fitting(btf, target)}")


def _numbers(options: Options) -> Options:
    """Return *options* without names and addresses: for an `int`."""
    from skep.btf.options import Options as Made

    order: Any = {"<": "little", ">": "big"}.get(options.order)
    if options.form == "ipv4" and not order:
        order = "big"
    return Made(addresses=False, byteorder=order)


def _reads(plain: v.Codec) -> tuple[type, ...]:
    """Return the Python types that the values of a codec have."""
    if isinstance(plain, v.Bool):
        return (bool, int)
    if isinstance(plain, v.Enumeration):
        return (str, int) if plain.names else (int,)
    if isinstance(plain, v.Scalar):
        return (float,) if plain.char in "efd" else (int,)
    if isinstance(plain, v.BigInteger):
        return (int,)
    if isinstance(plain, v.String):
        return (str, bytes)
    if isinstance(plain, v.Raw):
        return (bytes,)
    return (tuple,) if isinstance(plain, (v.Numbers, v.Array)) else ()


def _address_form(want: type) -> str:
    ipaddress = sys.modules.get("ipaddress")
    if ipaddress is None:
        return ""
    return {ipaddress.IPv4Address: "ipv4", ipaddress.IPv6Address: "ipv6"}.get(want, "")


def _addressed(btf: Btf, name: str, target: t.Type, options: Options, form: str) -> v.Codec | None:
    """Return the codec of an address, or None when *target* cannot be one."""
    size = 4 if form == "ipv4" else 16
    if isinstance(target, (t.Float, t.Pointer)) or btf.size_of(target.id) != size:
        return None
    from skep.btf.addresses import Address

    return Address(name, size, options.order or ">")


def _address_number(name: str, size: int, order: str) -> v.Codec:
    """Return the codec of an address struct as one number."""
    if size == 4:
        return v.Scalar(name, order, "I")
    return v.BigInteger(name, "big" if order == ">" else "little", size, signed=False)


def _enumerated(
    btf: Btf, type_id: int, name: str, target: t.Type, depth: int, options: Options, want: Any
) -> v.Codec:
    """Return the codec of an integer or enum that is read as a Python enum."""
    if not isinstance(target, (t.Int, t.Enum)) or (isinstance(target, t.Int) and target.is_bool):
        raise _cannot(name, want, "it is no enum and no integer")
    _check_enumerators(name, target, want)
    plain = c.make(btf, type_id, depth, _numbers(options))
    if not isinstance(plain, v.Scalar):
        raise _cannot(name, want, f"it has {plain.size} bytes, an enum 8 at most", "write int")
    values = dict(target.values) if isinstance(target, t.Enum) else {}
    values |= {one.name: int(one.value) for one in want}
    made = v.Enumeration(name, plain.order, plain.char, values)
    made.named(enum_members(want))
    return made


class _Flags(dict):  # type: ignore[type-arg]
    """The members of an `enum.Flag` by number; their sums, too, are made when they are met."""

    def __init__(self, want: Any) -> None:
        self._want = want

    def get(self, number: int, default: Any = None) -> Any:
        try:
            return self._want(number)
        except ValueError:
            return default


def enum_members(want: Any) -> Any:
    """Return the members of a Python enum by number; a number that has none stays one."""
    import enum

    if issubclass(want, enum.Flag):
        return _Flags(want)
    return {int(one.value): one for one in want}


def _check_enumerators(name: str, target: t.Type, want: Any) -> None:
    from enum import Flag

    if not all(isinstance(one.value, int) for one in want):
        raise _cannot(name, want, "its values are not all integers")
    if isinstance(target, t.Enum):
        numbers = {number: label for label, number in target.values}
        for one in want:
            label = numbers.get(one.value)
            if label is None and not issubclass(want, Flag):
                known = ", ".join(f"{label} = {n}" for label, n in target.values[:12])
                why = f"{one.name} = {one.value} is none of its enumerators"
                raise _cannot(name, want, why, f"they are {known}")


def of_bits(
    name: str, inner: t.Int | t.Enum, values: dict[str, int] | None, options: Options
) -> Callable[[int], Any] | None:
    """Return what makes the wanted type of a bit-field's number; None: it is the number."""
    want, _ = unwrapped(options.want)
    enum = sys.modules.get("enum")
    if want in {None, int} or getattr(want, "__module__", "") == "typing":
        return None
    if want is bool and isinstance(inner, t.Int) and inner.is_bool:
        return bool
    if want is str and values:
        names = {number: label for label, number in values.items()}
        return lambda number: names.get(number, number)
    if enum is not None and isinstance(want, type) and issubclass(want, enum.Enum):
        _check_enumerators(name, inner, want)
        members = enum_members(want)
        return lambda number: members.get(number, number)
    raise _cannot(name, want, "it is a bit-field", "write int")


# -- errors ------------------------------------------------------------------------------


def spelled(want: Any) -> str:
    """Return how *want* is written in a program."""
    return want.__qualname__ if isinstance(want, type) else repr(want).removeprefix("typing.")


def _cannot(name: str, want: Any, why: str, hint: str = "") -> TypeMismatchError:
    return TypeMismatchError(
        f"{name} cannot be read as {spelled(want)}: {why}", hint=hint, expected=name, given=want
    )


def _unknown(name: str, want: Any) -> TypeMismatchError:
    return _cannot(
        name,
        want,
        "that is none of the types that skep can make",
        "give a Record subclass, dataclass, NamedTuple, ctypes structure, NumPy dtype, int, float,"
        " bool, str, bytes, tuple, an enum, IPv4Address or IPv6Address",
    )


def _fitting(btf: Btf, target: t.Type) -> str:
    """Return the annotation that fits *target*, in words."""
    if isinstance(target, t.Composite):
        return "a Record subclass or dataclass"
    reads = _reads(c.make(btf, target.id, MAX_DEPTH, c.DEFAULT))
    return " or ".join(one.__name__ for one in reads) or "another type"
