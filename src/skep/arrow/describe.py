"""From BTF codecs and NumPy dtypes to Arrow types.

| BTF | Arrow |
|---|---|
| integer, enum, pointer, float | int8 .. uint64, float16 .. float64, whatever the byte order was |
| enum, with `enums="names"` | dictionary of utf8; a number without a name is its digits |
| bit-field | the smallest integer of its sign that holds it |
| `bool` | bool |
| `char[N]` | utf8 up to the first NUL, or binary |
| `unsigned char[N]`, bytes without a type, `__int128`, addresses of 16 bytes | fixed_size_binary |
| other arrays | fixed_size_list |
| struct, union | struct; the members of a union are all there, each read from the same bytes |
"""

from __future__ import annotations

# ruff: noqa: SLF001  codecs and this module are two halves of one table
from skep.arrow import fields
from skep.btf import _values as v
from skep.btf._composite import Composite
from skep.errors import UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    from skep.arrow.fields import Field


class Choices:
    """What the types leave open; *rows* is how many there will be at most.

    *names*: enums as names. *binary*: text as bytes.
    """

    __slots__ = ("binary", "names", "rows")

    def __init__(self, *, rows: int, names: bool = False, binary: bool = False) -> None:
        self.rows = rows
        self.names = names
        self.binary = binary


def of_codec(name: str, codec: Any, choices: Choices) -> Field:
    """Return the field called *name* of the values of a BTF codec.

    `UnsupportedError` for a type that is neither a number nor made of bytes.
    """
    if isinstance(codec, Composite):
        members = [
            (of_codec(field.name, field.codec, choices), field.offset, field.codec.size)
            for field in codec.fields
        ]
        return fields.Group(name, members)
    if isinstance(codec, v.BitField):
        return fields.Bits(
            name,
            codec._bits,
            codec._shift,
            big=codec.order == ">",
            signed=codec.signed,
        )
    if isinstance(codec, v.Array):
        inner = _inside(choices, codec.length)
        item = of_codec("item", codec.element, inner)
        return fields.Items(name, item, codec.length, codec.element.size)
    if isinstance(codec, v.Enumeration) and choices.names:
        numbers = {number: text for text, number in reversed(codec._values.items())}
        return fields.Enum(name, codec.dtype, numbers)
    dtype = getattr(codec, "dtype", None)
    if dtype is None:
        message = f"column {name!r}: {codec!r} has no Arrow type"
        raise UnsupportedError(message, hint="read the map with items()", feature="arrow export")
    return of_dtype(name, dtype, choices)


def of_dtype(name: str, dtype: np.dtype[Any], choices: Choices) -> Field:
    """Return the field called *name* of a NumPy array with *dtype*; errors as `of_codec`."""
    if dtype.names is not None:
        members = []
        for member in dtype.names:
            inner, at = dtype.fields[member][:2]  # type: ignore[index]
            members.append((of_dtype(member, inner, choices), at, inner.itemsize))
        return fields.Group(name, members)
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        if len(shape) > 1:
            base, shape = base_of(base, shape[1:]), shape[:1]
        if base.kind == "u" and base.itemsize == 1:
            return fields.Blob(name, dtype.itemsize)
        item = of_dtype("item", base, _inside(choices, shape[0]))
        return fields.Items(name, item, shape[0], base.itemsize)
    if dtype.kind == "S":
        return fields.Text(name, choices.rows * dtype.itemsize, binary=choices.binary)
    if dtype.kind == "V":
        return fields.Blob(name, dtype.itemsize)
    if dtype.kind == "b":
        return fields.Boolean(name)
    if dtype.kind in "iuf" and dtype.itemsize <= 8:
        return fields.Number(name, dtype)
    message = f"column {name!r}: NumPy's {dtype} has no Arrow type here"
    raise UnsupportedError(message, feature="arrow export")


def base_of(dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.dtype[Any]:
    """Return the dtype of arrays of *shape*."""
    import numpy as np

    # NumPy makes no dtype of an array of S0, and would of no array at all.
    return np.dtype((dtype, shape)) if shape and dtype.itemsize else dtype


def _inside(choices: Choices, length: int) -> Choices:
    return Choices(rows=choices.rows * length, names=choices.names, binary=choices.binary)
