"""Conditions on rows: ``pid==1,comm~^ssh``. And the fields that they are about."""

from __future__ import annotations

import math
import re

import click

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from skep.maps.system.plain import Shape

    Row = Mapping[str, Any]

_NAME = r"[A-Za-z_][\w.\[\]]*"
_OPERATORS = ("==", "!=", ">=", "<=", "!~", "=", ">", "<", "~")
_SIGNS = "|".join(map(re.escape, _OPERATORS))
_CONDITION = re.compile(rf"\s*({_NAME})\s*({_SIGNS})\s*(.*?)\s*", re.DOTALL)
_BETWEEN = re.compile(rf",(?=\s*{_NAME}\s*(?:{_SIGNS}))")
_ADDRESS = re.compile(r"[0-9A-Fa-f]*[.:][0-9A-Fa-f.:]*(?:/\d+)?\Z")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class Field:
    """The path of one field and how to get it out of a row.

    *shape* is what is known of its type, *words* how a table shows it when not as `text` does.
    """

    __slots__ = ("name", "shape", "steps", "words")

    def __init__(
        self, name: str, shape: Shape | None = None, words: Callable[[Any], str] | None = None
    ) -> None:
        self.name = name
        self.shape = shape
        self.words = words
        self.steps: list[str | int] = [
            word or int(index) for word, index in _STEP.findall(name)
        ]  # fmt: skip
        if name.startswith("delta."):
            self.steps = ["delta", name.removeprefix("delta.")]  # flat: by path

    def of(self, row: Row) -> Any:
        """Return the field's value in *row*; None where the row has none."""
        value: Any = row
        for step in self.steps:
            if isinstance(step, str) and isinstance(value, list):
                value = [one.get(step) for one in value if isinstance(one, dict)]
            elif isinstance(step, str):
                value = value.get(step) if isinstance(value, dict) else None
            else:
                value = value[step] if isinstance(value, list) and step < len(value) else None
        return value


class Condition:
    """One comparison of a filter.

    Numbers are compared as numbers, an enum by the name or number of its value, addresses by their
    numbers and with networks: ``saddr==10.0.0.0/8``.
    """

    __slots__ = ("_bounds", "_enumerators", "_number", "field", "operator", "regex", "word")

    def __init__(self, field: Field, operator: str, word: str) -> None:
        self.field = field
        self.operator = "==" if operator == "=" else operator
        self.word = word
        self.regex = None
        shape = field.shape
        while shape is not None and shape.element is not None:
            shape = shape.element  # of a list, one of its values is meant
        self._enumerators = shape.enumerators if shape is not None else {}
        if operator in ("~", "!~"):
            try:
                self.regex = re.compile(word)
            except re.error as error:
                message = f"--filter: {word!r} is not a regular expression: {error}"
                raise click.UsageError(message) from None
            return
        if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"":
            self.word = word[1:-1]
        self._number = self._enumerators.get(word, number(word))
        self._bounds = _bounds(self.word) if field.shape is not None else None
        if self._enumerators and self._number is None and shape is field.shape:
            listed = ", ".join(self._enumerators)
            message = f"--filter: {field.name} is never {word!r:.60}; it may be {listed}"
            raise click.UsageError(message)

    def holds(self, row: Row) -> bool:
        """Whether *row* fulfils it; `click.UsageError` where its word is no number and must be."""
        value = self.field.of(row)
        words = self.field.words
        if self.regex is not None:
            found = bool(self.regex.search(text(value)))
            found = found or (words is not None and bool(self.regex.search(words(value))))
            return found == (self.operator == "~")
        if self.operator in ("==", "!=") and (isinstance(value, list) or words is not None):
            found = text(value) == self.word or (words is not None and words(value) == self.word)
            some = value if isinstance(value, list) else [value]
            found = found or any(self._order(one) == 0 for one in some)
            return found == (self.operator == "==")
        order = self._order(value)
        if order is None:
            return self.operator == "!="
        return {
            "==": order == 0, "!=": order != 0, ">": order > 0, ">=": order >= 0,
            "<": order < 0, "<=": order <= 0,
        }[self.operator]  # fmt: skip

    def _order(self, value: Any) -> int | None:
        """Return -1, 0 or 1 as *value* is less than, equal to or more than the word, else None."""
        word = self.word
        if isinstance(value, bool):
            return 0 if word.lower() == str(value).lower() or word == str(int(value)) else 1
        if self._enumerators and isinstance(value, str):
            value = self._enumerators.get(value, value)
        if isinstance(value, (int, float)):
            if self._number is not None:
                return (value > self._number) - (value < self._number)
            if word and (self.operator not in ("==", "!=") or word[0] in "+-.0123456789"):
                message = f"--filter: {self.field.name} is a number, and {word!r:.60} is none"
                raise click.UsageError(message)
            return None
        if value is None:
            return 0 if word in ("", "null") else None
        given = text(value)
        if self._bounds is not None and given != word:
            place = address(given)
            if place is not None:
                first, last = self._bounds
                inside = 1 if "/" in given else 0  # a network is only equal to itself
                return (place > last) - (place < first) or inside
        return (given > word) - (given < word)


def number(word: str) -> int | float | None:
    """Return the number that *word* is, None when it is none."""
    for base in (0, 10):  # 0x1f; 007
        try:
            return int(word, base)
        except ValueError:
            continue
    try:
        found = float(word)
    except ValueError:
        return None
    return None if math.isnan(found) else found


def address(word: str) -> int | None:
    """Return a number in the order of addresses and networks; None when *word* is neither."""
    import ipaddress

    if not _ADDRESS.match(word):
        return None
    try:
        found = ipaddress.ip_interface(word)
    except ValueError:
        return None
    return (found.version << 128) + int(found.ip)


def _bounds(word: str) -> tuple[int, int] | None:
    """Return the first and last number of an address or network; None for anything else."""
    import ipaddress

    if not _ADDRESS.match(word):
        return None
    try:
        found = ipaddress.ip_network(word, strict=False)
    except ValueError:
        return None
    base = found.version << 128
    return base + int(found.network_address), base + int(found.broadcast_address)


def conditions(given: str, field: Callable[[str, str], Field]) -> Iterator[Condition]:
    """Yield the conditions of one --filter; *field* finds a field by its name."""
    for part in _BETWEEN.split(given):
        found = _CONDITION.fullmatch(part)
        if found is None:
            message = f"--filter: {part!r} is no condition such as pid==1, comm~^ssh or bytes>4096"
            raise click.UsageError(message)
        name, operator, word = found.groups()
        yield Condition(field(name, "--filter"), operator, word)


def text(value: Any) -> str:
    """Return a value of a row as people read it: like C for structs and arrays."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return f"{{{', '.join(f'.{name} = {_inner(one)}' for name, one in value.items())}}}"
    if isinstance(value, list):
        return f"{{{', '.join(map(_inner, value))}}}"
    return str(value)


def _inner(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else text(value)
