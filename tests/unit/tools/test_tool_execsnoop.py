"""execsnoop's decoding: arguments, exit statuses, cells."""

from __future__ import annotations

import time

import pytest

from skep.errors import RangeError
from skep.tools.execsnoop import arguments_of, clock, status_of, text_of, tool, user


@pytest.mark.parametrize(
    ("data", "size", "arguments"),
    [
        (b"ls\0-l\0" + b"garbage", 6, ["ls", "-l"]),
        (b"ls\0\0x\0", 6, ["ls", "", "x"]),
        (b"sh\0-c\0echo a b\0", 16, ["sh", "-c", "echo a b"]),
        (b"cut\0off", 7, ["cut", "off"]),
        (b"", 0, []),
        (b"\xff\0", 2, ["\udcff"]),
    ],
)
def test_arguments(data: bytes, size: int, arguments: list[str]) -> None:
    """Empty arguments count, the last one may be cut, broken bytes survive."""
    assert arguments_of(data, size) == arguments


def test_text() -> None:
    """Up to the NUL, or all."""
    assert text_of(b"/bin/ls\0garbage") == "/bin/ls"
    assert text_of(b"full") == "full"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0, (0, None, False)),
        (3 << 8, (3, None, False)),
        (255 << 8, (255, None, False)),
        (9, (None, "SIGKILL", False)),
        (11 | 0x80, (None, "SIGSEGV", True)),
        (40, (None, "SIG40", False)),
    ],
)
def test_status(status: int, expected: tuple[int | None, str | None, bool]) -> None:
    """As wait(2) encodes it."""
    assert status_of(status) == expected


def row(**values: object) -> dict[str, object]:
    """A row with what every kind has."""
    return {"event": "exec", "pid": 2, "ppid": 1, "uid": 0, "comm": "ls", "args": ["ls"], **values}


@pytest.mark.parametrize(
    ("given", "values", "cells"),
    [
        ({}, {"args": ["ls", "-l", "a b"]}, {"status": "0", "duration": "", "args": "ls -l a b"}),
        ({"quote": True}, {"args": ["ls", "a b"]}, {"args": "ls 'a b'"}),
        ({"max_args": 1}, {"args": ["ls", "x"]}, {"args": "ls ..."}),
        ({}, {"cut": True}, {"args": "ls ..."}),
        ({}, {"args": ["a\nb\x1b"]}, {"args": "a\\nb\\x1b"}),
        ({}, {"event": "fail", "errno": "ENOENT"}, {"status": "ENOENT"}),
        (
            {},
            {"event": "exit", "code": 3, "signal": None, "duration_ns": 1_500_000},
            {"status": "3", "duration": "1.50ms"},
        ),
        (
            {},
            {"event": "exit", "code": None, "signal": "SIGKILL", "duration_ns": 1},
            {"status": "SIGKILL", "duration": "1ns"},
        ),
    ],
)
def test_cells(given: dict[str, object], values: dict[str, object], cells: dict[str, str]) -> None:
    """What a person sees of a row."""
    options = tool.options_of(given)
    shown = {one.name: tool.text(row(**values), one, options) for one in tool.columns(options)}
    assert {name: shown[name] for name in cells} == cells


def test_columns_on_demand() -> None:
    """Time and user come first when they are asked for."""
    names = [
        column.name for column in tool.columns(tool.options_of({"time": True, "print_uid": True}))
    ]
    assert names[:3] == ["clock", "uid", "event"]


def test_clock_is_local() -> None:
    """The time of day is the reader's."""
    assert clock("1970-01-02T00:00:05.000000Z") == time.strftime("%H:%M:%S", time.localtime(86405))


def test_users() -> None:
    """By name, by number, or refused."""
    assert user("root") == 0
    assert user("12345") == 12345
    with pytest.raises(RangeError, match="no user '-1'"):
        user("-1")
