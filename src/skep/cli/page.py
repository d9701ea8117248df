"""What the commands print: one JSON document, or tables for a person."""

from __future__ import annotations

import sys

from skep.tools.table import COUNTER, TEXT, Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from enum import IntFlag
    from typing import Any

NUMBER = COUNTER  # a column of numbers, aligned right

Head = tuple[str, str, str]
"""A column: its key in the rows, its title, TEXT or NUMBER."""


def document(value: object) -> None:
    """Print *value* as JSON, in one line."""
    import json

    write(json.dumps(value))


def write(*lines: str) -> None:
    """Print lines, those of the output's encoding's characters escaped that it lacks."""
    text = "".join(f"{line}\n" for line in lines)
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def table(heads: Sequence[Head], rows: Iterable[Mapping[str, Any]]) -> Table:
    """Make a table of *rows*, without the columns that are empty in all of them."""
    rows = list(rows)
    used = [head for head in heads if any(row[head[0]] not in ("", None) for row in rows)]
    columns = [Column(key, title, role=role) for key, title, role in used]
    return Table(columns, [[row[key] for key, _, _ in used] for row in rows])


def show(title: str, tables: Iterable[Table]) -> None:
    """Print a line and tables below, those that have rows; coloured on a terminal."""
    tables = [each for each in tables if each.rows]
    if sys.stdout.isatty():
        try:
            _show_coloured(title, tables)
        except ImportError:
            pass  # without the package, a terminal gets the plain form
        else:
            return
    from skep.tools import plain

    lines = [title] if title else []
    for place, each in enumerate(tables):
        lines += ([""] if place or title else []) + plain.table(each)
    write(*lines)


def _show_coloured(title: str, tables: Sequence[Table]) -> None:
    from rich.console import Console

    from skep.tools import terminal

    # As wide as it takes: a terminal wraps what a table would cut off.
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True, width=1 << 14)
    if title:
        console.print(title, style="bold", markup=False)
    for place, each in enumerate(tables):
        if place or title:
            console.print()
        console.print(terminal.table(each))


def flag_names(kind: type[IntFlag], number: int) -> str:
    """Name the bits of *number*, "sleepable" or "mmapable rdonly_prog"; unknown ones in hex."""
    names = [flag.name.lower() for flag in kind if number & flag and flag.name]
    rest = number & ~sum(kind)
    return " ".join([*names, *([hex(rest)] if rest else [])])


__all__ = ["NUMBER", "TEXT", "Head", "document", "flag_names", "show", "table", "write"]
