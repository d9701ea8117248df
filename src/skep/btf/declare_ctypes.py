"""ctypes classes as BTF: structures, unions, arrays, numbers and pointers, in both byte orders."""

from __future__ import annotations

import ctypes
import sys

from skep.errors import TypeMismatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from skep.btf.declare import Declarer, Member

_SIGNED, _UNSIGNED, _FLOAT = "bhilqn", "BHILQN", "fd"


def ctypes_id(declarer: Declarer, of: Any) -> int:
    """Return the id of the ctypes class *of*, with the offsets that it has here."""
    if issubclass(of, ctypes.Array):
        return declarer.array(declarer.id_of(of._type_), of._length_)
    if issubclass(of, (ctypes.Structure, ctypes.Union)):
        return _composite(declarer, of)
    code = getattr(of, "_type_", "")
    size = ctypes.sizeof(of)
    if not isinstance(code, str) or code in "PzZO":  # pointers, of whatever
        return declarer.named("void *")
    if code == "c":
        return declarer.named("char")
    if code == "?":
        return declarer.named("_Bool")
    order = _order(of)
    for kind, codes in (("i", _SIGNED), ("u", _UNSIGNED), ("f", _FLOAT)):
        if code in codes:
            return declarer.number(kind, size, order)
    raise TypeMismatchError(f"{of.__name__} has no C type in BTF", expected="a C type", given=of)


def _order(of: Any) -> str:
    """Return "<" or ">": whether the class is the one for the other byte order."""
    native, foreign = ("<", ">") if sys.byteorder == "little" else (">", "<")
    other = "__ctype_be__" if sys.byteorder == "little" else "__ctype_le__"
    return foreign if getattr(of, other, None) is of else native


def fields_of(of: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, class and descriptor of every field, those of base classes first."""
    for base in reversed(of.__mro__):
        for name, kind, *_ in base.__dict__.get("_fields_", ()):
            yield name, kind, getattr(of, name)


def _composite(declarer: Declarer, of: Any) -> int:
    members: list[Member] = []
    anonymous = {name for base in of.__mro__ for name in base.__dict__.get("_anonymous_", ())}
    for name, kind, place in fields_of(of):
        id_ = declarer.id_of(kind)
        shown = "" if name in anonymous else name
        bit, bits = _bits(kind, place)
        members.append((shown, id_, 8 * place.offset + bit, bits))
    return declarer.composite(
        of.__name__,
        ctypes.sizeof(of),
        members,
        union=issubclass(of, ctypes.Union),
        align=ctypes.alignment(of),
    )


def _bits(kind: Any, place: Any) -> tuple[int, int]:
    """Return first bit within the unit, and width; (0, 0) for what is no bit-field."""
    if hasattr(place, "is_bitfield"):  # CPython 3.14
        if not place.is_bitfield:
            return 0, 0
        return place.bit_offset, place.bit_size
    # Before, the width of a bit-field was in the upper half of its size.
    if place.size == ctypes.sizeof(kind) or not place.size >> 16:
        return 0, 0
    return place.size & 0xFFFF, place.size >> 16
