"""Rows that are chosen, sorted and printed: filters, fields, forms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.cli.conditions import Field, text
from skep.cli.rows import FIRST, Selection, emit
from skep.tools.table import COUNTER, TEXT, Column

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS: list[dict[str, Any]] = [
    {"key": 1, "value": {"name": "sshd", "bytes": 4096, "at": {"port": 22}, "list": [1, 2]}},
    {"key": 2, "value": {"name": "cron", "bytes": 10, "at": {"port": 0}, "list": []}},
    {"key": 3, "value": {"name": "ssh,x", "bytes": None, "at": {"port": 99}, "list": [7]}},
]
NAMES = ("key", "value.name", "value.bytes", "value.at.port", "value.list", "on")


def keys(**options: Any) -> list[int]:
    return [row["key"] for row in Selection(NAMES, **options).rows(ROWS)]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (("key==1",), [1]),
        (("key=0x2",), [2]),
        (("key!=1",), [2, 3]),
        (("key>=2,name~^ssh",), [3]),
        (("name~ssh,x",), [3]),  # a comma that no condition follows is part of the expression
        (("name!~ssh",), [2]),
        (("name==cron",), [2]),
        (("name=='cron'",), [2]),
        (("name>ssh",), [1, 3]),
        (("bytes>10",), [1]),
        (("bytes==",), [3]),
        (("bytes<1e3",), [2]),
        (("port<50", "port>0"), [1]),
        (("value.at.port==99",), [3]),
        (("list==2",), [1]),
        (("list[0]>=1",), [1, 3]),
        (("list!=7",), [1, 2]),
        (("key>1", "key<3"), [2]),
        (("name>7",), [1, 2, 3]),
        (("key==abc",), []),
        (("at~port = 2",), [1]),
        (("value~sshd",), [1]),
        (("key!=abc",), [1, 2, 3]),
    ],
)
def test_filters(filters: tuple[str, ...], found: list[int]) -> None:
    assert keys(filters=filters) == found


def test_booleans() -> None:
    rows = [{"on": True}, {"on": False}]
    for asked, found in (("on==true", [True]), ("on==0", [False]), ("on!=true", [False])):
        chosen = Selection(NAMES, filters=[asked]).rows(rows)
        assert [row["on"] for row in chosen] == found


def test_sorting_and_the_most() -> None:
    assert keys(sort="bytes") == [3, 2, 1]
    assert keys(sort="-bytes") == [1, 2, 3]
    assert keys(sort="-bytes", limit=1) == [1]
    assert keys(sort="name", limit=2) == [2, 3]
    assert keys(limit=2) == [1, 2]


def test_no_more_is_read_than_asked_for() -> None:
    read = 0

    def endless() -> Iterator[dict[str, Any]]:
        nonlocal read
        while True:
            read += 1
            yield {"key": read}

    chosen = Selection(NAMES, filters=["key>5"], limit=3)
    assert [row["key"] for row in chosen.rows(endless())] == [6, 7, 8]
    assert read == 8


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"filters": ["nme==1"]}, "there is no field 'nme'"),
        ({"filters": ["name"]}, "'name' is no condition such as"),
        ({"filters": ["==3"]}, "'==3' is no condition such as"),
        ({"filters": ["name~["]}, "'[' is not a regular expression"),
        ({"fields": "key,valu"}, "--fields: there is no field 'valu'"),
        ({"sort": "-nix"}, "--sort: there is no field 'nix'"),
        ({"filters": ["port~1"]}, ""),
    ],
)
def test_what_is_wrong_is_said(options: dict[str, Any], said: str) -> None:
    if not said:
        assert Selection(NAMES, **options).conditions
        return
    with pytest.raises(click.UsageError) as caught:
        Selection(NAMES, **options)
    assert said in caught.value.message


@given(text=st.text(alphabet="key.name[]0,=!<>~ '\"\\\t(x", max_size=30))
def test_any_filter_is_understood_or_refused(text: str) -> None:
    try:
        chosen = Selection(NAMES, filters=[text], sort="key")
    except click.UsageError as error:
        refused = error.message
    else:
        refused = ""
        assert {row["key"] for row in chosen.rows(ROWS)} <= {1, 2, 3}
    assert not refused or refused.startswith("--filter: ")


def test_a_name_that_may_be_two() -> None:
    with pytest.raises(click.UsageError, match=r"may be key\.pid or value\.pid"):
        Selection(("key.pid", "value.pid"), filters=["pid==1"])


def test_forms(capsys: pytest.CaptureFixture[str]) -> None:
    columns = [Column("key", "KEY", role=COUNTER), Column("value.name", "name", role=TEXT)]
    selection = Selection(NAMES, fields="key,name")
    assert emit(ROWS, selection, columns, "json") == 3
    found = json.loads(capsys.readouterr().out)
    assert found[0] == {"key": 1, "value.name": "sshd"}
    emit(ROWS, selection, columns, "jsonl")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == found
    emit(ROWS, Selection(NAMES), columns, "table")
    assert capsys.readouterr().out.splitlines() == [
        "KEY  name",
        "  1  sshd",
        "  2  cron",
        "  3  ssh,x",
    ]
    assert emit([], selection, columns, "json") == 0
    assert capsys.readouterr().out == "[]\n"


def test_a_long_table_comes_while_it_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    """Its first rows are printed before the last ones exist."""
    columns = [Column("key", "KEY", role=COUNTER)]
    seen = ""

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal seen
        for number in range(FIRST):
            yield {"key": number}
        seen = capsys.readouterr().out
        yield {"key": 10**9}  # wider than all before: it is not cut off

    assert emit(rows(), Selection(NAMES), columns, "table") == FIRST + 1
    assert seen.count("\n") == FIRST + 1
    assert capsys.readouterr().out.strip() == "1000000000"


def test_texts() -> None:
    value = {"a": 1, "b": [1, "x"], "c": None, "d": True, "e": {"f": "y"}}
    assert text(value) == '{.a = 1, .b = {1, "x"}, .c = , .d = true, .e = {.f = "y"}}'
    assert Field("value.list[1]").of(ROWS[0]) == 2
    assert Field("value.list[9]").of(ROWS[0]) is None
    assert Field("programs.name").of({"programs": [{"name": "a"}, {"name": "b"}]}) == ["a", "b"]
