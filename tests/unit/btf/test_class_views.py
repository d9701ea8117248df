"""Classes of the caller's as what values are read into: what fits, what not, and the advice."""

from __future__ import annotations

import ctypes
import dataclasses
import enum
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skep
from skep.btf.btf import Btf
from skep.btf.codec import Options, codec
from skep.btf.declare import Declarer, declared
from skep.btf.writer import Builder
from skep.errors import TypeMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable

BIG32, BIG16 = ctypes.c_uint32.__ctype_be__, ctypes.c_uint16.__ctype_be__


def flows() -> tuple[Btf, int, int]:
    """Return `struct flow` with holes, 32 bytes, and packed, 24 bytes."""
    b = Builder("little")
    char, u8 = b.int("char", 1, signed=True), b.int("unsigned char", 1)
    u32, u64 = b.int("unsigned int", 4), b.int("unsigned long long", 8)
    be32, be16 = b.typedef("__be32", u32), b.typedef("__be16", b.int("unsigned short", 2))
    state = b.enum("state", [("OPEN", 1), ("SHUT", 2)])
    names = ("saddr", "port", "bytes", "comm", "ok", "state")
    types = (be32, be16, u64, b.array(char, 5, u32), u8, state)
    made = [
        b.struct("flow", size, list(zip(names, types, offsets, strict=True)))
        for size, offsets in ((32, (0, 32, 64, 128, 168, 192)), (24, (0, 32, 48, 112, 152, 160)))
    ]
    return Btf.from_bytes(b.build(), name="flows"), made[0], made[1]


BTF, NATURAL, PACKED = flows()
DATA = b"\x0a\0\0\1\0\x50\xee\xee" + (9).to_bytes(8, "little") + b"bash\0\1\xee\xee"
DATA += (2).to_bytes(4, "little") + b"\xee" * 4
CLEAN = DATA.replace(b"\xee", b"\0")


class State(enum.IntEnum):
    OPEN = 1
    SHUT = 2


class Flow(skep.Record):
    saddr: IPv4Address
    port: int
    bytes_: int
    comm: str
    ok: int
    state: State


class Backwards(skep.Record):
    state: str
    ok: Annotated[int, "u8"]
    comm: bytes
    bytes_: Annotated[int, "u64"]
    port: Annotated[int, "__be16"]
    saddr: int


@dataclasses.dataclass
class Data:
    saddr: IPv4Address
    port: int
    bytes: int
    comm: str
    ok: int
    state: int = 1
    seen: list[int] = dataclasses.field(default_factory=list, init=False)


class Named(NamedTuple):
    saddr: Any
    port: Any
    bytes: Any
    comm: Any
    ok: Any
    state: Any


FIELDS: list[tuple[str, Any]] = [
    *(("saddr", BIG32), ("port", BIG16), ("bytes", ctypes.c_uint64), ("comm", ctypes.c_char * 5)),
    *(("ok", ctypes.c_uint8), ("state", ctypes.c_int)),
]


def structure(fields: Any, base: Any = ctypes.Structure, **more: Any) -> Any:
    if "_pack_" in more:
        more["_layout_"] = "ms"  # Python 3.14 wants it said
    return type("Native", (base,), {**more, "_fields_": fields})


FORMATS = [
    *(("saddr", ">u4"), ("port", ">u2"), ("bytes", "<u8"), ("comm", "S5"), ("ok", "u1")),
    ("state", "<u4"),
]
ALIGNED = np.dtype(FORMATS, align=True)


@pytest.mark.parametrize(
    ("want", "expected"),
    [
        (Flow, Flow(IPv4Address("10.0.0.1"), 80, 9, "bash", 1, State.SHUT)),
        (Backwards, Backwards("SHUT", 1, b"bash\0", 9, 80, 0x0A000001)),
        (Data, Data(IPv4Address("10.0.0.1"), 80, 9, "bash", 1, 2)),
        (Named, Named(IPv4Address("10.0.0.1"), 80, 9, "bash", 1, 2)),
    ],
)
def test_classes_with_annotations(want: Any, expected: Any) -> None:
    made = codec(BTF, NATURAL, Options(want=want))
    value = made.unpack(DATA)
    assert value == expected
    assert type(value) is type(expected)
    assert made.pack(value) == CLEAN
    # Whatever else the type takes is taken too.
    plain = codec(BTF, NATURAL).unpack(DATA).asdict()
    if want is Backwards:
        plain["saddr"] = int(plain["saddr"])  # its class says int, which an address is not
    assert made.pack(plain) == made.pack(tuple(plain.values())) == CLEAN
    assert made.dtype == codec(BTF, NATURAL).dtype


def test_ctypes_structures() -> None:
    want = structure(FIELDS)
    made = codec(BTF, NATURAL, Options(want=want))
    value = made.unpack(b"??" + DATA, 2)
    assert isinstance(value, want)
    assert (value.saddr, value.port, value.comm, value.state) == (0x0A000001, 80, b"bash", 2)
    assert bytes(value) == DATA
    assert made.pack(value) == CLEAN  # what lies in padding is not written
    assert codec(BTF, NATURAL).pack(value) == CLEAN  # by the names of its fields
    assert made.pack((1, 2, 3, "x", 0, "OPEN")) == codec(BTF, NATURAL).pack((1, 2, 3, "x", 0, 1))
    with pytest.raises(TypeMismatchError, match="takes 32 bytes, 31 given"):
        made.unpack(DATA[:31])


def test_numpy_dtypes() -> None:
    made = codec(BTF, NATURAL, Options(want=ALIGNED))
    value = made.unpack(DATA)
    assert (value.dtype, value["port"], value["comm"]) == (ALIGNED, 80, b"bash")
    assert made.pack(value) == CLEAN
    assert made.dtype == ALIGNED
    assert codec(BTF, NATURAL).pack(np.array([value], ALIGNED)[0]) == CLEAN
    description: Any = {**describe(ALIGNED), "names": list(ALIGNED.names or ())}
    sparse: Any = np.dtype(description)
    assert codec(BTF, NATURAL, Options(want=sparse)).unpack(DATA) == value


def describe(of: Any) -> dict[str, Any]:
    fields = of.fields or {}
    return {
        "formats": [fields[name][0] for name in of.names],
        "offsets": [fields[name][1] for name in of.names],
        "itemsize": of.itemsize,
    }


def changed(name: str, kind: Any) -> list[tuple[str, Any]]:
    return [(one, kind if one == name else old) for one, old in FIELDS]


def reformatted(name: str, kind: str) -> Any:
    return np.dtype([(one, kind if one == name else old) for one, old in FORMATS], align=True)


NATIVE = [(name, {BIG32: ctypes.c_uint32, BIG16: ctypes.c_uint16}.get(k, k)) for name, k in FIELDS]


@pytest.mark.parametrize(
    ("type_id", "want", "message", "advice"),
    [
        (PACKED, structure(FIELDS), "bytes is at offset 6 in C and 8 here", "add _pack_ = 1"),
        (
            NATURAL,
            structure(FIELDS, _pack_=1),
            "bytes is at offset 8 in C and 6 here",
            "leave out _pack_",
        ),
        (
            NATURAL,
            structure(changed("port", ctypes.c_uint16)),
            "port is big-endian (network order) in C and little-endian here",
            "make port a __ctype_be__, or the class a BigEndianStructure",
        ),
        (
            NATURAL,
            structure(NATIVE, ctypes.BigEndianStructure),
            "bytes is little-endian in C and big-endian",
            "",
        ),
        (
            NATURAL,
            structure(changed("bytes", ctypes.c_int64)),
            "bytes is unsigned in C and signed here",
            "make bytes unsigned",
        ),
        (
            NATURAL,
            structure(changed("bytes", ctypes.c_uint32)),
            "bytes is an unsigned integer of 8 bytes in C and an unsigned integer of 4 bytes here",
            "make bytes an unsigned integer of 8 bytes",
        ),
        (
            NATURAL,
            structure(changed("comm", ctypes.c_char * 4)),
            "comm is 5 bytes in C and 4 bytes here",
            "make comm 5 bytes",
        ),
        (NATURAL, structure(FIELDS[:-1]), "state is missing", "add state"),
        (
            NATURAL,
            structure([*FIELDS, ("more", ctypes.c_uint8)]),
            "C has no member more",
            "leave out more",
        ),
        (
            NATURAL,
            structure(FIELDS, ctypes.Union),
            "port is at offset 4 in C and 0 here",
            "insert 4 bytes of padding before port",
        ),
        (NATURAL, np.dtype(FORMATS), "bytes is at offset 8 in C and 6 here", "use align=True"),
        (PACKED, ALIGNED, "bytes is at offset 6 in C and 8 here", "leave out align=True"),
        (
            NATURAL,
            reformatted("port", "<u2"),
            "port is big-endian (network order) in C and little-endian here",
            "give port a dtype with '>', like '>u2'",
        ),
        (
            NATURAL,
            reformatted("state", "<u8"),
            "state is an enum of 4",
            "make state an enum of 4 bytes",
        ),
        (NATURAL, ALIGNED.newbyteorder(), "saddr is big-endian", "dtype.newbyteorder()"),
        (NATURAL, np.dtype("V32"), "the whole is a struct in C and 32 bytes here", ""),
    ],
)
def test_other_layouts_are_refused_with_what_to_change(
    type_id: int, want: Any, message: str, advice: str
) -> None:
    with pytest.raises(TypeMismatchError) as caught:
        codec(BTF, type_id, Options(want=want))
    error = caught.value
    assert message in error.message
    assert advice in error.hint
    shown = str(error)
    assert "in C" in shown
    assert f"struct flow, {32 if type_id == NATURAL else 24} bytes" in shown
    assert "\n!" in shown  # some line is marked
    assert error.expected_layout[0].startswith("struct flow {")
    assert error.given_layout


class Missing(skep.Record):
    saddr: IPv4Address
    port: int


class Wrong(skep.Record):
    saddr: float
    port: Annotated[int, "u16"]
    bytes_: str
    comm: int
    ok: bool
    state: State
    extra: int


class Colour(enum.IntEnum):
    OPEN = 1
    RED = 5


class Coloured(Flow):
    state: Colour  # type: ignore[assignment]


class Nested(skep.Record):
    flow: Flow


@pytest.mark.parametrize(
    ("want", "sentences", "hint"),
    [
        (Missing, ["it has no member 'bytes'", "it has no member 'state'"], "declare bytes, comm"),
        (
            Wrong,
            [
                "saddr: __be32 cannot be read as float: its values are int",
                "port: __be16 is not u16: it is big-endian (network order) in C and little-endian",
                "bytes: unsigned long long cannot be read as str",
                "comm: char[5] cannot be read as int",
                "ok: unsigned char cannot be read as bool: its values are int",
                "struct flow has no member 'extra'",
            ],
            "bytes: write int",
        ),
        (Coloured, ["state: enum state cannot be read as Colour: RED = 5"], "OPEN = 1, SHUT = 2"),
        (Nested, ["struct flow has no member 'flow'"], "leave out flow"),
    ],
)
def test_classes_that_do_not_fit(want: Any, sentences: list[str], hint: str) -> None:
    with pytest.raises(TypeMismatchError) as caught:
        codec(BTF, NATURAL, Options(want=want))
    error = caught.value
    for sentence in sentences:
        assert sentence in error.message
    assert hint in error.hint
    lines = str(error).splitlines()
    assert lines[1].startswith("  struct flow, 32 bytes  ")
    assert lines[1].endswith(f" class {want.__qualname__}")
    assert any(line.startswith("!") for line in lines[2:])


def test_what_is_no_type_at_all() -> None:
    for want in (complex, dict, object(), "u32", Annotated[int, "u33"], list[int]):
        with pytest.raises(TypeMismatchError):
            codec(BTF, NATURAL, Options(want=want))


class Local:
    def want(self) -> Any:
        class Hidden:
            pass

        class Late(skep.Record):
            saddr: Hidden

        return Late


def test_annotations_have_to_be_global() -> None:
    with pytest.raises(
        TypeMismatchError, match=r"annotations of .*Late cannot be looked up.*Hidden"
    ):
        codec(BTF, NATURAL, Options(want=Local().want()))


class Inner(skep.Record):
    low: int
    high: Annotated[int, "u16"]


class Outer(skep.Record):
    head: Inner
    rest: tuple[Inner, ...]
    matrix: tuple[tuple[int, ...], ...]
    text: tuple[int, ...]
    maybe: int | None
    anything: Any


def test_nested_classes_and_arrays() -> None:
    b = Builder("little")
    u8, u16, u32 = b.int("unsigned char", 1), b.int("unsigned short", 2), b.int("unsigned int", 4)
    inner = b.struct("inner", 4, [("low", u16, 0), ("high", u16, 16)])
    grid = b.array(b.array(u16, 2, u32), 2, u32)
    id_ = b.struct(
        "outer",
        32,
        [
            ("head", inner, 0),
            ("rest", b.array(inner, 2, u32), 32),
            ("matrix", grid, 96),
            ("text", b.array(u8, 4, u32), 160),
            ("maybe", u32, 192),
            ("anything", u32, 224),
        ],
    )
    btf = Btf.from_bytes(b.build())
    made = codec(btf, id_, Options(want=Outer))
    data = bytes(range(32))
    value = made.unpack(data)
    assert isinstance(value.head, Inner)
    assert [type(one) for one in value.rest] == [Inner, Inner]
    assert value.text == (20, 21, 22, 23)
    assert value.matrix == ((0x0D0C, 0x0F0E), (0x1110, 0x1312))
    assert made.pack(value) == data
    assert repr(value.head) == "struct Inner {.low = 256, .high = 770}"


CODES: list[tuple[Any, str]] = [
    *(
        (ctypes.c_uint8, "u1"),
        (ctypes.c_int8, "i1"),
        (ctypes.c_uint16, "u2"),
        (ctypes.c_int16, "i2"),
    ),
    *(
        (ctypes.c_uint32, "u4"),
        (ctypes.c_int32, "i4"),
        (ctypes.c_uint64, "u8"),
        (ctypes.c_int64, "i8"),
    ),
    *((BIG16, ">u2"), (BIG32, ">u4"), (ctypes.c_double, "f8"), (ctypes.c_char * 3, "S3")),
    (ctypes.c_uint16 * 2, "(2,)u2"),
]


@given(
    st.lists(st.sampled_from(CODES), min_size=1, max_size=8),
    st.booleans(),
    st.binary(min_size=80, max_size=80),
)
@settings(max_examples=150, deadline=None)
def test_every_layout_fits_itself_and_no_other(
    members: list[tuple[Any, str]], packed: bool, noise: bytes
) -> None:
    """ctypes, NumPy and BTF made of either agree about every offset, or all of them object."""
    fields = [(f"m{i}", kind) for i, (kind, _) in enumerate(members)]
    natural = structure(fields)
    dense = structure(fields, _pack_=1)
    formats = [(f"m{i}", code) for i, (_, code) in enumerate(members)]
    layouts = {
        False: (natural, np.dtype(formats, align=True)),
        True: (dense, np.dtype(formats)),
    }
    btf, id_ = declared(layouts[packed][0])
    ours = codec(btf, id_)
    data = noise[: ours.size]
    for want in layouts[packed]:
        made = codec(btf, id_, Options(want=want))
        assert made.size == ctypes.sizeof(layouts[packed][0])
        again = made.pack(made.unpack(data))
        mask = ours.mask()
        number = int.from_bytes(data, "little") & mask
        assert again == number.to_bytes(ours.size, "little")
    differs = ctypes.sizeof(natural) != ctypes.sizeof(dense) or any(
        getattr(natural, name).offset != getattr(dense, name).offset for name, _ in fields
    )
    advice = ("leave out", "add _pack_ = 1", "align=True")
    for want in layouts[not packed]:
        if not differs:
            assert codec(btf, id_, Options(want=want)).size == ours.size
            continue
        with pytest.raises(TypeMismatchError) as caught:
            codec(btf, id_, Options(want=want))
        assert any(words in caught.value.hint for words in advice)


def test_codecs_of_classes_are_kept() -> None:
    makers: list[Callable[[], Options]] = [
        lambda: Options(want=Flow),
        lambda: Options(want=ALIGNED),
        lambda: Options(want=Data, enums="names"),
    ]
    for make in makers:
        assert codec(BTF, NATURAL, make()) is codec(BTF, NATURAL, make())


# -- what is easily got wrong ------------------------------------------------------------


def pair(*, signed: bool = False) -> tuple[Btf, int]:
    """Return `struct outer { struct pair { u32 x; s64/u64 y; } at[2]; }`."""
    b = Builder("little")
    x, y = b.int("unsigned int", 4), b.int("long long", 8, signed=signed)
    inner = b.struct("pair", 16, [("x", x, 0), ("y", y, 64)])
    outer = b.struct("outer", 32, [("at", b.array(inner, 2, x), 0)])
    return Btf.from_bytes(b.build(), name="pairs"), outer


def test_a_new_class_each_time_takes_nothing_for_good() -> None:
    """128 Ki members were all that one blob had for all classes ever bound."""
    btf, outer = pair()
    inner = btf.find("pair")[0]
    for _ in range(8000):
        made = dataclasses.make_dataclass("pair", [("x", int), ("y", int)])
        assert type(codec(btf, inner, Options(want=made)).unpack(bytes(16))) is made
    for _ in range(300):
        given = np.dtype([("at", [("x", "u4"), ("y", "u8")], 2)], align=True)
        codec(btf, outer, Options(want=given))
    assert len(btf.views) < 1000
    assert btf.parts < 100


@dataclasses.dataclass
class Whole:
    word: int
    parts: bytes
    last: int


@dataclasses.dataclass
class Word:
    word: int
    last: int


@pytest.mark.parametrize("kind", [Whole, Word])
def test_what_a_dataclass_reads_from_a_union_it_writes(kind: Any) -> None:
    b = Builder("little")
    u32, u8 = b.int("unsigned int", 4), b.int("unsigned char", 1)
    either = b.union("", 4, [("word", u32, 0), ("parts", b.array(u8, 4, u32), 0)])
    id_ = b.struct("s", 8, [("", either, 0), ("last", u32, 32)])
    made = codec(Btf.from_bytes(b.build()), id_, Options(want=kind))
    data = bytes(range(1, 9))
    assert made.unpack(data).word == 0x04030201
    assert made.pack(made.unpack(data)) == data
    with pytest.raises(TypeMismatchError, match="last: unsigned int takes an integer"):
        made.pack(dataclasses.replace(made.unpack(data), last="x"))


BITS = (("low", ctypes.c_uint32, 3), ("high", ctypes.c_uint32, 20), ("end", ctypes.c_uint32, 9))
LittleBits = type("LittleBits", (ctypes.LittleEndianStructure,), {"_fields_": BITS})
BigBits = type("BigBits", (ctypes.BigEndianStructure,), {"_fields_": BITS})


@pytest.mark.parametrize(("order", "kind"), [("little", LittleBits), ("big", BigBits)])
def test_bit_fields_of_ctypes_are_where_ctypes_has_them(order: Any, kind: Any) -> None:
    declarer = Declarer(order)
    id_ = declarer.id_of(kind)
    data = bytes.fromhex("a1b2c3d4")
    read, theirs = codec(declarer.btf(), id_).unpack(data), kind.from_buffer_copy(data)
    assert tuple(read) == tuple(getattr(theirs, name) for name, *_ in BITS)


def test_bit_fields_of_the_other_byte_order_are_refused() -> None:
    b = Builder("little")
    u32 = b.int("unsigned int", 4)
    id_ = b.struct("bits", 4, [("a", u32, 0, 8), ("b", u32, 8, 16), ("c", u32, 24, 8)])
    parts = [(name, ctypes.c_uint32, bits) for name, bits in (("a", 8), ("b", 16), ("c", 8))]
    swapped = type("swapped", (ctypes.BigEndianStructure,), {"_fields_": parts})
    with pytest.raises(TypeMismatchError, match=r"swapped\.a is a bit-field of the other"):
        codec(Btf.from_bytes(b.build()), id_, Options(want=swapped))


def test_members_of_an_array_that_differs_are_marked_too() -> None:
    btf, outer = pair()
    given = np.dtype([("at", [("x", "u4"), ("y", "u8")], 3)], align=True)
    with pytest.raises(TypeMismatchError) as caught:
        codec(btf, outer, Options(want=given))
    lines = caught.value.evidence["comparison"].splitlines()
    assert [line[0] for line in lines if " x" in line or " y" in line] == ["!", "!"]


def test_a_dataclass_that_wants_more_than_its_members_is_refused_at_once() -> None:
    @dataclasses.dataclass
    class Scaled:
        x: int
        y: int
        by: dataclasses.InitVar[int]

    btf, _ = pair()
    with pytest.raises(TypeMismatchError, match=r"cannot be made of its members: .*'by'"):
        codec(btf, btf.find("pair")[0], Options(want=Scaled))


def test_an_enum_of_a_number_that_is_too_wide() -> None:
    b = Builder("little")
    id_ = b.int("__int128", 16)
    with pytest.raises(TypeMismatchError, match="it has 16 bytes, an enum 8 at most"):
        codec(Btf.from_bytes(b.build()), id_, Options(want=enum.IntEnum("few", {"ONE": 1})))


class Endless(skep.Record):
    x: Annotated[int, "u32"]
    me: Endless


def test_a_class_that_contains_itself_is_refused() -> None:
    with pytest.raises(TypeMismatchError, match=r"Endless\.me: Endless .* it contains itself"):
        declared(Endless)


def test_pointers_of_ctypes() -> None:
    fields = (("p", ctypes.POINTER(ctypes.c_int)), ("f", ctypes.CFUNCTYPE(None)))
    btf, id_ = declared(type("holder", (ctypes.Structure,), {"_fields_": fields}))
    assert btf.size_of(id_) == 16
    assert tuple(codec(btf, id_).unpack(bytes(16))) == (0, 0)


@pytest.mark.parametrize("wrong", [5, ["a"], {1: "big"}])
def test_a_byte_order_of_no_shape(wrong: Any) -> None:
    with pytest.raises(TypeMismatchError, match="expected 'big', 'little' or a mapping"):
        Options(byteorder=wrong)
