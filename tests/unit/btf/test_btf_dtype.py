"""NumPy dtypes: every column reads what the codec reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from skep.btf.btf import Btf
from skep.btf.codec import codec, raw_codec
from skep.btf.dtype import dtype, dtype_of
from skep.btf.writer import Builder
from skep.errors import BtfError, UnsupportedError


def build(order: str) -> tuple[Btf, int]:
    b = Builder(order)
    char = b.int("char", 1, signed=True)
    u8 = b.int("unsigned char", 1)
    u32 = b.int("unsigned int", 4)
    s64 = b.int("long", 8, signed=True)
    u128 = b.int("__int128", 16, signed=True)
    flag = b.int("_Bool", 1, is_bool=True)
    double = b.float("double", 8)
    network = b.typedef("__be16", b.int("unsigned short", 2))
    colour = b.enum("colour", [("RED", -1)])
    union = b.union("", 8, [("whole", s64, 0), ("half", u32, 0)])
    nested = b.struct("nested", 4, [("port", network, 0), ("ok", flag, 16)])
    pointer = b.pointer(0)
    members: list[tuple[str, int, int] | tuple[str, int, int, int]] = [
        ("pid", u32, 0),
        ("colour", colour, 32),
        ("comm", b.array(char, 8, u32), 64),
        ("mac", b.array(u8, 6, u32), 128),
        ("nested", b.array(nested, 2, u32), 192),
        ("", union, 256),
        ("pointer", pointer, 320),
        ("matrix", b.array(b.array(u32, 3, u32), 2, u32), 384),
        ("ratio", double, 576),
        ("huge", u128, 640),
        ("byte", u8, 768, 8),  # a bit-field of a whole byte
    ]
    id_ = b.struct("event", 104, members)
    return Btf.from_bytes(b.build()), id_


@pytest.mark.parametrize("order", ["little", "big"])
def test_columns_are_the_codec_s_values(order: str) -> None:
    btf, id_ = build(order)
    made = dtype(btf, id_)
    sign = "<" if order == "little" else ">"
    assert made.itemsize == 104
    fields: Any = made.fields
    assert [fields[n][1] for n in ("pid", "comm", "half", "whole", "byte")] == [0, 8, 32, 32, 96]
    assert fields["pid"][0] == np.dtype(f"{sign}u4")
    assert fields["nested"][0].base["port"] == np.dtype(">u2")
    noise = np.random.default_rng(5).integers(1, 256, 3 * 104, dtype=np.uint8).tobytes()
    rows = np.frombuffer(noise, made)
    for i, row in enumerate(rows):
        value = codec(btf, id_).unpack(noise, 104 * i)
        for name in ("pid", "colour", "whole", "half", "pointer", "ratio", "byte"):
            assert row[name] == getattr(value, name) or value.ratio != value.ratio
        assert row["comm"].decode("utf-8", "surrogateescape") == value.comm
        assert row["mac"].tobytes() == value.mac
        assert row["matrix"].tolist() == [list(line) for line in value.matrix]
        for ours, theirs in zip(row["nested"], value.nested, strict=True):
            assert (ours["port"], bool(ours["ok"])) == tuple(theirs)
        assert int.from_bytes(row["huge"].tobytes(), order, signed=True) == value.huge  # type: ignore[arg-type]


def test_single_values() -> None:
    btf, _ = build("little")
    char, u8, u32 = 1, 2, 3
    assert [dtype(btf, id_) for id_ in (char, u8, u32)] == [
        np.dtype(x) for x in ("i1", "u1", "<u4")
    ]
    assert dtype_of(raw_codec(3)) == np.dtype("V3")


def test_what_has_no_dtype_is_named() -> None:
    b = Builder()
    u32 = b.int("unsigned int", 4)
    bits = b.struct("bits", 4, [("low", u32, 0, 3), ("high", u32, 3, 29)])
    twice = b.struct("twice", 8, [("same", u32, 0), ("same", u32, 32)])
    btf = Btf.from_bytes(b.build())
    with pytest.raises(UnsupportedError, match="member low of struct bits is a bit-field"):
        dtype(btf, bits)
    with pytest.raises(BtfError, match="struct twice does not make a NumPy dtype"):
        dtype(btf, twice)
    with pytest.raises(BtfError):
        dtype(btf, 0)
