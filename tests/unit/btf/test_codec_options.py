"""What BTF leaves open: addresses, enums as names, byte orders of the caller's, tags."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.btf.btf import Btf
from skep.btf.codec import Options, codec
from skep.btf.options import DEFAULT, names_an_address
from skep.btf.writer import Builder
from skep.errors import BtfError, RangeError, TypeMismatchError


class World:
    """The types that the tests put together."""

    def __init__(self, order: str = "little") -> None:
        self.order = order
        self.b = Builder(order)
        self.char = self.b.int("char", 1, signed=True)
        self.u8 = self.b.int("unsigned char", 1)
        self.u16 = self.b.int("unsigned short", 2)
        self.u32 = self.b.int("unsigned int", 4)
        self.u64 = self.b.int("unsigned long long", 8)
        self.bool = self.b.int("_Bool", 1, is_bool=True)
        self.be32 = self.b.typedef("__be32", self.u32)
        self.state = self.b.enum("state", [("IDLE", 0), ("BUSY", 1), ("TOP", 7), ("ALSO", 1)])

    def array(self, of: int, length: int) -> int:
        return self.b.array(of, length, self.u32)

    def codec(self, type_id: int, options: Options = DEFAULT) -> Any:
        return codec(Btf.from_bytes(self.b.build(), name="test"), type_id, options)

    def of(self, type_id: int, name: str = "m", options: Options = DEFAULT) -> Any:
        """Return the codec of a struct with one member."""
        size = Btf.from_bytes(self.b.build()).size_of(type_id)
        return self.codec(self.b.struct("s", size, [(name, type_id, 0)]), options)


@pytest.fixture(params=["little", "big"])
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "saddr",
            "daddr",
            "addr",
            "address",
            "Address",
            "src_addr",
            "saddr4",
            "saddrv4",
            "addr_v6",
        ),
        *("ip", "src_ip", "ip4", "ipv4", "dst_ip6", "sip", "dip", "vip", "srcip", "skc_rcv_saddr"),
        *("s_addr", "remote_address", "IP", "u6_addr"),
    ],
)
def test_names_of_addresses(name: str) -> None:
    assert names_an_address(name)


@pytest.mark.parametrize(
    "name", ["skip", "strip", "flags", "mark", "port", "addrs", "address_family", "ip_id", "", "x4"]
)
def test_names_of_other_things(name: str) -> None:
    assert not names_an_address(name)


def test_an_address_by_its_name_and_type(world: World) -> None:
    four, six = b"\x0a\0\0\x01", IPv6Address("2001:db8::1").packed
    for type_id, name, data, value in [
        (world.be32, "saddr", four, IPv4Address("10.0.0.1")),
        (world.be32, "mark", four, 0x0A000001),
        (world.u32, "addr", four, int.from_bytes(four, world.order)),  # type: ignore[arg-type]
        (world.array(world.u8, 16), "daddr", six, IPv6Address("2001:db8::1")),
        (world.array(world.be32, 4), "ip6", six, IPv6Address("2001:db8::1")),
        (world.array(world.u8, 16), "hash", six, six),
        (world.array(world.u8, 6), "addr", six[:6], six[:6]),
        (world.array(world.char, 16), "addr", b"eth0".ljust(16, b"\0"), "eth0"),
        (world.b.struct("in_addr", 4, [("s_addr", world.be32, 0)]), "x", four, IPv4Address(four)),
        (
            world.b.struct("in6_addr", 16, [("u", world.array(world.u8, 16), 0)]),
            "x",
            six,
            IPv6Address(six),
        ),
    ]:
        made = world.of(type_id, name)
        assert made.unpack(data) == (value,)
        assert made.pack((value,)) == data
    numbers = world.of(world.be32, "saddr", Options(addresses=False))
    assert numbers.unpack(four) == (0x0A000001,)
    assert numbers.pack((0x0A000001,)) == four


def test_an_address_is_written_from_any_of_its_forms(world: World) -> None:
    made = world.of(world.be32, "saddr")
    for value in (
        IPv4Address("1.2.3.4"),
        "1.2.3.4",
        0x01020304,
        b"\1\2\3\4",
        bytearray(b"\1\2\3\4"),
    ):
        assert made.pack((value,)) == b"\1\2\3\4"
    six = world.of(world.array(world.u8, 16), "daddr")
    for other in (IPv6Address("::1"), "::1", 1, bytes(15) + b"\1"):
        assert six.pack((other,)) == bytes(15) + b"\1"
    for codec_, wrong, error, message in [
        (made, "1.2.3", RangeError, "saddr: '1.2.3' is not an IPv4 address"),
        (made, -1, RangeError, "saddr: -1 is not an IPv4 address"),
        (made, 1 << 32, RangeError, "is not an IPv4 address"),
        (made, b"123", RangeError, "is not an IPv4 address"),
        (made, 1.5, TypeMismatchError, "saddr: __be32 takes an IPv4 address .* not float 1.5"),
        (made, True, TypeMismatchError, "not bool"),
        (made, IPv6Address("::1"), TypeMismatchError, "not IPv6Address"),
        (six, "fe80::1%eth0", RangeError, "daddr: fe80::1%eth0 has a zone"),
        (six, IPv6Address("fe80::1%2"), RangeError, "has a zone"),
    ]:
        with pytest.raises(error, match=message) as caught:
            codec_.pack((wrong,))
        assert getattr(caught.value, "field", "") in {"saddr", "daddr"}


def test_enums_as_names(world: World) -> None:
    names = Options(enums="names")
    native = ">" if world.order == "big" else "<"
    whole = struct.pack(f"{native}I", 1)
    assert world.codec(world.state).unpack(whole) == 1
    assert world.codec(world.state, names).unpack(whole) == "BUSY"
    assert world.codec(world.state, names).unpack(struct.pack(f"{native}I", 3)) == 3
    pair = world.of(world.array(world.state, 2), "m", names)
    data = struct.pack(f"{native}2I", 7, 9)
    assert pair.unpack(data) == (("TOP", 9),)
    assert pair.pack((("TOP", 9),)) == data
    with pytest.raises(RangeError, match=r"m\[0\]: .* no enumerator 'NO'.*IDLE, BUSY, TOP, ALSO"):
        pair.pack((("NO", 9),))


def test_bit_fields_of_enums_and_bools(world: World) -> None:
    u32, bool_ = world.u32, world.bool
    members = [("st", world.state, 0, 3), ("ok", bool_, 3, 1), ("rest", u32, 4, 28)]
    id_ = world.b.struct("s", 4, members)
    plain, named = world.codec(id_), world.codec(id_, Options(enums="names"))
    data = plain.pack(("BUSY", True, 5))
    assert plain.unpack(data) == (1, True, 5)
    assert plain.unpack(data).ok is True
    assert named.unpack(data) == ("BUSY", True, 5)
    assert named.pack(named.unpack(data)) == data
    with pytest.raises(RangeError, match="st: enum state has no enumerator 'X'"):
        plain.pack(("X", True, 5))
    with pytest.raises(TypeMismatchError, match="bit-field st: it has no bytes of its own"):
        world.codec(id_, Options(byteorder={"st": "big"}))


@given(st.integers(0, 2**64 - 1), st.sampled_from(["little", "big"]))
def test_a_byte_order_overrides_every_other(value: int, order: Any) -> None:
    for native in ("little", "big"):
        world = World(native)
        for type_id, bits in [
            (world.u16, 16),
            (world.u32, 32),
            (world.u64, 64),
            (world.be32, 32),
            (world.state, 32),
        ]:
            number = value & ((1 << bits) - 1)
            made = world.codec(type_id, Options(byteorder=order))
            assert made.pack(number) == number.to_bytes(bits // 8, order)
            assert made.unpack(made.pack(number)) == number
            member = world.of(type_id, "saddr", Options(byteorder={"saddr": order}))
            assert member.unpack(made.pack(number)) == (number,)
            assert member.dtype["saddr"] == made.dtype


def test_a_byte_order_of_a_member_of_a_member(world: World) -> None:
    inner = world.b.struct(
        "inner", 8, [("port", world.u16, 0), ("all", world.array(world.u16, 3), 16)]
    )
    outer = world.b.struct("outer", 16, [("at", world.array(inner, 2), 0)])
    data = bytes(range(16))
    made = world.codec(outer, Options(byteorder={"at.port": "big", "at.all": "little"}))
    first, second = made.unpack(data).at
    assert (first.port, first.all) == (0x0001, (0x0302, 0x0504, 0x0706))
    assert (second.port, second.all) == (0x0809, (0x0B0A, 0x0D0C, 0x0F0E))
    assert made.pack(made.unpack(data)) == data
    for wrong, message in [
        ({"at.prt": "big"}, "struct inner: it has no member 'prt'"),
        ({"at": "big"}, "struct inner: it is not one number"),
        ({"at.port.x": "big"}, "it has no member 'x'"),
    ]:
        with pytest.raises(TypeMismatchError, match=message):
            world.codec(outer, Options(byteorder=wrong))  # type: ignore[arg-type]


def test_tags_of_members_and_typedefs(world: World) -> None:
    port = world.b.typedef("port_t", world.u16)
    world.b.decl_tag("skep:big", port)
    id_ = world.b.struct(
        "s",
        56,
        [
            ("server", world.u32, 0),
            ("port", port, 32),
            ("low", world.u16, 48),
            ("wide", world.array(world.u32, 4), 64),
            ("state", world.u8, 192),
            ("named", world.state, 224),
            ("many", world.array(world.u32, 2), 256),
            ("host", world.u32, 320),
            ("bits", world.u8, 352, 3),
            ("other", world.array(port, 2), 384),
        ],
    )
    for index, tag in [
        *((0, "ipv4"), (2, "little"), (3, "ipv6"), (4, "enum state"), (5, "enum"), (6, "ipv4")),
        *((7, "ipv4"), (7, "little"), (8, "enum state")),
    ]:
        world.b.decl_tag(f"skep:{tag}", id_, index)
    world.b.decl_tag("somebody else's", id_, 1)
    made = world.codec(id_)
    native = ">" if world.order == "big" else "<"
    data = (
        b"\x0a\0\0\1" + b"\0\x50" + b"\x03\x02" + bytes(15) + b"\1" + b"\7\0\0\0"
        + struct.pack(f"{native}I", 1) + b"\1\1\1\1\2\2\2\2" + b"\1\0\0\x7f"
        + bytes([1 << (5 if native == ">" else 0)]) + bytes(3) + b"\0\1\0\2" + bytes(4)
    )  # fmt: skip
    value = made.unpack(data)
    assert value.asdict() == {
        "server": IPv4Address("10.0.0.1"),
        "port": 80,
        "low": 0x0203,
        "wide": IPv6Address("::1"),
        "state": "TOP",
        "named": "BUSY",
        "many": [IPv4Address("1.1.1.1"), IPv4Address("2.2.2.2")],
        "host": IPv4Address("127.0.0.1"),
        "bits": "BUSY",
        "other": [1, 2],
    }
    assert made.pack(value) == data
    assert made.pack({**value.asdict(), "state": 7, "server": "10.0.0.1"}) == data
    plain = world.codec(id_, Options(addresses=False, byteorder={"port": "little"})).unpack(data)
    assert (plain.server, plain.port, plain.wide) == (0x0A000001, 0x5000, (0, 0, 0, 1))


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("skep:ipv5", "has the tag 'skep:ipv5', which skep does not know"),
        ("skep:ipv6", "unsigned int is tagged skep:ipv6, an address of 16 bytes, and has 4"),
        ("skep:enum nothing", "has the tag 'skep:enum nothing', and no enum nothing"),
    ],
)
def test_a_tag_that_makes_no_sense_is_refused(world: World, tag: str, message: str) -> None:
    id_ = world.b.struct("s", 4, [("m", world.u32, 0)])
    world.b.decl_tag(tag, id_, 0)
    with pytest.raises(BtfError, match=message):
        world.codec(id_)


def test_the_kernel_s_fields_need_not_be_given(world: World) -> None:
    lock = world.b.struct("bpf_spin_lock", 4, [("val", world.u32, 0)])
    task = world.b.struct("task", 8, [("pid", world.u64, 0)])
    kptr = world.b.pointer(world.b.type_tag("kptr", task))
    id_ = world.b.struct(
        "s",
        24,
        [("lock", lock, 0), ("n", world.u32, 32), ("task", kptr, 64), ("m", world.u64, 128)],
    )
    made = world.codec(id_)
    expected = made.pack(((0,), 5, 0, 6))
    for value in ({"n": 5, "m": 6}, (5, 6), [5, 6], {"n": 5, "m": 6, "lock": {"val": 0}}):
        assert made.pack(value) == expected
    for wrong in ({"n": 5}, (5,), (1, 2, 3)):
        with pytest.raises(TypeMismatchError):
            made.pack(wrong)


def test_the_only_member_may_be_given_bare(world: World) -> None:
    name = world.of(world.array(world.char, 8), "name")
    assert name.pack("eth0") == name.pack(("eth0",)) == b"eth0\0\0\0\0"
    number = world.of(world.u64, "id")
    assert number.pack(5) == number.pack({"id": 5})
    nested = world.codec(
        world.b.struct("t", 8, [("key", world.b.struct("k", 8, [("id", world.u64, 0)]), 0)])
    )
    assert nested.pack((5,)) == nested.pack({"key": 5}) == nested.pack(((5,),)) == number.pack(5)
    array = world.of(world.array(world.u32, 2), "pair")
    assert array.pack(((1, 2),)) == array.pack({"pair": (1, 2)})
    with pytest.raises(TypeMismatchError, match="1 members, 2 values given"):
        array.pack((1, 2))  # a tuple is always one of members
    with pytest.raises(TypeMismatchError, match="id: unsigned long long takes an integer, not str"):
        number.pack("5")


def test_a_wrong_shape_shows_both(world: World) -> None:
    inner = world.b.struct("inner", 8, [("a", world.u32, 0), ("b", world.u32, 32)])
    id_ = world.b.struct("s", 16, [("x", inner, 0), ("y", world.u64, 64)])
    made = world.codec(id_)
    with pytest.raises(TypeMismatchError) as caught:
        made.pack({"x": (1, "two"), "z": 3})
    assert str(caught.value).splitlines() == [
        "struct s has no member 'z' (its members are x, y)",
        "  struct s, 16 bytes                given: dict",
        "!    0    8  struct inner x       | x = (1, 'two')",
        "!    8    8  unsigned long long y | (missing)",
        "!                                 | z = 3",
    ]
    with pytest.raises(TypeMismatchError) as caught:
        made.pack(((1, 2, 3), 4))
    assert caught.value.field == "x"
    assert "!    0    8  struct inner x       | (1, 2, 3)" in str(caught.value)
    assert caught.value.expected_layout[1] == "   8    8  unsigned long long y"


def test_codecs_are_kept_by_what_was_asked_for(world: World) -> None:
    id_ = world.b.struct("s", 4, [("saddr", world.be32, 0)])
    btf = Btf.from_bytes(world.b.build())
    assert codec(btf, id_, Options()) is codec(btf, id_)
    for options in (
        {"enums": "names"},
        {"addresses": False},
        {"byteorder": {"saddr": "big"}},
        {"want": None, "enums": "names"},
    ):
        first, second = Options(**options), Options(**options)
        assert hash(first) == hash(second)
        assert codec(btf, id_, first) is codec(btf, id_, second) is not codec(btf, id_)


@pytest.mark.parametrize(
    "wrong", [{"enums": "texts"}, {"byteorder": "middle"}, {"byteorder": {"x": None}}]
)
def test_unknown_words_are_refused(wrong: Any) -> None:
    with pytest.raises(RangeError, match="expected '"):
        Options(**wrong)
