"""Keys of LPM tries: networks of `ipaddress`, or a prefix length and bytes.

A key is ``struct { __u32 prefixlen; data }``. The length counts bits from the first byte of the
data on, whatever the data means (kernel/bpf/lpm_trie.c ``longest_prefix_match``), so an address
has to be in network order. Data of 4 or 16 bytes is taken for an address, unless the struct has
more members than the two.
"""

from __future__ import annotations

import sys
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_network,
)

from skep.errors import RangeError, TypeMismatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    from skep.maps.cells import Cell
    from skep.maps.spec import MapSpec

    Network = IPv4Network | IPv6Network

_LENGTH = 4  # bytes of the prefix length
_ADDRESSES = {4: 4, 16: 6}  # bytes of an address: version


def key_cell(spec: MapSpec) -> Prefix:
    """Return the cell of the keys of the trie *spec*."""
    size = spec.key_size - _LENGTH
    declared = _declared(spec)
    version = _ADDRESSES.get(size, 0) if declared is None or _two_members(spec) else 0
    return Prefix(size, version, declared)


def _declared(spec: MapSpec) -> Cell | None:
    if spec.btf is None or not spec.key_type_id:
        return None
    from skep.maps.cells import key_cell as by_btf

    return by_btf(spec)


def _two_members(spec: MapSpec) -> bool:
    """Whether the key is a struct of a length of 4 bytes and one more member."""
    from skep.btf import types as t

    assert spec.btf is not None
    struct = spec.btf.strip(spec.key_type_id)
    if not isinstance(struct, t.Struct) or len(struct.members) != 2:
        return False
    first, second = struct.members
    if isinstance(spec.btf.strip(second.type_id), t.Struct):
        # struct in_addr and in6_addr are addresses; a struct of several things is not.
        return spec.btf.strip(second.type_id).name in ("in_addr", "in6_addr")
    return not first.bit_offset and second.bit_offset == 8 * _LENGTH


class Prefix:
    """The cell of one key: *size* bytes of data after the prefix length.

    *version* is 4 or 6 when the data is an address, else 0. *declared* is the cell of the struct
    that BTF declares; with it, and no address, keys are records, without it tuples
    ``(prefix length, bytes)``. All forms are taken where they make sense: a network, an address
    (all bits), their text, a tuple, a mapping, a record.
    """

    __slots__ = ("_declared", "data", "size", "version")

    def __init__(self, data: int, version: int, declared: Cell | None) -> None:
        self.data = data
        self.size = data + _LENGTH
        self.version = version
        self._declared = declared

    @property
    def bits(self) -> int:
        """The longest prefix."""
        return 8 * self.data

    @property
    def dtype(self) -> np.dtype[Any]:
        """A structure of the prefix length and the bytes, or what BTF declares."""
        found = getattr(self._declared, "dtype", None)
        if found is None:
            import numpy as np

            found = np.dtype([("prefixlen", np.uint32), ("data", np.uint8, (self.data,))])
        return found

    def unpack(self, buffer: Any, offset: int = 0) -> Any:
        """Return the key at *offset*: a network, a record, or (prefix length, bytes)."""
        if not self.version and self._declared is not None:
            return self._declared.unpack(buffer, offset)
        start = offset + _LENGTH
        length = int.from_bytes(buffer[offset:start], sys.byteorder)
        data = bytes(buffer[start : start + self.data])
        if self.version and length <= self.bits:
            # Programs may leave bits after the prefix; the kernel does not look at them.
            network = IPv4Network if self.version == 4 else IPv6Network
            return network((data, length), strict=False)
        return length, data

    def pack(self, value: Any) -> bytes:
        """Return *value* in one of the forms above as bytes.

        `TypeMismatchError` for a form or family that is not this key's, `RangeError` for a prefix
        longer than the data, and for a network with bits set after its prefix.
        """
        if isinstance(value, bytes) and len(value) == self.data:
            return self._joined(self.bits, value)
        if self.version and isinstance(value, _TEXTS):
            return self._network(value)
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], _BYTES):
            return self._pair(value)
        if self._declared is not None and not isinstance(value, _TEXTS):
            packed = self._declared.pack(value)
            length = int.from_bytes(packed[:_LENGTH], sys.byteorder)
            return self._joined(length, packed[_LENGTH:])
        raise self._unfit(value)

    def _joined(self, length: int, data: bytes) -> bytes:
        if not 0 <= length <= self.bits:
            message = f"a prefix has 0 to {self.bits} bits, not {length}"
            raise RangeError(message, expected=f"0 to {self.bits}", given=length)
        return length.to_bytes(_LENGTH, sys.byteorder) + data

    def _pair(self, value: tuple[Any, Any]) -> bytes:
        length, data = value[0], bytes(value[1])
        if not isinstance(length, int) or len(data) != self.data:
            raise self._unfit(value)
        return self._joined(length, data)

    def _network(self, value: Any) -> bytes:
        if isinstance(value, (IPv4Interface, IPv6Interface)):
            network: Network = value.network
        else:
            try:
                network = ip_network(value)
            except ValueError as error:
                raise self._no_network(value, error) from None
        if network.version != self.version:
            hint = ""
            if self.version > network.version:
                mapped = f"::ffff:{network.network_address}/{96 + network.prefixlen}"
                hint = f"IPv4 inside IPv6 is often written as {mapped}"
            raise TypeMismatchError(
                f"expected an IPv{self.version} network, not the IPv{network.version} network"
                f" {network}",
                hint=hint,
                expected=f"IPv{self.version}",
                given=value,
            )
        return self._joined(network.prefixlen, network.network_address.packed)

    def _no_network(self, value: Any, error: ValueError) -> RangeError:
        expected = f"an IPv{self.version} network or address"
        try:
            loose = ip_network(value, strict=False)
        except ValueError:
            example = "10.0.0.0/8" if self.version == 4 else "2001:db8::/32"
            message = f"{value!r:.60} is not {expected}"
            return RangeError(message, hint=f'e.g. "{example}"', expected=expected, given=value)
        message = f"{value!r:.60} has bits set after its prefix: {error}"
        hint = f"the network is {loose}, and the address alone {str(value).partition('/')[0]}"
        return RangeError(message, hint=hint, expected=expected, given=value)

    def _unfit(self, value: Any) -> TypeMismatchError:
        expected = f"(prefix length, {self.data} bytes)"
        if self._declared is not None:
            name = getattr(self._declared, "type_name", "the declared struct")
            expected = f"{name}, or {expected}"
        if self.version:
            expected = f"an IPv{self.version} network or address, {expected}"
        message = f"expected {expected}, not {type(value).__name__} {value!r:.60}"
        return TypeMismatchError(message, expected=expected, given=value)


_TEXTS = (str, IPv4Address, IPv6Address, IPv4Network, IPv6Network)
_BYTES = (bytes, bytearray, memoryview)
