"""Codecs of everything but structs: numbers, text, bytes, arrays, bit-fields.

`skep.btf.codec` says what each BTF type becomes and makes these.
"""

from __future__ import annotations

from _operator import index as to_index  # operator without its Python part
from struct import Struct as Packer
from struct import error as StructError  # noqa: N812  a class, named like one

from skep.errors import RangeError, SkepError, TypeMismatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    import numpy as np

    Buffer = bytes | bytearray | memoryview

PACK_ERRORS = (StructError, SkepError, TypeError, OverflowError, ValueError, LookupError)


class Codec:
    """Base of all codecs: `size` in bytes, `unpack`, `pack`.

    `type_name` is C's name of the type, for messages. Subclasses are private: get one from
    `codec` or `raw_codec`.
    """

    __slots__ = ("convert", "format", "prepare", "size", "type_name", "weight")

    size: int
    type_name: str
    format: str  # one struct-module item that a containing struct can use
    convert: Callable[[Any], Any] | None  # from that item to the value; None: it is the value
    prepare: Callable[[Any], Any] | None  # from the value to that item
    weight: int  # how many Python objects a value is made of

    def unpack(self, buffer: Buffer, offset: int = 0) -> Any:
        """Decode the `size` bytes at *offset* of *buffer*.

        Raises `TypeMismatchError` when there are fewer.
        """
        raise NotImplementedError

    def pack(self, value: Any) -> bytes:
        """Encode *value* as exactly `size` bytes.

        Raises `TypeMismatchError` (wrong shape or kind of value) or `RangeError` (a number or
        string that does not fit), naming the member.
        """
        raise NotImplementedError

    def explain(self, value: Any, path: str) -> None:
        """Raise the error that says why *value*, found at *path*, cannot be packed."""
        raise NotImplementedError

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of a column of these values; errors as `skep.btf.dtype.dtype`."""
        from skep.btf.dtype import dtype_of

        return dtype_of(self)

    def __repr__(self) -> str:
        return f"<Codec {self.type_name}, {self.size} bytes>"

    def _blob(self) -> None:
        """Make a containing struct see this value as `size` bytes."""
        self.format = f"{self.size}s"
        self.convert = self.unpack
        self.prepare = self.pack

    def mask(self) -> int:
        """Return which bits of the bytes, read as a little-endian number, are not padding."""
        return (1 << 8 * self.size) - 1

    def merge(self, data: bytearray, at: int, packed: bytes) -> None:
        """Put *packed* into *data*, leaving alone what this value does not cover."""
        end = at + self.size
        mask = self.mask()
        kept = int.from_bytes(data[at:end], "little") & ~mask
        data[at:end] = (kept | int.from_bytes(packed, "little")).to_bytes(self.size, "little")

    def foreign(self) -> None:
        """Make a containing struct leave this value's byte order to this codec."""
        self._blob()

    def _unfit(self, value: Any) -> TypeMismatchError:
        return TypeMismatchError(
            f"{self.type_name} cannot take {value!r:.60}", expected=self.type_name, given=value
        )

    def _short(self, buffer: Buffer, offset: int) -> TypeMismatchError:
        have = max(0, len(buffer) - offset)
        return TypeMismatchError(
            f"{self.type_name} takes {self.size} bytes, {have} given",
            expected=self.type_name,
            given=have,
        )


class Scalar(Codec):
    """An integer, float or bool that the struct module knows."""

    __slots__ = ("_pack", "_unpack_from", "char", "checked", "order")

    checked: Callable[[Any], Any] | None  # from the value to what the struct module takes

    def __init__(self, type_name: str, order: str, char: str) -> None:
        packer = Packer(order + char)
        self.order = order
        self.char = char
        self.type_name = type_name
        self.size = packer.size
        self.format = char
        self.convert = None
        self.prepare = self.checked = None
        self.weight = 1
        self._pack = packer.pack
        self._unpack_from = packer.unpack_from

    def unpack(self, buffer: Buffer, offset: int = 0) -> Any:
        try:
            return self._unpack_from(buffer, offset)[0]
        except StructError:
            raise self._short(buffer, offset) from None

    def pack(self, value: Any) -> bytes:
        try:
            return self._pack(value)
        except PACK_ERRORS as error:
            self.explain(value, "")
            raise self._unfit(value) from error

    def explain(self, value: Any, path: str) -> None:
        try:
            self._pack(value)
        except (StructError, OverflowError, TypeError, ValueError):
            pass
        else:
            return
        if self.char in "efd":
            if isinstance(value, (int, float)):
                unfit(path, f"{value!r} does not fit {self.type_name}", self.type_name, value)
            mismatch(path, self.type_name, "a number", value)
        check_integer(value, path, self.type_name, 8 * self.size, self.char.islower())


class Bool(Scalar):
    __slots__ = ()

    def __init__(self, type_name: str, order: str) -> None:
        super().__init__(type_name, order, "?")
        self.prepare = self.checked = self._truth

    def _truth(self, value: Any) -> bool:
        if value is True or value is False:
            return value
        self.explain(value, "")
        return bool(value)

    def pack(self, value: Any) -> bytes:
        return self._pack(self._truth(value))

    def explain(self, value: Any, path: str) -> None:
        check_integer(value, path, self.type_name, 1, signed=False)


class Enumeration(Scalar):
    """An enum, or an integer whose values have names: *values* by name.

    With *names* it is read as the name of the value, and as the number where it has none.
    """

    __slots__ = ("_values", "names")

    def __init__(
        self,
        type_name: str,
        order: str,
        char: str,
        values: dict[str, int],
        *,
        names: bool = False,
    ) -> None:
        super().__init__(type_name, order, char)
        self._values = values
        self.prepare = self.checked = self._number
        self.names: dict[int, Any] = {}  # what is read, by number
        if names:
            self.named({number: name for name, number in reversed(values.items())})

    def named(self, names: dict[int, Any]) -> None:
        """Read the numbers in *names* as what they are called there."""
        self.names = names
        self.convert = self._name

    def unpack(self, buffer: Buffer, offset: int = 0) -> Any:
        number = super().unpack(buffer, offset)
        return self.names.get(number, number)

    def _name(self, number: int) -> Any:
        return self.names.get(number, number)

    def _number(self, value: Any) -> Any:
        if isinstance(value, str):
            number = self._values.get(value)
            if number is None:
                self.explain(value, "")
            return number
        return value

    def pack(self, value: Any) -> bytes:
        return super().pack(self._number(value))

    def explain(self, value: Any, path: str) -> None:
        if isinstance(value, str):
            if value not in self._values:
                unfit(
                    path,
                    f"{self.type_name} has no enumerator {value!r}",
                    self.type_name,
                    value,
                    hint=_enumerators(self._values),
                )
            return
        super().explain(value, path)


class BigInteger(Codec):
    """An integer the struct module has no letter for: `__int128`."""

    __slots__ = ("_order", "_signed")

    def __init__(self, type_name: str, byteorder: str, size: int, signed: bool) -> None:
        self.type_name = type_name
        self.size = size
        self.weight = 1
        self._order: Any = byteorder
        self._signed = signed
        self._blob()

    def unpack(self, buffer: Buffer, offset: int = 0) -> int:
        data = buffer[offset : offset + self.size]
        if len(data) != self.size:
            raise self._short(buffer, offset)
        return int.from_bytes(data, self._order, signed=self._signed)

    def pack(self, value: Any) -> bytes:
        self.explain(value, "")
        number: int = value.__index__()
        return number.to_bytes(self.size, self._order, signed=self._signed)

    def explain(self, value: Any, path: str) -> None:
        check_integer(value, path, self.type_name, 8 * self.size, self._signed)


class Raw(Codec):
    """Bytes as they are: maps without BTF, and arrays of unsigned char."""

    __slots__ = ()

    def __init__(self, type_name: str, size: int) -> None:
        self.type_name = type_name
        self.size = size
        self.weight = 1
        self.format = f"{size}s"
        self.convert = None
        self.prepare = self.pack

    def unpack(self, buffer: Buffer, offset: int = 0) -> bytes:
        data = bytes(buffer[offset : offset + self.size])
        if len(data) != self.size:
            raise self._short(buffer, offset)
        return data

    def pack(self, value: Any) -> bytes:
        if isinstance(value, (bytes, bytearray, memoryview, tuple, list)):
            try:
                data = bytes(value)
            except (TypeError, ValueError):
                data = b""
            if len(data) == self.size:
                return data
        self.explain(value, "")
        raise self._unfit(value)

    def explain(self, value: Any, path: str) -> None:
        if isinstance(value, (tuple, list)):
            for index, item in enumerate(value):
                check_integer(item, f"{path}[{index}]", "unsigned char", 8, signed=False)
            value = bytes(value)
        if not isinstance(value, (bytes, bytearray, memoryview)):
            mismatch(path, self.type_name, "bytes", value)
        length = memoryview(value).nbytes
        if length != self.size:
            raise TypeMismatchError(
                f"{at_path(path)}{self.type_name} takes exactly {self.size} bytes, {length} given",
                expected=self.type_name,
                given=value,
                field=path,
            )


class Opaque(Raw):
    """Bytes nothing is known of."""

    __slots__ = ()


class String(Codec):
    """An array of char."""

    __slots__ = ()

    def __init__(self, type_name: str, size: int) -> None:
        self.type_name = type_name
        self.size = size
        self.weight = 1
        self.format = f"{size}s"
        self.convert = to_str
        self.prepare = self._data

    def unpack(self, buffer: Buffer, offset: int = 0) -> str:
        data = bytes(buffer[offset : offset + self.size])
        if len(data) != self.size:
            raise self._short(buffer, offset)
        return to_str(data)

    def _data(self, value: Any) -> bytes:
        if isinstance(value, str):
            try:
                data = value.encode("utf-8", "surrogateescape")
            except UnicodeEncodeError:
                self.explain(value, "")
                raise
            if len(data) <= self.size and b"\0" not in data:
                return data
        elif isinstance(value, (bytes, bytearray)) and len(value) <= self.size:
            return bytes(value)
        self.explain(value, "")
        raise self._unfit(value)

    def pack(self, value: Any) -> bytes:
        return self._data(value).ljust(self.size, b"\0")

    def explain(self, value: Any, path: str) -> None:
        if not isinstance(value, (str, bytes, bytearray)):
            mismatch(path, self.type_name, "a string", value)
        try:
            data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        except UnicodeEncodeError:
            text = f"{value!r:.60} is no text: it has a lone surrogate"
            unfit(path, text, self.type_name, value)
        if len(data) > self.size:
            text = f"a string of {len(data)} bytes does not fit {self.type_name}"
            unfit(path, text, self.type_name, value)
        if isinstance(value, str) and "\0" in value:
            text = f"a str for {self.type_name} cannot contain NUL"
            unfit(path, text, self.type_name, value)


class Numbers(Codec):
    """An array of integers, floats or bools that the struct module unpacks in one call."""

    __slots__ = ("_pack", "_unpack_from", "element", "length")

    def __init__(self, type_name: str, element: Scalar, length: int) -> None:
        packer = Packer(f"{element.order}{length}{element.char}")
        self.type_name = type_name
        self.size = packer.size
        self.weight = length
        self.element = element
        self.length = length
        self._pack = packer.pack
        self._unpack_from = packer.unpack_from
        self._blob()

    def unpack(self, buffer: Buffer, offset: int = 0) -> tuple[Any, ...]:
        try:
            return self._unpack_from(buffer, offset)
        except StructError:
            raise self._short(buffer, offset) from None

    def pack(self, value: Any) -> bytes:
        try:
            prepare = self.element.checked
            return self._pack(*(value if prepare is None else map(prepare, value)))
        except PACK_ERRORS as error:
            self.explain(value, "")
            raise self._unfit(value) from error

    def explain(self, value: Any, path: str) -> None:
        explain_array(self.element, self.length, self.type_name, value, path)


class Array(Codec):
    """An array of anything else."""

    __slots__ = ("element", "length")

    def __init__(self, type_name: str, element: Codec, length: int) -> None:
        self.type_name = type_name
        self.size = element.size * length
        self.weight = 1 + element.weight * length
        self.element = element
        self.length = length
        self._blob()

    def unpack(self, buffer: Buffer, offset: int = 0) -> tuple[Any, ...]:
        if len(buffer) - offset < self.size:
            raise self._short(buffer, offset)
        unpack = self.element.unpack
        step = self.element.size
        return tuple([unpack(buffer, offset + i * step) for i in range(self.length)])

    def pack(self, value: Any) -> bytes:
        try:
            data = b"".join(map(self.element.pack, value))
        except PACK_ERRORS as error:
            self.explain(value, "")
            raise self._unfit(value) from error
        if len(data) != self.size:
            self.explain(value, "")
        return data

    def mask(self) -> int:
        inner = self.element.mask()
        step = 8 * self.element.size
        mask = 0
        for i in range(self.length):
            mask |= inner << i * step
        return mask

    def explain(self, value: Any, path: str) -> None:
        explain_array(self.element, self.length, self.type_name, value, path)


class BitField(Codec):
    """Some bits of the smallest run of whole bytes that holds them.

    Those of an enum take names (*values*), and are read as such with *names*.
    """

    __slots__ = ("_bits", "_of", "_order", "_shift", "_values", "order", "signed")

    def __init__(
        self,
        type_name: str,
        byteorder: str,
        first_bit: int,
        bits: int,
        signed: bool,
        *,
        values: dict[str, int] | None = None,
        of: Callable[[int], Any] | None = None,
    ) -> None:
        self.type_name = type_name
        self.size = (first_bit + bits + 7) // 8
        self.weight = 1
        self._order: Any = byteorder
        self.order = "<" if byteorder == "little" else ">"
        self._bits = bits
        self.signed = signed
        # Big-endian compilers count bits from the most significant one.
        self._shift = first_bit if byteorder == "little" else 8 * self.size - first_bit - bits
        self._values = values or {}
        self._of = of
        self._blob()

    def unpack(self, buffer: Buffer, offset: int = 0) -> Any:
        data = buffer[offset : offset + self.size]
        if len(data) != self.size:
            raise self._short(buffer, offset)
        value = int.from_bytes(data, self._order) >> self._shift & ((1 << self._bits) - 1)
        if self.signed and value >> (self._bits - 1):
            value -= 1 << self._bits
        return value if self._of is None else self._of(value)

    def pack(self, value: Any) -> bytes:
        self.explain(value, "")
        if isinstance(value, str):
            value = self._values[value]
        number: int = (value.__index__() & ((1 << self._bits) - 1)) << self._shift
        return number.to_bytes(self.size, self._order)

    def mask(self) -> int:
        number = ((1 << self._bits) - 1) << self._shift
        return int.from_bytes(number.to_bytes(self.size, self._order), "little")

    def explain(self, value: Any, path: str) -> None:
        if isinstance(value, str) and self._values:
            if value not in self._values:
                text = f"{self.type_name} has no enumerator {value!r}"
                unfit(path, text, self.type_name, value, hint=_enumerators(self._values))
            value = self._values[value]
        check_integer(value, path, f"{self.type_name} : {self._bits}", self._bits, self.signed)


# -- errors -----------------------------------------------------------------------------


def at_path(path: str) -> str:
    return f"{path}: " if path else ""


def mismatch(path: str, type_name: str, expected: str, value: Any) -> NoReturn:
    raise TypeMismatchError(
        f"{at_path(path)}{type_name} takes {expected}, not {type(value).__name__} {value!r:.60}",
        expected=type_name,
        given=value,
        field=path,
    )


def unfit(path: str, text: str, expected: str, value: Any, hint: str = "") -> NoReturn:
    raise RangeError(
        f"{at_path(path)}{text}", hint=hint, expected=expected, given=value, field=path
    )


_SHOWN = 12  # enumerators in a hint


def _enumerators(values: dict[str, int]) -> str:
    shown = ", ".join(list(values)[:_SHOWN])
    return f"its enumerators are {shown}{', ...' if len(values) > _SHOWN else ''}"


def check_integer(value: Any, path: str, type_name: str, bits: int, signed: bool) -> None:
    try:
        number = to_index(value)
    except TypeError:
        mismatch(path, type_name, "an integer", value)
    low = -(1 << (bits - 1)) if signed else 0
    high = (1 << (bits - signed)) - 1
    if not low <= number <= high:
        expected = f"{type_name} ({low} to {high})"
        unfit(path, f"{number} does not fit {expected}", expected, value)


def explain_array(element: Codec, length: int, type_name: str, value: Any, path: str) -> None:
    if isinstance(value, (str, bytes, dict)) or not hasattr(value, "__len__"):
        mismatch(path, type_name, "a sequence", value)
    if len(value) != length:
        raise TypeMismatchError(
            f"{at_path(path)}{type_name} takes {length} elements, {len(value)} given",
            expected=type_name,
            given=value,
            field=path,
        )
    for index, item in enumerate(value):
        element.explain(item, f"{path}[{index}]")


def to_str(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "surrogateescape")
