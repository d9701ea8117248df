"""Types described in Python: the BTF they become, and what cannot be described."""

from __future__ import annotations

import ctypes
import dataclasses
import enum
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any

import numpy as np
import pytest

import skep
from skep.btf import types as t
from skep.btf.codec import codec
from skep.btf.declare import declare, declared
from skep.btf.layout import layout
from skep.errors import TypeMismatchError


@pytest.mark.parametrize(
    ("name", "size", "value", "data"),
    [
        ("u8", 1, 255, b"\xff"),
        ("__u32", 4, 0x01020304, b"\4\3\2\1"),
        ("s16", 2, -2, b"\xfe\xff"),
        ("int64_t", 8, -1, b"\xff" * 8),
        ("uint16_t", 2, 1, b"\1\0"),
        ("be32", 4, 0x01020304, b"\1\2\3\4"),
        ("__be16", 2, 80, b"\0\x50"),
        ("le64", 8, 1, b"\1" + bytes(7)),
        ("int", 4, -5, (-5).to_bytes(4, "little", signed=True)),
        ("unsigned  long", 8, 7, b"\7" + bytes(7)),
        ("long long unsigned int", 8, 7, b"\7" + bytes(7)),
        ("pid_t", 4, 7, b"\7\0\0\0"),
        ("bool", 1, True, b"\1"),
        ("double", 8, 0.5, b"\0\0\0\0\0\0\xe0\x3f"),
        ("char[8]", 8, "bash", b"bash\0\0\0\0"),
        ("u8[3]", 3, b"\1\2\3", b"\1\2\3"),
        ("u16[2][2]", 8, ((1, 2), (3, 4)), b"\1\0\2\0\3\0\4\0"),
        ("be16[2]", 4, (1, 2), b"\0\1\0\2"),
        ("void *", 8, 1 << 63, bytes(7) + b"\x80"),
        ("struct in_addr", 4, IPv4Address("10.0.0.1"), b"\x0a\0\0\1"),
        ("struct in6_addr", 16, IPv6Address("::1"), bytes(15) + b"\1"),
        ("struct bpf_spin_lock", 4, (0,), bytes(4)),
    ],
)
def test_names_of_c(name: str, size: int, value: Any, data: bytes) -> None:
    made = codec(*declared(name))
    assert made.size == size
    assert made.pack(value) == data
    assert made.unpack(data) == value


class Mode(enum.Enum):
    OFF = 0
    ON = 1


class Wide(enum.IntEnum):
    TOP = 1 << 40


class Address(skep.Record):
    address: IPv6Address
    port: Annotated[int, "be16"]


class Event(skep.Record, type_name="struct event_t"):
    kind: Annotated[int, "u8"]
    when: Annotated[int, "u64"]
    at: Address
    mode: Mode
    name: Annotated[str, "char[5]"]
    ok: bool
    ratio: float


class Packed(skep.Record, packed=True):
    kind: Annotated[int, "u8"]
    when: Annotated[int, "u64"]


@dataclasses.dataclass(frozen=True)
class Data:
    kind: Annotated[int, "u8"]
    inner: Packed


def test_a_record_is_laid_out_as_in_c() -> None:
    btf, id_ = declared(Event)
    made = layout(btf, id_)
    assert (made.type_name, made.size, made.alignment) == ("struct event_t", 56, 8)
    places = [
        (row.name, row.bit_offset // 8)
        for row in made.rows
        if row.kind == "member" and not row.depth
    ]
    assert places == [
        *(
            ("kind", 0),
            ("when", 8),
            ("at", 16),
            ("mode", 36),
            ("name", 40),
            ("ok", 45),
            ("ratio", 48),
        ),
    ]


def test_a_packed_record_has_no_holes() -> None:
    btf, id_ = declared(Packed)
    assert btf.size_of(id_) == 9
    btf, id_ = declared(Data)
    assert btf.size_of(id_) == 10


def test_ctypes_and_numpy_keep_their_offsets() -> None:
    class Native(ctypes.Structure):
        _fields_ = (
            ("a", ctypes.c_uint8),
            ("b", ctypes.c_uint32, 3),
            ("c", ctypes.c_uint32, 29),
            ("d", ctypes.c_uint16.__ctype_be__),
            ("e", ctypes.c_char * 3),
            ("f", ctypes.c_void_p),
        )

    data = bytes(range(ctypes.sizeof(Native)))
    made = codec(*declared(Native))
    assert made.size == len(data)
    theirs = Native.from_buffer_copy(data)
    ours = made.unpack(data)
    for name in "abcd":
        assert getattr(ours, name) == getattr(theirs, name)
    assert (ours.e.encode(), ours.f) == (theirs.e, theirs.f)
    for dtype in (
        np.dtype([("a", "u1"), ("b", ">i4"), ("c", "f8", (2, 3)), ("d", "S4"), ("e", "V2")]),
        np.dtype([("a", "u1"), ("b", "<u8")], align=True),
        np.dtype({"names": ["x", "y"], "formats": ["u2", "u4"], "offsets": [6, 0], "itemsize": 16}),
    ):
        made = codec(*declared(dtype))
        assert made.size == dtype.itemsize
        noise = bytes(range(dtype.itemsize))
        row = np.frombuffer(noise, dtype)[0]
        value = made.unpack(noise)
        for name in dtype.names or ():
            there, here = row[name], getattr(value, name)
            if isinstance(here, str):
                here = here.encode()
            expected = there.tobytes() if isinstance(here, bytes) else np.asarray(there).tolist()
            assert np.array_equal(here, expected)


def test_a_union_of_ctypes() -> None:
    class Either(ctypes.Union):
        _fields_ = (("whole", ctypes.c_uint64), ("half", ctypes.c_uint32))

    class Around(ctypes.Structure):
        _anonymous_ = ("either",)
        _fields_ = (("id", ctypes.c_uint32), ("either", Either))

    btf, id_ = declared(Around)
    found = btf.type(id_)
    assert isinstance(found, t.Struct)
    assert [member.name for member in found.members] == ["id", ""]
    value = codec(btf, id_).unpack(bytes(range(16)))
    assert value.asdict() == {"id": 0x03020100, "whole": 0x0F0E0D0C0B0A0908, "half": 0x0B0A0908}


def test_enums_of_python() -> None:
    btf, id_ = declared(Mode)
    assert (btf.size_of(id_), codec(btf, id_).pack("ON")) == (4, b"\1\0\0\0")
    btf, id_ = declared(Wide)
    assert (btf.size_of(id_), codec(btf, id_).unpack(bytes(5) + b"\1\0\0")) == (8, 1 << 40)


def test_key_and_value_share_one_blob_and_make_their_classes() -> None:
    btf, key, value = declare(Address, Event, "map 'm'")
    assert btf.name == "map 'm'"
    made = codec(btf, key).unpack(bytes(15) + b"\1\0\x50\0\0")
    assert made == Address(IPv6Address("::1"), 80)
    assert type(made) is Address
    assert type(codec(btf, value).unpack(bytes(56)).at) is Address
    btf, key, value = declare(None, "u32")
    assert (key, btf.size_of(value)) == (0, 4)
    names = [one.name for one in declare("u32", "u32")[0].types()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (int, "int does not describe a C type: it does not say how many bytes"),
        (str, "str does not describe a C type: it does not say how many bytes"),
        ("u33", "'u33' does not describe a C type"),
        ("struct flow", "'struct flow' does not describe a C type: its members are not known"),
        ("char[n]", "the length of an array is a number"),
        ("char[4", "a bracket is missing"),
        (np.dtype("M8[ns]"), "has no C type"),
        (np.dtype("U4"), "has no C type"),
        (object(), "does not describe a C type"),
        (5, "does not describe a C type"),
        (dict, "does not describe a C type"),
    ],
)
def test_what_describes_no_type(description: Any, message: str) -> None:
    with pytest.raises(TypeMismatchError) as caught:
        declared(description)
    assert message in caught.value.message
    assert caught.value.hint


class Vague(skep.Record):
    count: int


def test_a_member_without_a_width_is_named() -> None:
    with pytest.raises(TypeMismatchError, match=r"Vague\.count: int does not describe") as caught:
        declare(Vague, None)
    assert caught.value.field == "count"
    assert "Annotated[int, 'u64']" in caught.value.hint
