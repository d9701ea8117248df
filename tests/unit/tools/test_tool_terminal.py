"""Terminal output: bars, alignment, and nothing that markup or widths could break."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from skep.tools import terminal
from skep.tools.histogram import Histogram
from skep.tools.spans import span
from skep.tools.table import COUNTER, KEY, Column, Table


def shown(renderable: object, width: int = 100) -> list[str]:
    """What a terminal *width* columns wide would show."""
    console = Console(file=io.StringIO(), width=width, soft_wrap=True)
    console.print(renderable)
    return str(console.file.getvalue()).splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ns"), (1, "1 ns"), (999, "999 ns"), (1000, "1.00 µs"), (1024, "1.02 µs"),
        (99_949, "99.9 µs"), (99_950, "100 µs"), (999_499, "999 µs"), (999_500, "1.00 ms"),
        (2_097_152, "2.10 ms"), (75e9, "75.0 s"), (7200e9, "7200 s"),
    ],
)  # fmt: skip
def test_span(ns: float, text: str) -> None:
    """Three digits and a unit, without jumps at the borders."""
    assert span(ns) == text


def test_bars() -> None:
    """Exact to an eighth, and something is never nothing."""
    assert terminal.bar(1.0, 4) == "████"
    assert terminal.bar(0.5, 4) == "██"
    assert terminal.bar(0.28125, 4) == "█▏"
    assert terminal.bar(0.0001, 4) == "▏"
    assert terminal.bar(0.0, 4) == ""


@pytest.mark.parametrize("width", [60, 80, 200])
def test_histogram_is_aligned(width: int) -> None:
    """Every row has its columns where the head has them, and fits the terminal."""
    histogram = Histogram([0, 0, 5, 1_000_000, 0, 3], unit="us", sum_ns=9)
    lines = shown(terminal.histogram(histogram, width), width)
    assert len(lines) == 5  # the head and four slots: empty ones before the first are left out
    ends = {line.index("%") for line in lines[1:]}
    assert len(ends) == 1
    assert lines[0].index("share") + len("share") == ends.pop() + 1
    assert max(cell_len(line) for line in lines) <= width
    assert "1,000,000" in lines[2]


def test_names_are_not_markup() -> None:
    """A process called [red] is shown as that, in headings and in tables."""
    histogram = Histogram([1], unit="us", labels={"comm": "[red]x\x1b"})
    assert shown(terminal.heading(histogram)) == ["comm [red]x\\x1b  "]
    columns = (Column("comm", role=KEY), Column("count", role=COUNTER))
    lines = shown(terminal.table(Table(columns, [("[red]x", 1)], sorted_by="count")))
    assert "[red]x" in lines[1]


def test_empty() -> None:
    """Nothing is said to be nothing."""
    assert shown(terminal.summary(Histogram([0], unit="us"))) == ["nothing was recorded"]
