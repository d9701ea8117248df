"""Histograms and tables for a terminal, as `rich` renderables."""

from __future__ import annotations

from rich.table import Table as RichTable
from rich.text import Text

from skep.tools.histogram import UNITS
from skep.tools.spans import span
from skep.tools.table import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.tools.histogram import Histogram
    from skep.tools.table import Column, Table

EIGHTHS = " ▏▎▍▌▋▊▉"
SHARE_WIDTH = 20


def bar(share: float, width: int) -> str:
    """Return a bar filled to *share* (0..1) of *width* cells, exact to an eighth of a cell."""
    eighths = round(max(0.0, min(share, 1.0)) * width * 8)
    if share > 0:
        eighths = max(eighths, 1)  # something is never shown as nothing
    full, rest = divmod(eighths, 8)
    return "█" * full + (EIGHTHS[rest] if rest else "")


def bound(ns: int) -> str:
    """Return a slot's bound: ``2 µs``, not ``2.00 µs``, which would claim it was measured."""
    number, _, unit = span(ns).partition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"


def heading(histogram: Histogram) -> Text:
    """Return a histogram's labels: names dim, values bright."""
    text = Text()
    for name, value in histogram.labels.items():
        text.append(f"{name} ", "dim")
        text.append(f"{printable(str(value))}  ", "bold")
    return text


def histogram(histogram: Histogram, width: int) -> RichTable:
    """Return the bars of one histogram to fit *width* columns.

    Green bars hold the faster half of the values, red ones the slowest hundredth and what shares
    a slot with it.
    """
    table = RichTable(box=None, padding=(0, 1), header_style="dim", show_edge=False)
    table.add_column("from", justify="right", no_wrap=True)
    table.add_column("to", justify="right", no_wrap=True)
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    room = max(10, min(60, width - 44))
    buckets = histogram.buckets()
    first = next((place for place, bucket in enumerate(buckets) if bucket[2]), 0)
    total = histogram.total
    peak = max((count for _, _, count in buckets), default=0)
    unit = UNITS[histogram.unit]
    seen = 0
    for low, high, count in buckets[first:]:
        below, seen = seen, seen + count
        style = "green" if below < total / 2 else "yellow" if seen <= total * 0.99 else "red"
        table.add_row(
            bound(low * unit),
            bound((high + 1) * unit),
            f"{count:,}",
            f"{count / total:.1%}",
            Text(bar(count / peak, room), style if count else ""),
            style="" if count else "dim",
        )
    return table


def summary(histogram: Histogram) -> Text:
    """Return one line: how many, the mean and the quantiles."""
    total, unit = histogram.total, UNITS[histogram.unit]
    if not total:
        return Text("nothing was recorded", "dim")
    text = Text(" ")
    text.append(f"{total:,}", "bold")
    text.append(" values", "dim")
    facts = [("mean", histogram.mean)]
    facts += [(f"p{share:g}", histogram.quantile(share / 100)) for share in (50, 90, 99, 99.9)]
    for name, value in facts:
        text.append(f"   {name} ", "dim")
        text.append(span(value * unit), "bold")
    return text


def cell(column: Column, value: Any) -> str:
    """Return one cell: times with their unit, large numbers with separators."""
    if column.unit == "ns" and isinstance(value, (int, float)):
        return span(value)
    if isinstance(value, int) and column.numeric and column.scale == 1:
        return f"{value:,}"
    return column.text(value)


def title(column: Column) -> str:
    """Return a column's title without a unit that its cells show themselves."""
    return column.title.partition(" (")[0] if column.unit == "ns" else column.title


def table(table: Table) -> RichTable:
    """Return *table* with, at the end, bars of each row in the column that sorts it.

    Without such a column there are no bars.
    """
    made = RichTable(box=None, padding=(0, 1), header_style="bold", show_edge=False)
    for column in table.columns:
        justify = "right" if column.numeric else "left"
        made.add_column(title(column), justify=justify, no_wrap=True)  # type: ignore[arg-type]
    by = table.sorted_by
    peak = max(table.column(by), default=0) if by else 0
    if peak:
        made.add_column("", no_wrap=True)
    for row in table.rows:
        # Text, not str: a name such as "[red]" is not markup.
        cells = [
            Text(cell(column, value)) for column, value in zip(table.columns, row, strict=True)
        ]
        if peak:
            cells.append(Text(bar(row[table.index(by)] / peak, SHARE_WIDTH), "cyan"))
        made.add_row(*cells)
    return made
