"""Conditions on rows: ``pid==1,comm~^ssh``. And the fields that they are about."""

from __future__ import annotations

import re

import click

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    Row = Mapping[str, Any]

_NAME = r"[A-Za-z_][\w.\[\]]*"
_OPERATORS = ("==", "!=", ">=", "<=", "!~", "=", ">", "<", "~")
_SIGNS = "|".join(map(re.escape, _OPERATORS))
_CONDITION = re.compile(rf"\s*({_NAME})\s*({_SIGNS})\s*(.*?)\s*", re.DOTALL)
_BETWEEN = re.compile(rf",(?=\s*{_NAME}\s*(?:{_SIGNS}))")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class Field:
    """The path of one field and how to get it out of a row."""

    __slots__ = ("name", "steps")

    def __init__(self, name: str) -> None:
        self.name = name
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
    """One comparison of a filter."""

    __slots__ = ("field", "operator", "regex", "word")

    def __init__(self, field: Field, operator: str, word: str) -> None:
        self.field = field
        self.operator = "==" if operator == "=" else operator
        self.word = word
        self.regex = None
        if operator in ("~", "!~"):
            try:
                self.regex = re.compile(word)
            except re.error as error:
                message = f"--filter: {word!r} is not a regular expression: {error}"
                raise click.UsageError(message) from None

    def holds(self, row: Row) -> bool:
        """Whether *row* fulfils it."""
        value = self.field.of(row)
        if self.regex is not None:
            return bool(self.regex.search(text(value))) == (self.operator == "~")
        if isinstance(value, list) and self.operator in ("==", "!="):
            found = any(_order(one, self.word) == 0 for one in value) or text(value) == self.word
            return found == (self.operator == "==")
        order = _order(value, self.word)
        if order is None:
            return self.operator == "!="
        return {
            "==": order == 0, "!=": order != 0, ">": order > 0, ">=": order >= 0,
            "<": order < 0, "<=": order <= 0,
        }[self.operator]  # fmt: skip


def _order(value: Any, word: str) -> int | None:
    """Return -1, 0 or 1 as *value* is less than, equal to or greater than *word*, else None."""
    if isinstance(value, bool):
        return 0 if word.lower() == str(value).lower() or word == str(int(value)) else 1
    if isinstance(value, (int, float)):
        try:
            number = int(word, 0) if isinstance(value, int) else float(word)
        except ValueError:
            try:
                number = float(word)
            except ValueError:
                return None
        return (value > number) - (value < number)
    if value is None:
        return 0 if word in ("", "null") else None
    given = text(value)
    word = word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"" else word
    return (given > word) - (given < word)


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
