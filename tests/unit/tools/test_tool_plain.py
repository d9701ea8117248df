"""Plain output: what a pipe gets, to the character."""

from __future__ import annotations

from skep.tools import plain
from skep.tools.histogram import Histogram
from skep.tools.table import COUNTER, KEY, Column, Table

HISTOGRAM = """\
pid = 7 comm = sh
          usecs          : count    distribution
         0 -> 1          : 10       |********************                    |
         2 -> 3          : 0        |                                        |
         4 -> 7          : 20       |****************************************|
avg = 3.7 usecs, count: 30, p50 ~ 5.0, p99 ~ 7.9"""


def test_histogram() -> None:
    """As bcc prints it, with a line of facts."""
    histogram = Histogram(
        [10, 0, 20, 0], unit="us", sum_ns=110_000, labels={"pid": 7, "comm": "sh"}
    )
    assert "\n".join(plain.histogram(histogram)) == HISTOGRAM


def test_wide_values_keep_the_columns_apart() -> None:
    """All rows of a histogram in nanoseconds have the bars in one place."""
    lines = plain.histogram(Histogram([0] * 40 + [3], unit="ns"))
    bars = [line.index("|") for line in lines if "|" in line]
    assert len(bars) == 41
    assert len(set(bars)) == 1
    assert {line.index(" : ") for line in lines[:-1]} == {lines[1].index(" : ")}


def test_empty_histogram_says_so() -> None:
    """Nothing counted is said, not shown as a missing table."""
    assert plain.histogram(Histogram([0], unit="ms")) == ["     (no msecs recorded)"]


def test_table() -> None:
    """Numbers to the right, names to the left, widths from the content."""
    columns = (Column("syscall", role=KEY), Column("count", role=COUNTER))
    table = Table(columns, [("clock_nanosleep", 3), ("read", 12345678)])
    assert plain.table(table) == [
        "SYSCALL             COUNT",
        "clock_nanosleep         3",
        "read             12345678",
    ]
