"""Keys and values as people type them, against types from a real compiler's BTF."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep import ObjectSpec
from skep.btf.codec import codec, raw_codec
from skep.cli.notation import pack, parse
from skep.errors import RangeError, SkepError, TypeMismatchError
from skep.maps.system.sides import Side

if TYPE_CHECKING:
    from compiling import CompileBpf

SOURCE = r"""
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";
enum state { IDLE, BUSY = 5 };
struct at { int x, y; };
struct all {
    __u32 pid; enum state state; char comm[8]; __u8 mac[6]; __be16 port; bool on; struct at at;
    __u16 slots[3]; double share;
};
struct all everything; struct at at; char text[8]; __u8 bytes[4]; __s16 small; enum state state;
void *pointer; bool flag;
"""
VALUE = (7, 5, "sshd", b"\1\2\3\4\5\6", 443, True, (1, -2), (1, 2, 3), 0.5)
JSON = (
    '{"pid": 7, "state": "BUSY", "comm": "sshd", "mac": "010203040506", "port": 443, "on": true,'
    ' "at": {"x": 1, "y": -2}, "slots": [1, 2, 3], "share": 0.5}'
)
C = (
    '{.pid = 0x7, .state = BUSY, .comm = "sshd", .mac = 01:02:03:04:05:06, .port = 443u,'
    " .on = true, .at = {1, -2}, .slots = {1, 2, 3}, .share = 0.5}"
)


@pytest.fixture(scope="module")
def sides(compile_bpf: CompileBpf) -> dict[str, Side]:
    spec = ObjectSpec.from_file(str(compile_bpf(SOURCE)))
    assert spec.btf is not None
    found = {}
    for name in ("everything", "at", "text", "bytes", "small", "state", "pointer", "flag"):
        (id,) = spec.btf.find(name, 14)
        cell = codec(spec.btf, id)
        found[name] = Side("value", cell.size, cell, spec.btf, id)
    return found


@pytest.mark.parametrize(
    "text", [JSON, C, C[1:-1], '{7, 5, "sshd", 010203040506, 443, 1, {.x=1, .y=-2}, {1,2,3}, .5}']
)
def test_one_value_in_every_notation(sides: dict[str, Side], text: str) -> None:
    side = sides["everything"]
    assert tuple(side.cell.unpack(pack(text, side, what="VALUE"))) == VALUE


def test_what_is_printed_is_understood(sides: dict[str, Side]) -> None:
    """JSON output goes in again and gives the same bytes."""
    side = sides["everything"]
    packed = side.cell.pack(VALUE)
    assert pack(json.dumps(side.plain(packed)), side, what="VALUE") == packed
    assert pack(f"hex:{packed.hex()}", side, what="VALUE") == packed


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("small", "-0x10", -16),
        ("small", "017", 15),
        ("small", "0b11", 3),
        ("small", "'a'", 97),
        ("small", "1_000", 1000),
        ("state", "BUSY", 5),
        ("state", "0", 0),
        ("pointer", "0xffff888100000000", 0xFFFF888100000000),
        ("flag", "false", False),
        ("text", "eth0", "eth0"),
        ("text", '"a b"', "a b"),
        ("text", "a b", "a b"),
        ("text", r'"\x41"', "A"),
        ("text", "", ""),
        ("text", "123", "123"),
        ("bytes", "0a 0b 0c 0d", b"\x0a\x0b\x0c\x0d"),
        ("bytes", "[1, 2, 3, 4]", b"\1\2\3\4"),
        ("bytes", "hex:01020304", b"\1\2\3\4"),
        ("at", ".x=1,.y=2", (1, 2)),
        ("at", "1, 2", (1, 2)),
    ],
)
def test_scalars(sides: dict[str, Side], name: str, text: str, value: Any) -> None:
    side = sides[name]
    assert side.cell.unpack(pack(text, side, what="KEY")) == value


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("at", '{"x": 1', "'}' is missing"),
        ("at", "{.x = 1 .y = 2}", "',' is missing before '.y'"),
        ("at", "{.x = 1, 2}", "some values have a name and some have none"),
        ("at", "{.x = 1, .x = 2}", "'x' is given twice"),
        ("at", "{.x = }", "a value is missing before '}'"),
        ("at", "{1, 2} 3", "'3' follows what is a value already"),
        ("at", "{1, 2, 3}", "2 members, 3 values given"),
        ("at", "{.x = 1, .z = 2}", "has no member 'z'"),
        ("at", "{.x = 1, .y = abc}", "an integer, not str 'abc'"),
        ("at", "", "nothing is given"),
        ("at", "7", "a record, a mapping or a tuple, not int 7"),
        ("at", '"', "is not understood"),
        ("small", "70000", "does not fit"),
        ("small", "abc", "an integer, not str 'abc'"),
        ("state", "BUZY", "no enumerator 'BUZY'"),
        ("text", "much too long", "does not fit char[8]"),
        ("bytes", "hex:0102", "expected 4 bytes, not the 2"),
        ("bytes", "hex:zz", "is not bytes in hexadecimal"),
        ("at", "{" * 100, "nested too deep"),
    ],
)
def test_what_is_wrong_is_said(sides: dict[str, Side], name: str, text: str, said: str) -> None:
    with pytest.raises((TypeMismatchError, RangeError)) as caught:
        pack(text, sides[name], what="VALUE")
    assert str(caught.value).startswith("VALUE")
    assert said in str(caught.value)


def test_without_a_type() -> None:
    """Bytes in hexadecimal, and a number is refused: its width and order are not known."""
    side = Side("key", 4, raw_codec(4), None, 0)
    assert pack("01 00 00 00", side, what="KEY") == b"\1\0\0\0"
    assert pack("01000000", side, what="KEY") == b"\1\0\0\0"
    with pytest.raises(TypeMismatchError, match="the map has no BTF") as caught:
        pack("1", side, what="KEY")
    assert "--key-type" in caught.value.hint


@given(text=st.text(alphabet="{}[](),.=:\"'\\ \t\n0x1aZé\0-", max_size=40))
def test_any_text_is_bytes_or_a_sentence(sides: dict[str, Side], text: str) -> None:
    for name in ("everything", "at", "text", "bytes"):
        side = sides[name]
        said = packed = None
        try:
            packed = pack(text, side, what="VALUE")
        except SkepError as error:
            said = str(error)
        assert said.startswith("VALUE") if said else len(packed or b"") == side.size


@given(value=st.tuples(*[st.integers(-(2**31), 2**31 - 1)] * 2))
def test_round_trip(sides: dict[str, Side], value: tuple[int, int]) -> None:
    side = sides["at"]
    plain = side.plain(side.cell.pack(value))
    assert plain == {"x": value[0], "y": value[1]}
    assert tuple(parse(json.dumps(plain), side, what="VALUE").values()) == value
