"""`Field`: the Arrow type of one column, and how the column is made of the bytes of values.

`Field.column(raw)` takes the values as bytes: a NumPy array of u1 with a row for each value and as
many columns as a value has bytes, whose rows may lie apart (the members of a struct do) while the
bytes of one are together. Arrow wants each column in one piece and numbers in the machine's byte
order. Numbers that lie so already are not copied; all else is copied once, by whole columns.
"""

from __future__ import annotations

import struct as packing

import numpy as np

from skep.arrow.column import Column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    Bytes = np.ndarray[Any, Any]

_FORMATS = {
    ("i", 1): "c", ("i", 2): "s", ("i", 4): "i", ("i", 8): "l",
    ("u", 1): "C", ("u", 2): "S", ("u", 4): "I", ("u", 8): "L",
    ("f", 2): "e", ("f", 4): "f", ("f", 8): "g",
}  # fmt: skip
_SMALL = (1 << 31) - 1  # bytes of text that 32-bit offsets reach


class Field:
    """The name and Arrow format of a column: base of the kinds below.

    *metadata* goes with the field into the schema. There are no nulls: a map has none.
    """

    __slots__ = ("children", "dictionary", "format", "metadata", "name", "nullable")

    def __init__(self, name: str, format: str, children: Sequence[Field] = ()) -> None:
        self.name = name
        self.format = format
        self.children = tuple(children)
        self.dictionary: Field | None = None
        self.metadata: Mapping[str, str] = {}
        self.nullable = False

    def column(self, raw: Bytes) -> Column:
        """Return the values whose bytes are the rows of *raw*."""
        raise NotImplementedError

    def encoded(self) -> bytes | None:
        """Return the metadata as the C data interface wants it, None when there is none."""
        if not self.metadata:
            return None
        parts = [packing.pack("=i", len(self.metadata))]
        for pair in self.metadata.items():
            for text in pair:
                data = utf8(text)
                parts += [packing.pack("=i", len(data)), data]
        return b"".join(parts)

    def __repr__(self) -> str:
        inner = f" {list(self.children)}" if self.children else ""
        return f"<Field {self.name!r} {self.format}{inner}>"


class Number(Field):
    """Integers and floats of a NumPy *dtype*, of any byte order."""

    __slots__ = ("_dtype", "_native")

    def __init__(self, name: str, dtype: np.dtype[Any]) -> None:
        super().__init__(name, _FORMATS[dtype.kind, dtype.itemsize])
        self._dtype = dtype
        self._native = dtype.newbyteorder("=")

    def numbers(self, raw: Bytes) -> Bytes:
        """Return the numbers, in one piece and the machine's byte order."""
        return np.require(raw.view(self._dtype)[:, 0], self._native, ["C", "A"])

    def column(self, raw: Bytes) -> Column:
        """Return the numbers as they lie there, if they lie so."""
        return Column(len(raw), [self.numbers(raw)])


class Enum(Number):
    """Numbers that are shown as *names*: a dictionary column of text.

    A number without a name is its digits.
    """

    __slots__ = ("_names",)

    def __init__(self, name: str, dtype: np.dtype[Any], names: Mapping[int, str]) -> None:
        super().__init__(name, dtype)
        self._names = names
        self.format = "i"
        self.dictionary = Text("", 0)

    def column(self, raw: Bytes) -> Column:
        """Return indices of names."""
        numbers, indices = np.unique(self.numbers(raw), return_inverse=True)
        names = [str(self._names.get(one, one)) for one in numbers.tolist()]
        return Column(len(raw), [indices.astype(np.int32)], dictionary=texts(names))


class Bits(Field):
    """Bit-fields: *bits* bits from bit *shift* on of whole bytes in *byteorder*."""

    __slots__ = ("_big", "_bits", "_result", "_shift", "_signed")

    def __init__(self, name: str, bits: int, shift: int, *, big: bool, signed: bool) -> None:
        size = next(size for size in (1, 2, 4, 8) if bits <= 8 * size)
        self._result = np.dtype(f"{'i' if signed else 'u'}{size}")
        super().__init__(name, _FORMATS[self._result.kind, size])
        self._bits, self._shift, self._big, self._signed = bits, shift, big, signed

    def column(self, raw: Bytes) -> Column:
        """Return the numbers, each in the smallest integer that holds it."""
        order = raw[:, ::-1] if self._big else raw
        words = np.zeros(len(raw), np.uint64)
        for at in range(order.shape[1]):  # least significant first; at most nine
            byte, shift = order[:, at].astype(np.uint64), 8 * at - self._shift
            words |= byte << np.uint64(shift) if shift >= 0 else byte >> np.uint64(-shift)
        if self._bits < 64:
            words &= np.uint64((1 << self._bits) - 1)
            if self._signed:
                sign = np.uint64(1 << (self._bits - 1))
                words = (words ^ sign) - sign  # wraps around, as it should
        return Column(len(raw), [words.view(np.int64 if self._signed else np.uint64)
                                 .astype(self._result, copy=False)])  # fmt: skip


class Boolean(Field):
    """Bytes that are true when they are not zero: one bit each in Arrow."""

    __slots__ = ()

    def __init__(self, name: str) -> None:
        super().__init__(name, "b")

    def column(self, raw: Bytes) -> Column:
        """Return the bitmap."""
        return Column(len(raw), [np.packbits(raw[:, 0] != 0, bitorder="little")])


class Text(Field):
    r"""Arrays of char up to the first NUL, as text or (*binary*) as bytes.

    Text is UTF-8, and readers rely on it without looking; bytes that are none (the kernel takes
    any in the name of a task) become escapes like ``\xff``.
    """

    __slots__ = ("_binary", "_large")

    def __init__(self, name: str, room: int, *, binary: bool = False) -> None:
        self._binary = binary
        self._large = room > _SMALL
        small = "z" if binary else "u"
        super().__init__(name, small.upper() if self._large else small)

    def column(self, raw: Bytes) -> Column:
        """Return offsets and the characters."""
        rows, size = raw.shape
        inside = np.logical_and.accumulate(raw != 0, axis=1) if size else raw != 0
        lengths, characters = inside.sum(axis=1, dtype=np.int64), raw[inside]
        if not self._binary and len(characters) and characters.max() > 127:
            found = _valid(raw, lengths)
            if found is not None:
                return _packed(found, large=self._large)
        offsets = np.zeros(rows + 1, np.int64 if self._large else np.int32)
        np.cumsum(lengths, out=offsets[1:])
        return Column(rows, [offsets, characters])


def _valid(raw: Bytes, lengths: Bytes) -> list[bytes] | None:
    """Return the rows as UTF-8, bytes that are not as escapes; None when all are UTF-8."""
    rows = [row[:length].tobytes() for row, length in zip(raw, lengths.tolist(), strict=True)]
    valid = [row.decode("utf-8", "backslashreplace").encode() for row in rows]
    return None if valid == rows else valid


def _packed(values: Sequence[bytes], *, large: bool = False) -> Column:
    offsets = np.zeros(len(values) + 1, np.int64 if large else np.int32)
    np.cumsum([len(value) for value in values], out=offsets[1:])
    return Column(len(values), [offsets, np.frombuffer(b"".join(values), np.uint8)])


def texts(values: Sequence[str]) -> Column:
    """Return a column of text."""
    return _packed([utf8(value) for value in values])


def utf8(text: str) -> bytes:
    r"""Return *text* as UTF-8, which readers rely on; bytes that were none become ``\xff``."""
    try:
        data = text.encode("utf-8", "surrogateescape")  # as names in BTF are read
    except UnicodeEncodeError:
        data = text.encode("utf-8", "surrogatepass")
    return data.decode("utf-8", "backslashreplace").encode()


class Blob(Field):
    """Values of *size* bytes each."""

    __slots__ = ()

    def __init__(self, name: str, size: int) -> None:
        super().__init__(name, f"w:{size}")

    def column(self, raw: Bytes) -> Column:
        """Return the bytes as they are."""
        return Column(len(raw), [np.ascontiguousarray(raw).reshape(-1)])


class Items(Field):
    """Arrays of *length* items, *step* bytes apart; *size* bytes at *offset* of each are read."""

    __slots__ = ("_inside", "_item", "_length", "_step")

    def __init__(
        self, name: str, item: Field, length: int, size: int, *, step: int = 0, offset: int = 0
    ) -> None:
        super().__init__(name, f"+w:{length}", [item])
        self._item, self._length, self._step = item, length, step or size
        self._inside = slice(offset, offset + size)

    def column(self, raw: Bytes) -> Column:
        """Return the items of all rows, one after another."""
        whole = np.ascontiguousarray(raw)
        items = whole.reshape(len(raw) * self._length, self._step)[:, self._inside]
        return Column(len(raw), children=[self._item.column(items)])


class Group(Field):
    """Structs: *members* at byte offsets, of so many bytes."""

    __slots__ = ("_places",)

    def __init__(self, name: str, members: Sequence[tuple[Field, int, int]]) -> None:
        super().__init__(name, "+s", [field for field, _, _ in members])
        self._places = [(at, at + size) for _, at, size in members]

    def members(self) -> list[tuple[Field, tuple[int, int]]]:
        """Return each member and the bytes at which it begins and ends."""
        return list(zip(self.children, self._places, strict=True))

    def column(self, raw: Bytes) -> Column:
        """Return a column for each member."""
        inner = [field.column(raw[:, start:end]) for field, (start, end) in self.members()]
        return Column(len(raw), children=inner)
