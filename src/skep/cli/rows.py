"""Rows that people choose from: filters, fields, order, and the forms they are printed in.

A row is a mapping as JSON would have it, perhaps nested. A field is a path into it:
``value.at.port``, ``value.slots[3]``.
"""

from __future__ import annotations

import re
import sys

import click

from skep.cli.conditions import Field, address, conditions, text
from skep.cli.page import document, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any, TypeVar

    from skep.maps.system.plain import Shape
    from skep.tools.table import Column

    Row = Mapping[str, Any]
    F = TypeVar("F", bound=Callable[..., Any])

FIRST = 500  # rows of a stream that are looked at to see how wide its columns are


def options(command: F) -> F:
    """Add the options that choose rows and say how they are printed."""
    for option in reversed(
        (
            click.option(
                "-f", "--filter", "filters", multiple=True, metavar="'FIELD==V,FIELD~REGEX'",
                help="Only rows for which all of it is true: == != < <= > >= compare, ~ and !~"
                " search a regular expression: state==OPEN, saddr==10.0.0.0/8, comm~^ssh. Can be"
                " given several times.",
            ),
            click.option("--fields", metavar="A,B", help="Only these fields, in this order."),
            click.option(
                "--sort", metavar="FIELD", help="Sort by FIELD; -FIELD: the largest first."
            ),
            click.option(
                "--max-entries", type=click.IntRange(min=1), metavar="N",
                help="Print N rows at most.",
            ),
            OUTPUT,
            JSON,
        )
    ):  # fmt: skip
        command = option(command)
    return command


OUTPUT = click.option(
    "-o", "--output", type=click.Choice(("table", "json", "jsonl")), default="table",
    show_default=True, help="A table for people, one JSON document, or a JSON document a row.",
)  # fmt: skip
JSON = click.option("--json", "as_json", is_flag=True, help="The same as -o json.")


class Selection:
    """What was asked for: which rows, which fields, in which order.

    *names* are the fields that rows can have; `click.UsageError` for another. A name may be
    shortened to its last part where that means one field only: ``port`` for ``value.at.port``.
    As a mapping *names* give the shape of each, which says how it compares; *words* are those that
    a table shows for a field.
    """

    def __init__(
        self,
        names: Iterable[str],
        *,
        filters: Sequence[str] = (),
        fields: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
        words: Mapping[str, Callable[[Any], str]] | None = None,
    ) -> None:
        self._names = list(names)
        self._shapes: Mapping[str, Shape | None] = names if isinstance(names, dict) else {}
        self._words = words or {}
        self._limit = limit
        self.conditions = [one for given in filters for one in conditions(given, self._field)]
        chosen = [word.strip() for word in (fields or "").split(",")] if fields else []
        self.fields = [self._field(word, "--fields") for word in chosen]
        self.descending = bool(sort) and str(sort).startswith("-")
        self.sort = self._field(str(sort).lstrip("+-"), "--sort") if sort else None

    def _field(self, word: str, option: str) -> Field:
        bare = re.sub(r"(\[\d+\])+$", "", word)
        indices = word[len(bare) :]
        if bare in self._names:
            return self._made(bare, indices)
        # A member of something that is shown whole: a path below a known name.
        if any(bare.startswith((f"{name}.", f"{name}[")) for name in self._names):
            return Field(word)
        ends = [name for name in self._names if name.endswith(f".{bare}")]
        if len(ends) == 1:
            return self._made(ends[0], indices)
        if ends:
            raise click.UsageError(f"{option}: {bare!r} may be {' or '.join(ends)}")
        # A whole struct, whose members are the fields.
        places = {name: f".{name}.".find(f".{bare}.") for name in self._names}
        whole = {name[: at + len(bare)] for name, at in places.items() if at >= 0}
        if len(whole) == 1:
            return Field(whole.pop() + indices)
        from difflib import get_close_matches

        close = get_close_matches(bare, self._names, 3)
        hint = f"there are {', '.join(self._names)}"
        if close:
            hint = f"did you mean {', '.join(close)}?"
        raise click.UsageError(f"{option}: there is no field {word!r}; {hint}")

    def _made(self, name: str, indices: str) -> Field:
        shape = self._shapes.get(name)
        for _ in range(indices.count("[")):
            shape = shape.element if shape is not None else None
        return Field(name + indices, shape, None if indices else self._words.get(name))

    def rows(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows that were asked for, in the order asked for, while *rows* comes."""
        wanted: Iterator[Row] = (
            row for row in rows if all(one.holds(row) for one in self.conditions)
        )
        if self.sort is not None:
            wanted = iter(self._sorted(wanted))
        left = self._limit
        for row in wanted:
            yield row
            if left is not None:
                left -= 1
                if not left:
                    return

    def _sorted(self, rows: Iterator[Row]) -> list[Row]:
        field = self.sort
        assert field is not None

        def rank(row: Row) -> tuple[Any, ...]:
            value = field.of(row)
            if isinstance(value, (int, float)):
                return (1, value, "")
            number = address(text(value)) if field.shape is not None else None
            if number is not None:
                return (2, number, text(value))
            return (0, 0, "") if value is None else (3, 0, text(value))

        if self._limit is not None:
            import heapq

            some = heapq.nlargest if self.descending else heapq.nsmallest
            return some(self._limit, rows, key=rank)
        return sorted(rows, key=rank, reverse=self.descending)

    def picked(self, row: Row) -> Row:
        """Return only the fields asked for, by the names asked for."""
        return {field.name: field.of(row) for field in self.fields} if self.fields else row


def emit(
    rows: Iterable[Row],
    selection: Selection,
    columns: Sequence[Column],
    form: str,
    words: Mapping[str, Callable[[Any], str]] | None = None,
    *,
    tall: bool = False,
) -> int:
    """Print *rows* as "table", "json" or "jsonl", as they come; return how many.

    *columns* are those of the table, called like fields; *words* say how a field is shown there
    when it is not as `text` does. With *tall*, a row of a table too wide for the terminal is a
    block of lines, one for each field.
    """
    count = 0
    if form == "table":
        return _table(rows, selection, columns, words or {}, tall=tall)
    import json

    picked = map(selection.picked, rows)
    if form == "jsonl":
        for row in picked:
            document(row)
            count += 1
        return count
    sys.stdout.write("[")
    for row in picked:
        sys.stdout.write(f"{', ' if count else ''}{json.dumps(row)}")
        count += 1
    sys.stdout.write("]\n")
    return count


def _table(
    rows: Iterable[Row],
    selection: Selection,
    columns: Sequence[Column],
    words: Mapping[str, Callable[[Any], str]],
    *,
    tall: bool,
) -> int:
    """Print a table as it comes: its first rows say how wide the columns are."""
    from skep.tools import plain
    from skep.tools.table import Column, printable

    if selection.fields:
        known = {column.name: column for column in columns}
        names = [field.name for field in selection.fields]
        columns = [known.get(name) or Column(name, name) for name in names]
    fields = [Field(column.name) for column in columns]

    def cells(row: Row) -> list[str]:
        return [printable(words.get(field.name, text)(field.of(row))) for field in fields]

    titles = [column.title for column in columns]
    widths: list[int] = []
    waiting: list[list[str]] = []
    count = 0
    blocks = False

    def show(row: list[str]) -> None:
        if not blocks:
            write(plain.line(columns, row, widths))
            return
        longest = max(map(len, titles))
        lines = zip(titles, row, strict=True)
        write(*(f"{title:<{longest}}  {one}".rstrip() for title, one in lines), "")

    def begin() -> None:
        nonlocal blocks
        some = zip(*([titles, *waiting]), strict=True)
        widths.extend(max(map(len, one)) for one in some)
        blocks = tall and len(widths) > 2 and sum(widths) + 2 * len(widths) - 2 > _room()
        if not blocks:
            show(titles)
        for one in waiting:
            show(one)

    for row in rows:
        count += 1
        if widths:
            show(cells(row))
            continue
        waiting.append(cells(row))
        if len(waiting) == FIRST:
            begin()
    if count and not widths:
        begin()
    return count


def _room() -> float:
    """Return how many characters a line of the terminal has; no terminal has no end."""
    if not sys.stdout.isatty():
        return float("inf")
    from shutil import get_terminal_size

    return get_terminal_size().columns
