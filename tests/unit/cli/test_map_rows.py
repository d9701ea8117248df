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
from skep.maps.system.plain import Shape
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


STATES = Shape("enum", names={1: "NEW", 2: "OPEN"}, enumerators={"NEW": 1, "OPEN": 2, "UP": 2})
TYPED: dict[str, Shape | None] = {
    "state": STATES, "at": Shape("number"), "states": Shape("array", element=STATES),
    "net": Shape("other"), "comm": Shape("text"), "from": None,
}  # fmt: skip
CONNECTIONS: list[dict[str, Any]] = [
    {"state": "NEW", "at": "10.0.0.9", "states": ["NEW"], "net": "10.0.0.0/8", "comm": "9"},
    {"state": "OPEN", "at": "10.0.0.30", "states": [], "net": "10.1.0.0/16", "comm": "30"},
    {"state": 7, "at": "fe80::1", "states": ["OPEN", 7], "net": "fe80::/10", "comm": "x"},
]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("state==OPEN", [1]),
        ("state==2", [1]),
        ("state==UP", [1]),  # another name of the same number
        ("state==0x7", [2]),
        ("state!=OPEN", [0, 2]),
        ("state>=OPEN", [1, 2]),
        ("state<2", [0]),
        ("state~^O", [1]),
        ("states==2", [2]),
        ("states[0]==NEW", [0]),
        ("at==10.0.0.9", [0]),
        ("at>10.0.0.9", [1, 2]),
        ("at<10.0.0.30", [0]),
        ("at==10.0.0.0/27", [0, 1]),
        ("at==10.0.0.16/28", [1]),
        ("at!=10.0.0.0/8", [2]),
        ("at==fe80::/10", [2]),
        ("net==10.0.0.0/8", [0]),
        ("net==10.1.0.0/16", [1]),
        ("comm==30", [1]),
        ("comm>3", [0, 1, 2]),
    ],
)
def test_filters_know_the_type(asked: str, found: list[int]) -> None:
    rows = Selection(TYPED, filters=[asked]).rows(CONNECTIONS)
    assert [CONNECTIONS.index(dict(row)) for row in rows] == found


def test_addresses_are_sorted_by_their_numbers() -> None:
    for sort, found in (("at", [0, 1, 2]), ("-at", [2, 1, 0]), ("net", [0, 1, 2])):
        rows = Selection(TYPED, sort=sort).rows(reversed(CONNECTIONS))
        assert [CONNECTIONS.index(dict(row)) for row in rows] == found


def test_what_a_table_shows_can_be_asked_for() -> None:
    words = {"flags": lambda number: "no_prealloc" if number else ""}
    rows = [{"flags": 1}, {"flags": 0}]
    for asked in ("flags~prealloc", "flags==no_prealloc", "flags==1", "flags>0", "flags!="):
        chosen = Selection(["flags"], filters=[asked], words=words).rows(rows)
        assert list(chosen) == rows[:1]


@pytest.mark.parametrize("asked", ["bytes>10M", "bytes==10M", "bytes<many"])
def test_a_number_is_not_compared_with_words(asked: str) -> None:
    with pytest.raises(click.UsageError, match=r"value\.bytes is a number, and '\w+' is none"):
        list(Selection(NAMES, filters=[asked]).rows(ROWS))


def test_an_enum_is_not_compared_with_what_it_never_is() -> None:
    with pytest.raises(click.UsageError, match="state is never 'SHUT'; it may be NEW, OPEN, UP"):
        Selection(TYPED, filters=["state==SHUT"])


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
