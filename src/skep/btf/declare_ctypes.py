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
        at, bits = _bits(declarer, of, name, kind, place)
        members.append((shown, id_, at, bits))
    return declarer.composite(
        of.__name__,
        ctypes.sizeof(of),
        members,
        union=issubclass(of, ctypes.Union),
        align=ctypes.alignment(of),
    )


def _bits(declarer: Declarer, of: Any, name: str, kind: Any, place: Any) -> tuple[int, int]:
    """Return first bit, as BTF counts them, and width; width 0 for what is no bit-field.

    Where ctypes put a bit-field is seen by setting it: its own numbers count from the other end in
    classes of the other byte order, and are others since CPython 3.14.
    """
    if not getattr(place, "is_bitfield", place.size >> 16 and place.size != ctypes.sizeof(kind)):
        return 8 * place.offset, 0
    swapped = hasattr(of, "_swappedbytes_")
    order: Any = {"little": "big", "big": "little"}[sys.byteorder] if swapped else sys.byteorder
    if order != declarer.b.byteorder:
        raise TypeMismatchError(
            f"{of.__name__}.{name} is a bit-field of the other byte order",
            hint=f"in C the bits are those of a {declarer.b.byteorder}-endian machine",
            expected="a bit-field of the machine's byte order",
            given=of,
            field=name,
        )
    probe = of.from_buffer_copy(bytes(ctypes.sizeof(of)))
    place.__set__(probe, -1)
    covered = int.from_bytes(bytes(probe), order)
    first = (covered & -covered).bit_length() - 1
    if order == "big":
        first = 8 * ctypes.sizeof(of) - covered.bit_length()
    return first, covered.bit_count()
