"""Tables: differences, sorting, and cells that are safe to print."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.tools.snapshot import Snapshot
from skep.tools.table import COUNTER, KEY, VALUE, Column, Table, printable

COLUMNS = (Column("name", role=KEY), Column("count", role=COUNTER), Column("text"))


def test_since_subtracts_counters_and_drops_idle_rows() -> None:
    """Only growth is shown; texts are the newest."""
    before = Table(COLUMNS, [("a", 5, "x"), ("b", 2, "x"), ("c", 9, "x")])
    now = Table(COLUMNS, [("a", 7, "y"), ("b", 2, "y"), ("c", 1, "y"), ("d", 3, "y")])
    assert now.since(before).rows == (("a", 2, "y"), ("c", 1, "y"), ("d", 3, "y"))
    assert now.since(None) is now


def test_top_sorts_and_cuts() -> None:
    """Largest first."""
    table = Table(COLUMNS, [("a", 1, ""), ("b", 3, ""), ("c", 2, "")])
    assert table.top("count", 2).column("name") == ["b", "c"]
    with pytest.raises(LookupError, match="no column 'nothing'"):
        table.top("nothing")


def test_numbers_are_scaled_for_people() -> None:
    """Nanoseconds become microseconds with three decimals."""
    column = Column("total_ns", role=VALUE, unit="ns", scale=1e3, digits=3)
    assert column.text(1234567) == "1234.567"
    assert column.text(None) == ""


@given(st.text(st.characters(exclude_categories=[]), max_size=40))
def test_printable_has_no_control_characters(text: str) -> None:
    """Nothing a process calls itself reaches the terminal as a command."""
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()  # no lone surrogates
    if text.isprintable():
        assert shown == text


def test_printable_escapes() -> None:
    """Control characters and broken bytes are told apart."""
    assert printable("a\x1b[31m\n") == "a\\x1b[31m\\n"
    assert printable(b"\xff".decode("utf-8", "surrogateescape")) == "\\xff"


def test_snapshot_since() -> None:
    """A difference covers tables, losses and time."""
    first = Snapshot(tables=[Table(COLUMNS, [("a", 1, "")])], lost={"full": 2}, seconds=1.0)
    second = Snapshot(
        tables=[Table(COLUMNS, [("a", 4, "")])], lost={"full": 2, "gone": 1}, seconds=3.5
    )
    grown = second.since(first)
    assert grown.tables[0].rows == (("a", 3, ""),)
    assert grown.lost == {"gone": 1}
    assert grown.seconds == 2.5
