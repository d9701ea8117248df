"""Tables as plain values: named columns, some that identify a row, some that count."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

# What a column is for.
KEY = "key"  # identifies the row, together with the other keys
COUNTER = "counter"  # only grows: differences between two reads mean something
TEXT = "text"  # describes the row, may change
VALUE = "value"  # a number of the moment, or derived from others


class Column:
    """One column: `name` in JSON and for the agent, `title` on a terminal, and how to show it.

    `unit` is what the number counts ("ns", "bytes", "" for things). `scale` divides it for
    people (1000 for a title in microseconds) and `digits` are the decimals then shown. `width`
    is what a column of a stream of rows gets, where later rows are not known yet; 0 in the last
    column means the rest of the line.
    """

    __slots__ = ("digits", "name", "role", "scale", "title", "unit", "width")

    def __init__(
        self,
        name: str,
        title: str = "",
        *,
        role: str = TEXT,
        unit: str = "",
        scale: float = 1,
        digits: int = 0,
        width: int = 0,
    ) -> None:
        self.name = name
        self.title = title or name.upper()
        self.role = role
        self.unit = unit
        self.scale = scale
        self.digits = digits
        self.width = width

    def __repr__(self) -> str:
        return f"<Column {self.name} ({self.role})>"

    @property
    def numeric(self) -> bool:
        """Whether its values are aligned right."""
        return self.role in (COUNTER, VALUE)

    def text(self, value: Any) -> str:
        """Return *value* for a person, without control characters."""
        if value is None:
            return ""
        if isinstance(value, str):
            return printable(value)
        if self.scale != 1 or self.digits:
            return f"{value / self.scale:.{self.digits}f}"
        return str(value)


def printable(text: str) -> str:
    r"""Return *text* with control characters and broken bytes escaped, as ``\n`` or ``\x1b``.

    Process names and arguments come from whoever ran the process: shown as they are, they could
    drive the terminal.
    """
    if text.isprintable():
        return text
    return "".join(_escaped(one) if not one.isprintable() else one for one in text)


def _escaped(one: str) -> str:
    if "\udc80" <= one <= "\udcff":  # a byte that is not UTF-8, by surrogateescape
        return f"\\x{ord(one) - 0xDC00:02x}"
    return one.encode("unicode_escape").decode()


class Table:
    """Rows of values in the order of `columns`. Immutable; share it between threads freely."""

    __slots__ = ("columns", "rows", "sorted_by", "title")

    def __init__(
        self,
        columns: Sequence[Column],
        rows: Iterable[Sequence[Any]],
        *,
        title: str = "",
        sorted_by: str = "",
    ) -> None:
        self.columns = tuple(columns)
        self.rows = tuple(tuple(row) for row in rows)
        self.title = title
        self.sorted_by = sorted_by

    def __repr__(self) -> str:
        names = ", ".join(column.name for column in self.columns)
        return f"<Table of {len(self.rows)} rows: {names}>"

    def __len__(self) -> int:
        return len(self.rows)

    def index(self, name: str) -> int:
        """Return the place of the column *name*. Raises `LookupError`."""
        for place, column in enumerate(self.columns):
            if column.name == name:
                return place
        raise LookupError(f"no column {name!r}")

    def column(self, name: str) -> list[Any]:
        """Return one column's values."""
        place = self.index(name)
        return [row[place] for row in self.rows]

    def keyed(self) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """Return the rows by the values of their key columns."""
        keys = [place for place, column in enumerate(self.columns) if column.role == KEY]
        return {tuple(row[place] for place in keys): row for row in self.rows}

    def since(self, earlier: Table | None) -> Table:
        """Return the rows that grew after *earlier*, with the counters' growth in them.

        A row in which any counter fell was counted anew, and all of it is new.
        """
        if earlier is None:
            return self
        counters = [p for p, column in enumerate(self.columns) if column.role == COUNTER]
        before = earlier.keyed()
        rows = []
        for key, row in self.keyed().items():
            was = before.get(key)
            if was is None or any(row[place] < was[place] for place in counters):
                grown = row
            else:
                fresh = list(row)
                for place in counters:
                    fresh[place] -= was[place]
                grown = tuple(fresh)
            if not counters or any(grown[place] for place in counters):
                rows.append(grown)
        return Table(self.columns, rows, title=self.title)

    def top(self, by: str, count: int | None = None) -> Table:
        """Return the table sorted by the column *by*, largest first, cut to *count* rows."""
        place = self.index(by)
        rows = sorted(self.rows, key=lambda row: row[place], reverse=True)
        return Table(self.columns, rows[:count], title=self.title, sorted_by=by)

    def dicts(self) -> list[Mapping[str, Any]]:
        """Return each row as a mapping of column names to values."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]
