"""Keys of LPM tries as bytes and back, in every form they may be given in."""

from __future__ import annotations

import sys
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.btf.btf import Btf
from skep.btf.writer import Builder
from skep.errors import RangeError, TypeMismatchError
from skep.kernel.constants import MapType
from skep.maps.spec import MapSpec
from skep.maps.types.lpm import shorter, trimmed
from skep.maps.types.prefixes import Prefix, key_cell


def v4(length: int, address: str) -> bytes:
    return length.to_bytes(4, sys.byteorder) + ip_address(address).packed


def spec(members: list[str], sizes: list[int]) -> MapSpec:
    """A trie whose key is a struct of bytes arrays, the first being the prefix length."""
    b = Builder(sys.byteorder)
    u32, u8 = b.int("unsigned int", 4), b.int("unsigned char", 1)
    placed, at = [("prefixlen", u32, 0)], 4
    for name, size in zip(members, sizes, strict=True):
        placed.append((name, b.array(u8, size, u32), 8 * at))
        at += size
    key = b.struct("key", at, placed)
    btf = Btf.from_bytes(b.build(), name="a test")
    return MapSpec(
        name="t", type=MapType.LPM_TRIE, key_size=at, value_size=4, btf=btf, key_type_id=key
    )


@given(st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_networks_survive(address: int, length: int) -> None:
    cell = Prefix(4, 4, None)
    network = IPv4Network((address, length), strict=False)
    packed = cell.pack(network)
    assert cell.unpack(packed) == network
    assert packed == cell.pack(str(network)) == trimmed(packed)
    assert packed == cell.pack((length, network.network_address.packed))
    assert cell.unpack(b"xyz" + packed, 3) == network


@given(st.binary(min_size=16, max_size=16), st.integers(0, 128))
def test_long_networks_survive(address: bytes, length: int) -> None:
    cell = Prefix(16, 6, None)
    network = IPv6Network((address, length), strict=False)
    assert cell.unpack(cell.pack(network)) == network
    # What a program left after the prefix is not seen.
    assert cell.unpack(length.to_bytes(4, sys.byteorder) + address) == network


@given(st.binary(min_size=5, max_size=5), st.integers(0, 40))
def test_shorter_prefixes_are_all_that_cover(data: bytes, length: int) -> None:
    packed = length.to_bytes(4, sys.byteorder) + data
    found = shorter(packed)
    assert len(found) == length + 1
    bits = int.from_bytes(data, "big")
    for one, kept in zip(found, range(length, -1, -1), strict=True):
        assert int.from_bytes(one[:4], sys.byteorder) == kept
        assert int.from_bytes(one[4:], "big") == bits >> 40 - kept << 40 - kept
        assert trimmed(one) == one


def test_forms_of_an_address() -> None:
    cell = Prefix(4, 4, None)
    expected = v4(32, "10.1.2.3")
    for form in ("10.1.2.3", "10.1.2.3/32", ip_address("10.1.2.3"), b"\x0a\1\2\3"):
        assert cell.pack(form) == expected
    assert cell.pack(ip_network("10.0.0.0/8")) == v4(8, "10.0.0.0")
    assert cell.dtype.names == ("prefixlen", "data")
    assert cell.dtype.itemsize == cell.size == 8


def test_a_struct_of_two_members_is_an_address() -> None:
    cell = key_cell(spec(["address"], [4]))
    assert cell.unpack(v4(8, "10.0.0.0")) == IPv4Network("10.0.0.0/8")
    assert cell.pack({"prefixlen": 8, "address": b"\x0a\0\0\0"}) == v4(8, "10.0.0.0")
    assert cell.dtype.names == ("prefixlen", "address")
    assert key_cell(spec(["address"], [16])).version == 6


def test_other_structs_are_records() -> None:
    cell = key_cell(spec(["zone", "host"], [1, 3]))
    assert cell.version == 0
    packed = cell.pack((16, b"\7", b"\1\2\3"))
    assert packed == (16).to_bytes(4, sys.byteorder) + b"\7\1\2\3"
    record = cell.unpack(packed)
    assert (record.prefixlen, record.zone, record.host) == (16, b"\7", b"\1\2\3")
    assert cell.pack((16, b"\7\1\2\3")) == packed  # the bytes as one
    with pytest.raises(RangeError, match="a prefix has 0 to 32 bits, not 33"):
        cell.pack((33, b"\7", b"\1\2\3"))
    with pytest.raises(TypeMismatchError, match=r"expected struct key, or .prefix length, 4 bytes"):
        cell.pack("10.0.0.0/8")
    assert key_cell(spec(["name"], [12])).version == 0


@pytest.mark.parametrize(
    ("form", "kind", "words"),
    [
        ("10.1.2.3/8", RangeError, "has bits set after its prefix"),
        ("10.1.2.3.4", RangeError, "is not an IPv4 network or address"),
        ("", RangeError, "is not an IPv4 network or address"),
        (
            "fe80::1",
            TypeMismatchError,
            "expected an IPv4 network, not the IPv6 network fe80::1/128",
        ),
        ((40, b"abcd"), RangeError, "a prefix has 0 to 32 bits, not 40"),
        ((-1, b"abcd"), RangeError, "a prefix has 0 to 32 bits, not -1"),
        ((8, b"abc"), TypeMismatchError, "expected an IPv4 network or address, .prefix length"),
        (("8", b"abcd"), TypeMismatchError, "expected an IPv4 network or address"),
        (b"abc", TypeMismatchError, "not bytes b'abc'"),
        (8, TypeMismatchError, "not int 8"),
        ([8, b"abcd"], TypeMismatchError, "not list"),
    ],
)
def test_what_does_not_fit(form: object, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        Prefix(4, 4, None).pack(form)
