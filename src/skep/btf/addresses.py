"""Codecs of network addresses: `ipaddress` objects. Imported when a type has an address."""

from __future__ import annotations

from _operator import index as to_index  # operator without its Python part
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from skep.btf._values import Codec, mismatch, unfit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.btf._values import Buffer

_KINDS = {4: (IPv4Address, "an IPv4 address"), 16: (IPv6Address, "an IPv6 address")}
# Addresses do not change, and the same ones come again and again in a table of connections:
# making one takes a microsecond, finding it a tenth.
_made = {4: lru_cache(4096)(IPv4Address), 16: lru_cache(4096)(IPv6Address)}


class Address(Codec):
    """4 or 16 bytes of an address, in network order unless *order* is "<".

    Written from the object, its text, its number or its bytes.
    """

    __slots__ = ("_convert", "_kind", "_spelled", "order")

    def __init__(self, type_name: str, size: int, order: str = ">") -> None:
        self.type_name = type_name
        self.size = size
        self.weight = 1
        self.order = order
        self._kind, self._spelled = _KINDS[size]
        make = _made[size]
        self._convert = make if order == ">" else lambda data: make(data[::-1])
        self.format = f"{size}s"
        self.convert = self._convert
        self.prepare = self.pack

    def unpack(self, buffer: Buffer, offset: int = 0) -> Any:
        """Decode the address at *offset*."""
        data = bytes(buffer[offset : offset + self.size])
        if len(data) != self.size:
            raise self._short(buffer, offset)
        return self._convert(data)

    def pack(self, value: Any) -> bytes:
        """Encode an address given in any of its forms."""
        if not isinstance(value, self._kind):
            self.explain(value, "")
            value = self._kind(_plain(value))
        elif getattr(value, "scope_id", None) is not None:
            self.explain(value, "")
        data: bytes = value.packed
        return data if self.order == ">" else data[::-1]

    def explain(self, value: Any, path: str) -> None:
        """Raise the error that says why *value* is not such an address."""
        if isinstance(value, self._kind):
            if getattr(value, "scope_id", None) is not None:
                text = f"{value} has a zone, which {self.type_name} has no room for"
                unfit(path, text, self.type_name, value)
            return
        plain = _plain(value)
        if isinstance(plain, bool) or not isinstance(plain, (str, int, bytes)):
            expected = f"{self._spelled} (an object, a str or an int)"
            mismatch(path, self.type_name, expected, value)
        try:
            made = self._kind(plain)
        except (AddressValueError, ValueError):
            unfit(path, f"{value!r:.60} is not {self._spelled}", self.type_name, value)
        self.explain(made, path)


def _plain(value: Any) -> Any:
    """Return what `ipaddress` takes: a NumPy integer is an int, a bytearray bytes."""
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, (bool, int)):
        return value
    try:
        return to_index(value)
    except TypeError:
        return value
