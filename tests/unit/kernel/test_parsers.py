"""The texts of /proc and /sys, as pure functions."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.errors import FormatError
from skep.kernel.constants import MapType, name_of
from skep.kernel.cpus import parse_cpu_list
from skep.kernel.process import parse_maps
from skep.kernel.release import parse_release


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0\n", [0]),
        ("0-3\n", [0, 1, 2, 3]),
        ("0-1,4,6-7", [0, 1, 4, 6, 7]),
        ("0-0", [0]),
    ],
)
def test_cpu_lists(text: str, numbers: list[int]) -> None:
    assert parse_cpu_list(text) == numbers


@pytest.mark.parametrize("text", ["", "x", "3-1", "0-", "-2", "0,,1", "0-99999999999"])
def test_bad_cpu_lists(text: str) -> None:
    with pytest.raises(FormatError, match="not a list of processors"):
        parse_cpu_list(text)


@given(st.sets(st.integers(0, 300), min_size=1))
def test_cpu_lists_round_trip(numbers: set[int]) -> None:
    assert parse_cpu_list(",".join(map(str, sorted(numbers)))) == sorted(numbers)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("6.18.44-fc-v669", (6, 18, 44)),
        ("6.1.0-28-amd64", (6, 1, 0)),
        ("5.15.0-generic", (5, 15, 0)),
        ("6.12", (6, 12, 0)),
        ("6.13-rc7", (6, 13, 0)),
        ("7.0.0-rc1+", (7, 0, 0)),
        ("4.18.0-477.el8.x86_64", (4, 18, 0)),
        ("5.10.205-android12-9-00016-g0b", (5, 10, 205)),
    ],
)
def test_releases(text: str, version: tuple[int, int, int]) -> None:
    assert parse_release(text) == version


@pytest.mark.parametrize("text", ["", "linux", "6", "6.", ".1", "x.y.z", "\u0666.\u0661"])
def test_bad_releases(text: str) -> None:
    with pytest.raises(FormatError, match="not a kernel release"):
        parse_release(text)


MAPS = b"""\
55d2a8a5e000-55d2a8a60000 r--p 00000000 fe:00 1234                       /usr/bin/python3.11
55d2a8a60000-55d2a8c00000 r-xp 00002000 fe:00 1234                       /usr/bin/with space
7f0000000000-7f0000001000 rw-p 00000000 00:00 0
7f0000002000-7f0000003000 r-xp 00000000 fe:00 99                         /tmp/new\\012line (deleted)
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
"""


def test_memory_maps() -> None:
    parts = parse_maps(MAPS)
    assert [part.path for part in parts] == [
        "/usr/bin/python3.11",
        "/usr/bin/with space",
        "",
        "/tmp/new\nline (deleted)",
        "[stack]",
    ]
    code = parts[1]
    assert (code.start, code.end, code.offset) == (0x55D2A8A60000, 0x55D2A8C00000, 0x2000)
    assert code.executable
    assert not parts[0].executable
    assert (code.device, code.inode) == ((0xFE, 0), 1234)
    assert "with space" in repr(code)


@pytest.mark.parametrize("line", [b"x", b"1-2", b"1-2 r-xp 0 0 0", b"1-2 r-xp 0 00:zz 0", b"\xff"])
def test_bad_memory_maps(line: bytes) -> None:
    with pytest.raises(FormatError, match="not a line of a memory map"):
        parse_maps(line)


@given(st.binary(max_size=200))
def test_memory_maps_never_raise_anything_else(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        parse_maps(data)


def test_names_of_numbers() -> None:
    assert name_of(MapType, 5) == "percpu_hash"
    assert name_of(MapType, 9999) == "9999"
