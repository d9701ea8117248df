"""The parser, on blobs written byte by byte here and not by skep's own writer."""

from __future__ import annotations

from struct import pack

import pytest

from skep.btf import types as t
from skep.btf.btf import Btf
from skep.btf.types import Kind
from skep.errors import BtfError, NotFoundError

STRINGS = b"\0int\0u32\0list\0next\0value\0flags\0kind\0A\0B\0long int\0"


def at(name: str) -> int:
    return STRINGS.index(b"\0" + name.encode() + b"\0") + 1


def info(kind: int, vlen: int = 0, flag: int = 0) -> int:
    return flag << 31 | kind << 24 | vlen


def words() -> list[int]:
    """Types 1 to 8, a struct list that points to itself among them."""
    return [
        # 1: int
        *(at("int"), info(1), 4, 1 << 24 | 32),
        # 2: typedef unsigned int (4) u32
        *(at("u32"), info(8), 4),
        # 3: struct list
        *(at("list"), info(4, 4, 1), 24),
        *(at("next"), 5, 0),
        *(at("value"), 6, 64),
        *(at("flags"), 1, 3 << 24 | 160),
        *(at("kind"), 7, 2 << 24 | 163),
        # 4: an int called "" of 4 unsigned bytes
        *(0, info(1), 4, 32),
        # 5: struct list *
        *(0, info(2), 3),
        # 6: u32[3]
        *(0, info(3), 0, 2, 1, 3),
        # 7: enum kind {A = -1, B = 2}
        *(at("kind"), info(6, 2, 1), 4, at("A"), 0xFFFFFFFF, at("B"), 2),
        # 8: const list
        *(0, info(10), 3),
    ]


def blob(
    order: str = "<", types: list[int] | None = None, strings: bytes = STRINGS, **header: int
) -> bytes:
    if types is None:
        types = words()
    body = pack(f"{order}{len(types)}I", *types)
    fields = {
        "magic": 0xEB9F,
        "version": 1,
        "flags": 0,
        "header": 24,
        "type_off": 0,
        "type_len": len(body),
        "str_off": len(body),
        "str_len": len(strings),
    }
    fields |= header
    return pack(f"{order}HBBIIIII", *fields.values()) + body + strings


@pytest.fixture(params=["<", ">"])
def btf(request: pytest.FixtureRequest) -> Btf:
    return Btf.from_bytes(blob(request.param), name="test")


def test_every_kind_of_the_blob(btf: Btf) -> None:
    assert len(btf) == 9
    assert [x.kind for x in btf.types()] == [1, 8, 4, 1, 2, 3, 6, 10]
    integer = btf.type(1)
    assert isinstance(integer, t.Int)
    assert (integer.name, integer.size, integer.bits, integer.signed) == ("int", 4, 32, True)
    found = btf.type(3)
    assert isinstance(found, t.Struct)
    assert found.size == 24
    members = [(m.name, m.type_id, m.bit_offset, m.bit_size) for m in found.members]
    assert members == [
        ("next", 5, 0, 0),
        ("value", 6, 64, 0),
        ("flags", 1, 160, 3),
        ("kind", 7, 163, 2),
    ]
    enum = btf.type(7)
    assert isinstance(enum, t.Enum)
    assert enum.values == (("A", -1), ("B", 2))
    assert btf.type(0).kind == Kind.VOID
    assert btf.type(3) is found


def test_lookup(btf: Btf) -> None:
    assert btf.find("list") == [3]
    assert btf.find("list", Kind.UNION) == []
    assert btf.find("value") == []  # only a member is called so
    assert btf.find("") == []
    assert btf.find("li\0st") == []
    assert btf.find_type("u32").id == 2
    assert btf.kind_of(7) == 6
    with pytest.raises(NotFoundError, match="BTF of test has no struct called 'u32'"):
        btf.find_type("u32", Kind.STRUCT)


def test_a_name_may_be_the_tail_of_another_string() -> None:
    types = [at("long int") + 5, info(1), 8, 64, *words()]
    assert Btf.from_bytes(blob(types=types)).find("int") == [1, 2]


def test_layout(btf: Btf) -> None:
    assert [btf.size_of(id_) for id_ in (1, 2, 3, 5, 6, 7, 8)] == [4, 4, 24, 8, 12, 4, 24]
    assert [btf.align_of(id_) for id_ in (1, 2, 3, 5, 6, 7, 8)] == [4, 4, 8, 8, 4, 4, 8]
    assert btf.strip(8) is btf.type(3)
    with pytest.raises(BtfError, match=r"void 'void' .* has no size"):
        btf.size_of(0)


def test_raw_is_the_blob_in_its_own_order(btf: Btf) -> None:
    assert btf.raw == blob("<" if btf.byteorder == "little" else ">")
    copied = Btf.from_bytes(bytearray(btf.raw))
    assert copied.raw == btf.raw
    assert copied.record_offset(2) == 16


def test_a_longer_header_and_gaps_between_sections_are_read() -> None:
    data = blob(header=28, str_off=4 * len(words()) + 3)
    data = data[:24] + b"\xff" * 4 + data[24 : -len(STRINGS)] + b"???" + STRINGS
    assert Btf.from_bytes(data).find("list") == [3]


def test_split_btf_continues_its_base() -> None:
    base = Btf.from_bytes(blob(), name="vmlinux")
    strings = b"list\0mine\0"
    end = len(STRINGS)
    types = [end + 5, info(4, 1), 8, at("next"), 5, 0, end, info(8), 9]
    split = Btf.from_bytes(blob(types=types, strings=strings), base=base, name="module")
    assert len(split) == 11
    assert split.first_id == 9
    mine = split.type(9)
    assert isinstance(mine, t.Struct)
    assert mine.name == "mine"
    assert mine.members[0].name == "next"
    assert split.find("list") == [3, 10]
    assert split.strip(10) is mine
    assert split.type(3) is base.type(3)
    assert split.string_end == end + len(strings)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "truncated: 0 bytes"),
        (blob()[:23], "truncated: 23 bytes"),
        (blob(magic=0x1234), "magic number"),
        (blob(version=2), "version 2"),
        (blob(header=8), "header of 8 bytes"),
        (blob(header=10_000), "header of 10000 bytes"),
        (blob(type_off=1), "unaligned"),
        (blob(type_len=6), "unaligned"),
        (blob(type_len=1 << 31), "sections end past"),
        (blob(str_len=0xFFFFFFFF), "sections end past"),
        (blob(strings=STRINGS[:-1]), "does not end its last string"),
        (blob(strings=STRINGS[1:]), "does not start its strings"),
        (blob(str_len=0), "does not start its strings"),
        (blob(types=[0, info(20), 0]), "unknown kind 20"),
        (blob(types=[0, info(0), 0]), "unknown kind 0"),
        (blob(types=[0, info(2) | 1 << 29, 0]), "reserved bits"),
        (blob(types=[0, info(2)]), "ends inside"),
        (blob(types=[0]), "ends inside"),
        (blob(types=[0, info(2), 0, 0]), "ends inside"),
        (blob(types=[0, info(4, 9), 8, 0, 0, 0]), "ends inside"),
    ],
)
def test_malformed_blobs_are_refused_at_once(data: bytes, message: str) -> None:
    with pytest.raises(BtfError, match=message):
        Btf.from_bytes(data, name="bad")


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ([9999, info(2), 0], "string at offset 9999"),
        ([0, info(1), 3, 32], "claims 32 bits"),
        ([0, info(1), 4, 33], "claims 33 bits"),
        ([0, info(1), 4, 0], "claims 0 bits"),
        ([0, info(6), 3], "3 bytes long"),
        ([0, info(16), 7], "7 bytes long"),
        ([0, info(4, 1), 4, 9999, 1, 0], "string at offset 9999"),
    ],
)
def test_malformed_records_are_refused_when_read(types: list[int], message: str) -> None:
    btf = Btf.from_bytes(blob(types=types), name="bad")
    with pytest.raises(BtfError, match=message):
        btf.type(1)


def test_missing_types_and_circles_are_refused() -> None:
    loop = [0, info(10), 2, 0, info(9), 1]  # const of volatile of const of ...
    array = [0, info(3), 0, 3, 3, 1]  # array of itself
    struct = [0, info(4, 1), 8, 0, 4, 0]  # a struct that contains itself
    huge = [0, info(3), 0, 6, 1, 0xFFFFFFFF, 0, info(1), 8, 64]
    btf = Btf.from_bytes(blob(types=loop + array + struct + huge), name="bad")
    for id_ in (-1, 7, 1 << 31):
        with pytest.raises(BtfError, match="has no type"):
            btf.type(id_)
    with pytest.raises(BtfError, match="typedefs in a row"):
        btf.strip(1)
    for id_ in (1, 3):
        with pytest.raises(BtfError):
            btf.size_of(id_)
    with pytest.raises(BtfError, match="nests type"):
        btf.align_of(4)
    with pytest.raises(BtfError, match="claims 34359738360 bytes"):
        btf.size_of(5)


def test_a_failed_walk_fails_again() -> None:
    btf = Btf.from_bytes(blob(types=[*words(), 0, info(21), 0]), trusted=True, name="lazy")
    assert btf.find("list") == [3]
    for _ in range(2):
        with pytest.raises(BtfError, match="unknown kind 21"):
            len(btf)
    assert btf.type(8).kind == Kind.CONST


def test_a_type_is_found_though_another_thread_walks_meanwhile() -> None:
    """The race in slow motion: the others finish between the two looks at what is known."""
    btf = Btf.from_bytes(blob(), trusted=True, name="lazy")

    class Overtaken(list[int]):
        def __len__(self) -> int:
            known = super().__len__()
            if not known:
                btf._walk(1 << 20)  # the other thread
            return known

    btf._infos = Overtaken()
    assert btf.type(8).kind == Kind.CONST
    with pytest.raises(BtfError, match="has no type 9, only 9"):
        btf.type(9)
