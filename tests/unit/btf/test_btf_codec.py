"""Codecs against values written by hand and against ctypes, an independent implementation."""

from __future__ import annotations

import ctypes
import pickle
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skep.btf.btf import Btf
from skep.btf.codec import codec, raw_codec
from skep.btf.record import Record
from skep.btf.types import Kind
from skep.btf.writer import Builder
from skep.errors import BtfError, RangeError, TypeMismatchError, UnsupportedError


class World:
    """A few base types and whatever a test adds."""

    def __init__(self, order: str) -> None:
        self.order = order
        self.sign = "<" if order == "little" else ">"
        self.b = Builder(order)
        self.char = self.b.int("char", 1, signed=True)
        self.u8 = self.b.int("unsigned char", 1)
        self.s8 = self.b.int("signed char", 1, signed=True)
        self.s16 = self.b.int("short", 2, signed=True)
        self.u32 = self.b.int("unsigned int", 4)
        self.s32 = self.b.int("int", 4, signed=True)
        self.u64 = self.b.int("long unsigned int", 8)
        self.bool = self.b.int("_Bool", 1, is_bool=True)
        self.u128 = self.b.int("unsigned __int128", 16)
        self.double = self.b.float("double", 8)
        self.half = self.b.float("_Float16", 2)
        self.long_double = self.b.float("long double", 16)
        self.be32 = self.b.typedef("__be32", self.u32)
        self.pointer = self.b.pointer(0)

    def array(self, of: int, length: int) -> int:
        return self.b.array(of, length, self.u32)

    def codec(self, type_id: int) -> Any:
        return codec(Btf.from_bytes(self.b.build(), name="test"), type_id)


@pytest.fixture(params=["little", "big"])
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


def test_scalars(world: World) -> None:
    sign = world.sign
    for type_id, value, data in [
        (world.u32, 0xFFFFFFFE, struct.pack(f"{sign}I", 0xFFFFFFFE)),
        (world.s32, -2, struct.pack(f"{sign}i", -2)),
        (world.s16, -3, struct.pack(f"{sign}h", -3)),
        (world.char, -1, b"\xff"),
        (world.u64, 1 << 63, struct.pack(f"{sign}Q", 1 << 63)),
        (world.u128, 1 << 127 | 5, (1 << 127 | 5).to_bytes(16, world.order)),  # type: ignore[arg-type]
        (world.bool, True, b"\x01"),
        (world.double, 0.1, struct.pack(f"{sign}d", 0.1)),
        (world.half, 1.5, struct.pack(f"{sign}e", 1.5)),
        (world.be32, 0x0A000001, b"\x0a\0\0\x01"),
        (world.pointer, 0xFFFF888000000000, struct.pack(f"{sign}Q", 0xFFFF888000000000)),
    ]:
        made = world.codec(type_id)
        assert made.size == len(data)
        assert made.unpack(data) == value
        assert type(made.unpack(data)) is type(value)
        assert made.pack(value) == data
        assert made.unpack(bytearray(b"??" + data + b"?"), 2) == value
        assert made.unpack(memoryview(b"??" + data), 2) == value


def test_text_bytes_and_arrays(world: World) -> None:
    text = world.codec(world.array(world.char, 8))
    assert text.unpack(b"bash\0xyz") == "bash"
    assert text.unpack(b"12345678") == "12345678"
    assert text.pack("bash") == b"bash\0\0\0\0"
    assert text.pack(b"a\0b") == b"a\0b\0\0\0\0\0"
    assert text.pack(text.unpack(b"\xff\xfe\0\0\0\0\0\0")) == b"\xff\xfe\0\0\0\0\0\0"
    blob = world.codec(world.array(world.u8, 3))
    assert blob.unpack(b"\0\1\2") == b"\0\1\2"
    assert blob.pack(b"\0\1\2") == blob.pack((0, 1, 2)) == b"\0\1\2"
    numbers = world.codec(world.array(world.array(world.s32, 2), 3))
    data = struct.pack(f"{world.sign}6i", *range(-3, 3))
    assert numbers.unpack(data) == ((-3, -2), (-1, 0), (1, 2))
    assert numbers.pack([[-3, -2], (-1, 0), [1, 2]]) == data
    assert numbers.type_name == "int[3][2]"
    network = world.codec(world.array(world.be32, 2))
    assert network.unpack(b"\0\0\0\1\0\0\0\2") == (1, 2)
    assert network.pack((1, 2)) == b"\0\0\0\1\0\0\0\2"
    assert world.codec(world.array(world.u64, 0)).unpack(b"") == ()


def test_enums(world: World) -> None:
    colour = world.codec(world.b.enum("colour", [("RED", 1), ("NONE", -1)]))
    assert colour.unpack(struct.pack(f"{world.sign}i", -1)) == -1
    assert colour.pack("NONE") == colour.pack(-1) == b"\xff" * 4
    with pytest.raises(RangeError, match="enum colour has no enumerator 'BLUE'"):
        colour.pack("BLUE")
    wide = world.codec(world.b.enum64("wide", [("TOP", 1 << 63)]))
    assert wide.unpack(wide.pack("TOP")) == 1 << 63


def event(world: World) -> int:
    comm = world.array(world.char, 16)
    address = world.b.struct("address", 8, [("id", world.be32, 0), ("port", world.s16, 32)])
    return world.b.struct(
        "event",
        40,
        [("pid", world.u32, 0), ("ok", world.bool, 32), ("comm", comm, 64), ("at", address, 192)],
    )


def test_a_record(world: World) -> None:
    made = world.codec(event(world))
    data = struct.pack(f"{world.sign}IBxxx16s4sh", 7, 1, b"bash", b"\x7f\0\0\1", -5).ljust(
        40, b"\0"
    )
    value: Any = made.unpack(data)
    assert issubclass(type(value), Record)
    assert (value.pid, value.ok, value.comm, value.at.id, value.at.port) == (
        *(7, True, "bash", 0x7F000001, -5),
    )
    _, _, _, at = value
    assert value == (7, True, "bash", at)
    assert repr(value) == (
        "struct event {.pid = 7, .ok = True, .comm = 'bash',"
        " .at = struct address {.id = 2130706433, .port = -5}}"
    )
    plain = {"pid": 7, "ok": True, "comm": "bash", "at": {"id": 0x7F000001, "port": -5}}
    assert value.asdict() == plain
    assert hash(value) == hash(made.unpack(data))
    assert value == made.unpack(data)
    with pytest.raises(AttributeError):
        value.pid = 8
    for given_ in (value, plain, (7, True, "bash", (0x7F000001, -5)), [7, True, b"bash", at]):
        assert made.pack(given_) == data
    again = pickle.loads(pickle.dumps(value))
    assert again == value
    assert (again.comm, repr(again)) == ("bash", repr(value))


def test_names_that_python_uses_too(world: World) -> None:
    names = ["count", "index", "class", "__class__", "_fields", "asdict"]
    made = world.codec(world.b.struct("s", 6, [(n, world.u8, 8 * i) for i, n in enumerate(names)]))
    value = made.unpack(bytes(range(6)))
    assert (value.count, value.index, getattr(value, "class"), value.asdict) == (0, 1, 2, 5)
    assert isinstance(value, Record)
    assert tuple(value) == tuple(range(6))
    assert made.pack(value) == bytes(range(6))


def test_unions_and_anonymous_members(world: World) -> None:
    halves = world.b.struct("", 8, [("low", world.u32, 0), ("high", world.u32, 32)])
    either = world.b.union("", 8, [("", halves, 0), ("whole", world.u64, 0), ("one", world.u8, 0)])
    made = world.codec(world.b.struct("s", 16, [("id", world.u32, 0), ("", either, 64)]))
    data = struct.pack(f"{world.sign}IxxxxII", 9, 1, 2)
    value = made.unpack(data)
    whole = int.from_bytes(data[8:], world.order)  # type: ignore[arg-type]
    assert value.asdict() == {"id": 9, "low": 1, "high": 2, "whole": whole, "one": data[8]}
    assert made.pack(value) == data
    assert made.pack({"id": 9, "whole": whole}) == data
    assert made.pack({"id": 9, "high": 2, "low": 1}) == data
    assert made.pack({"id": 9, "one": data[8]}) == data[:9] + bytes(7)
    for wrong, message in [
        ({"id": 9, "low": 1, "whole": 2}, "'whole' shares its bytes"),
        ({"id": 9, "low": 1}, "needs a value for its member 'high'"),
        ({"id": 9}, "needs a value for its member 'low'"),
        ({"whole": 9}, "needs a value for its member 'id'"),
        ({"id": 9, "whole": 9, "x": 1}, "has no member 'x'"),
    ]:
        with pytest.raises(TypeMismatchError, match=message):
            made.pack(wrong)
    top = world.codec(world.b.union("u", 8, [("a", world.u32, 0), ("b", world.u64, 0)]))
    assert top.unpack(top.pack({"b": 5})).b == 5


def test_a_flexible_array_may_be_left_out(world: World) -> None:
    tail = world.array(world.u32, 0)
    made = world.codec(world.b.struct("s", 4, [("n", world.u32, 0), ("items", tail, 32)]))
    assert made.pack({"n": 1}) == made.pack({"n": 1, "items": ()}) == made.pack((1, ()))
    assert made.unpack(made.pack({"n": 1})) == (1, ())


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ({"pid": -1}, RangeError, r"pid: -1 does not fit unsigned int \(0 to 4294967295\)"),
        ({"pid": 1 << 32}, RangeError, "pid: 4294967296 does not fit unsigned int"),
        ({"pid": "7"}, TypeMismatchError, "pid: unsigned int takes an integer, not str '7'"),
        ({"pid": 1.5}, TypeMismatchError, "pid: unsigned int takes an integer, not float 1.5"),
        ({"ok": 2}, RangeError, "ok: 2 does not fit _Bool"),
        ({"comm": "x" * 17}, RangeError, r"comm: a string of 17 bytes does not fit char\[16\]"),
        ({"comm": "a\0b"}, RangeError, "comm: a str .* cannot contain NUL"),
        ({"comm": 5}, TypeMismatchError, "comm: char.* takes a string, not int 5"),
        ({"at": (1, 1 << 15)}, RangeError, "at.port: 32768 does not fit short"),
        ({"at": (1,)}, TypeMismatchError, "at: struct address has 2 members, 1 values given"),
        ({"at": 5}, TypeMismatchError, "at: struct address takes a record, a mapping or a tuple"),
        (
            {"at": {"id": 1}},
            TypeMismatchError,
            "struct address needs a value for its member 'port'",
        ),
        ({"extra": 1}, TypeMismatchError, "struct event has no member 'extra'"),
    ],
)
def test_errors_name_the_member(
    world: World, value: dict[str, Any], error: type[Exception], message: str
) -> None:
    whole = {"pid": 7, "ok": True, "comm": "bash", "at": (1, 2)} | value
    with pytest.raises(error, match=message) as caught:
        world.codec(event(world)).pack(whole)
    raised = caught.value
    assert isinstance(raised, RangeError | TypeMismatchError)
    path, colon, _ = raised.message.partition(": ")
    assert raised.field == (path if colon else "")
    assert raised.given is not None
    assert raised.expected


def test_errors_of_single_values(world: World) -> None:
    numbers = world.codec(world.array(world.s32, 3))
    blob = world.codec(world.array(world.u8, 3))
    double = world.codec(world.double)
    half = world.codec(world.half)
    for made, value, error, message in [
        (numbers, (1, 2), TypeMismatchError, r"int\[3\] takes 3 elements, 2 given"),
        (numbers, "abc", TypeMismatchError, "takes a sequence"),
        (numbers, 5, TypeMismatchError, "takes a sequence"),
        (numbers, (1, 2, 1 << 40), RangeError, r"\[2\]: 1099511627776 does not fit int"),
        (blob, b"ab", TypeMismatchError, "takes exactly 3 bytes, 2 given"),
        (blob, (1, 2, 300), RangeError, r"\[2\]: 300 does not fit unsigned char"),
        (blob, "abc", TypeMismatchError, "takes bytes"),
        (double, "x", TypeMismatchError, "takes a number"),
        (half, 1e9, RangeError, "does not fit _Float16"),
        (raw_codec(4), b"abc", TypeMismatchError, "4 bytes takes exactly 4 bytes, 3 given"),
    ]:
        with pytest.raises(error, match=message):
            made.pack(value)


def test_too_few_bytes_are_refused(world: World) -> None:
    field = world.b.struct("bits", 4, [("a", world.u32, 0, 3), ("b", world.s32, 3, 29)])
    for type_id in (
        *(world.u32, world.u128, world.bool, event(world), field),
        *(world.array(world.char, 4), world.array(world.u8, 4), world.array(world.s32, 2)),
        world.array(event(world), 2),
    ):
        made = world.codec(type_id)
        for have in range(made.size):
            with pytest.raises(TypeMismatchError, match=f"takes {made.size} bytes, {have} given"):
                made.unpack(bytes(have))
            with pytest.raises(TypeMismatchError, match=f"takes {made.size} bytes, {have} given"):
                made.unpack(bytes(made.size), made.size - have)


def test_types_without_values(world: World) -> None:
    function = world.b.func_proto(0, [])
    itself = world.b.next_id
    world.b.struct("itself", 8, [("again", itself, 0)])
    outside = world.b.struct("outside", 4, [("m", world.u64, 0)])
    crowd = world.b.struct("crowd", 1, [(f"m{i}", world.u8, 0) for i in range(1000)])
    crowds = world.b.struct("crowds", 1, [(f"m{i}", crowd, 0) for i in range(2000)])
    for type_id in (0, function, itself, outside, crowds):
        with pytest.raises(BtfError):
            world.codec(type_id)
    with pytest.raises(UnsupportedError, match="long double"):
        world.codec(world.long_double)


def test_codecs_are_kept_with_their_btf(world: World) -> None:
    id_ = event(world)
    btf = Btf.from_bytes(world.b.build())
    assert codec(btf, id_) is codec(btf, id_)


C_TYPES: list[tuple[Any, str, int, bool]] = [
    (ctypes.c_uint8, "unsigned char", 1, False),
    (ctypes.c_int8, "signed char", 1, True),
    (ctypes.c_uint16, "unsigned short", 2, False),
    (ctypes.c_int16, "short", 2, True),
    (ctypes.c_uint32, "unsigned int", 4, False),
    (ctypes.c_int32, "int", 4, True),
    (ctypes.c_uint64, "unsigned long", 8, False),
    (ctypes.c_int64, "long", 8, True),
]


@given(
    st.lists(st.tuples(st.sampled_from(C_TYPES), st.integers(0, 64)), min_size=1, max_size=12),
    st.booleans(),
    st.binary(min_size=200, max_size=200),
)
@settings(max_examples=200, deadline=None)
def test_against_ctypes(
    members: list[tuple[tuple[Any, str, int, bool], int]], union: bool, noise: bytes
) -> None:
    """Layout, bit-fields and signs as ctypes has them on this machine."""
    fields: list[Any] = []
    for i, ((c_type, _, size, _), width) in enumerate(members):
        # One width of unit only: ctypes before CPython 3.14 mixes them wrongly (gh-97702).
        bits = min(width, 8 * size) if size == 4 and not union else 0
        fields.append((f"m{i}", c_type, bits) if bits else (f"m{i}", c_type))
    base: Any = ctypes.Union if union else ctypes.Structure
    made: Any = type("Made", (base,), {"_fields_": fields})
    builder = Builder()
    ids = {name: builder.int(name, size, signed=signed) for _, name, size, signed in C_TYPES}
    described = []
    for (name, *rest), ((_, type_name, _, _), _) in zip(fields, members, strict=True):
        place = getattr(made, name)
        if len(rest) == 2:
            # ctypes: size is width << 16 | first bit within the unit at offset.
            bit, width = place.size & 0xFFFF, place.size >> 16
            described.append((name, ids[type_name], 8 * place.offset + bit, width))
        else:
            described.append((name, ids[type_name], 8 * place.offset, 0))
    add = builder.union if union else builder.struct
    size = ctypes.sizeof(made)
    id_ = add("made", size, described)
    btf = Btf.from_bytes(builder.build())
    assert btf.kind_of(id_) == (Kind.UNION if union else Kind.STRUCT)
    data = noise[:size]
    theirs = made.from_buffer_copy(data)
    ours = codec(btf, id_)
    value = ours.unpack(data)
    for name, *_ in fields:
        assert getattr(value, name) == getattr(theirs, name)
    # Packed again, every member reads the same, and padding is zero.
    packed = ours.pack(value)
    again = made.from_buffer_copy(packed)
    assert [getattr(again, name) for name, *_ in fields] == list(value)
    clean = made()
    for name, *_ in fields:
        setattr(clean, name, getattr(value, name))
    if not union:
        assert packed == bytes(clean)
        assert ours.pack(dict(zip([f[0] for f in fields], value, strict=True))) == packed


@given(st.lists(st.tuples(st.integers(1, 32), st.booleans()), min_size=1, max_size=8), st.data())
@settings(max_examples=100, deadline=None)
def test_bit_fields_mirror_between_byte_orders(
    widths: list[tuple[int, bool]], data: st.DataObject
) -> None:
    """A big-endian compiler counts bits from the other end: reversed bits read the same."""
    values = [
        data.draw(
            st.integers(-(1 << w - 1), (1 << w - 1) - 1) if s else st.integers(0, (1 << w) - 1)
        )
        for w, s in widths
    ]
    for order in ("little", "big"):
        builder = Builder(order)
        ids = {s: builder.int("int" if s else "unsigned int", 4, signed=s) for s in (True, False)}
        members, number, at = [], 0, 0
        for i, (width, signed) in enumerate(widths):
            if at % 32 + width > 32:
                at += -at % 32
            members.append((f"m{i}", ids[signed], at, width))
            bits = values[i] & ((1 << width) - 1)
            number |= bits << (at if order == "little" else 256 - at - width)
            at += width
        id_ = builder.struct("s", 32, members)
        expected = number.to_bytes(32, order)
        made = codec(Btf.from_bytes(builder.build()), id_)
        assert list(made.unpack(expected)) == values
        assert made.pack(values) == expected
