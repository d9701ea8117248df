"""Histograms and tables as plain text, in the form bcc's users know. Pure functions to lines."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skep.tools.histogram import Histogram
    from skep.tools.table import Column, Table

STARS = 40
UNIT_NAMES = {"ns": "nsecs", "us": "usecs", "ms": "msecs"}


def labels(histogram: Histogram) -> str:
    """Return a histogram's labels as ``pid = 12 comm = sh``."""
    from skep.tools.table import printable

    return " ".join(f"{name} = {printable(str(text))}" for name, text in histogram.labels.items())


def histogram(histogram: Histogram) -> list[str]:
    """Return the lines of one histogram, its labels first."""
    lines = [labels(histogram)] if histogram.labels else []
    buckets = histogram.buckets()
    unit = UNIT_NAMES.get(histogram.unit, histogram.unit)
    if not buckets:
        return [*lines, f"     (no {unit} recorded)"]
    width = max(10, len(str(buckets[-1][1])))
    peak = max(count for _, _, count in buckets)
    digits = max(8, len(str(peak)))
    head = f"{unit:>{width + 5}}".ljust(2 * width + 4)
    lines.append(f"{head} : {'count':<{digits}} distribution")
    for low, high, count in buckets:
        stars = "*" * (count * STARS // peak)
        lines.append(f"{low:>{width}} -> {high:<{width}} : {count:<{digits}} |{stars:<{STARS}}|")
    lines.append(
        f"avg = {histogram.mean:.1f} {unit}, count: {histogram.total}, "
        f"p50 ~ {histogram.quantile(0.5):.1f}, p99 ~ {histogram.quantile(0.99):.1f}"
    )
    return lines


def table(table: Table) -> list[str]:
    """Return the lines of one table: a head, and rows as wide as their widest cell."""
    lines = [table.title] if table.title else []
    cells = [
        [column.text(value) for column, value in zip(table.columns, row, strict=True)]
        for row in table.rows
    ]
    titles = [column.title for column in table.columns]
    widths = [max(len(row[place]) for row in [titles, *cells]) for place in range(len(titles))]
    return lines + [line(table.columns, row, widths) for row in [titles, *cells]]


def line(columns: Sequence[Column], cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return one row: numbers to the right, the rest to the left, no spaces at the end."""
    padded = (
        cell.rjust(width) if column.numeric else cell.ljust(width)
        for column, cell, width in zip(columns, cells, widths, strict=True)
    )
    return "  ".join(padded).rstrip()


def head(columns: Sequence[Column]) -> str:
    """Return the head of a stream of rows."""
    return line(columns, [column.title for column in columns], [c.width for c in columns])


def row(columns: Sequence[Column], cells: Mapping[str, str]) -> str:
    """Return one row of a stream; *cells* are its texts by column name."""
    return line(columns, [cells[c.name] for c in columns], [c.width for c in columns])
