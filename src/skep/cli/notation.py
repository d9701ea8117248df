r"""Keys and values as people type them: C, JSON, numbers, text, bytes.

``7``, ``0x1f``, ``-1``, ``'a'``, ``BUSY``, ``eth0``, ``10.0.0.1``; ``{"pid": 1, "at": {"x": 2}}``;
``{.pid = 1, .at = {2, 3}}``, the outer braces may be left out; ``hex:0a00`` or ``0a 00``: bytes
in the order of memory.
"""

from __future__ import annotations

import re

from skep.errors import RangeError, TypeMismatchError
from skep.maps.system.plain import (
    BARE,
    BOOL,
    BYTES,
    ENUM,
    FLOAT,
    NUMBER,
    POINTER,
    RECORD,
    TEXT,
    Shape,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.maps.system.sides import Side

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<sign>[{}\[\],=])
  | (?P<string>"(?:[^"\\]|\\.)*")
  | (?P<char>'(?:[^'\\]|\\.)+')
  | (?P<word>[^\s{}\[\],="']+)
    )""",
    re.VERBOSE | re.DOTALL,
)
_HEX = re.compile(r"[0-9A-Fa-f]{2}(?:[\s:]?[0-9A-Fa-f]{2})*")
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_DEPTH = 64
_NUMBER = Shape(NUMBER)


class Word(str):
    """A word without quotes: what it means depends on the type."""

    __slots__ = ()


def parse(text: str, side: Side, *, what: str) -> Any:
    """Return the Python value that *text* means for *side*; *what* begins every complaint.

    Raises `TypeMismatchError` or `RangeError` for text that the type cannot be. Names of members,
    their number and the ranges of numbers are the codec's to check.
    """
    text = text.strip()
    if text.startswith("hex:"):
        return side.cell.unpack(_bytes(text[4:], side.size, what))
    if side.shape is BARE and side.size:
        if _HEX.fullmatch(text):
            return side.cell.unpack(_bytes(text, side.size, what))
        raise TypeMismatchError(
            f"{what}: {text!r:.60} cannot be understood, for the map has no BTF that says what its"
            f" {side.role} is: expected {side.size} bytes in hexadecimal, {_example(side.size)}",
            hint=f"or tell its type: --{side.role}-type u32",
            expected=f"{side.size} bytes",
            given=text,
        )
    try:
        value = _Reader(text, what).whole(side.shape)
        return _fit(value, side.shape, what, text)
    except RecursionError:
        raise TypeMismatchError(f"{what}: it is nested too deep", given=text) from None


def pack(text: str, side: Side, *, what: str) -> bytes:
    """Return the bytes that *text* means for *side*, or say what is wrong with it."""
    value = parse(text, side, what=what)
    try:
        return side.cell.pack(value)
    except (TypeMismatchError, RangeError) as error:
        message = f"{what}: {error.message}"
        raise type(error)(message, hint=error.hint, **error.evidence) from None


def _example(size: int) -> str:
    shown = "0100000000000000"[: 2 * size]
    return f"such as {shown}{'...' if size > 8 else ''} (in the order of memory)"


def _bytes(text: str, size: int, what: str) -> bytes:
    digits = re.sub(r"[\s:,]|0[xX](?=[0-9A-Fa-f]{2}(?:\s|$))", "", text)
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        message = f"{what}: {text.strip()!r:.60} is not bytes in hexadecimal"
        raise TypeMismatchError(message, expected=f"{size} bytes", given=text) from None
    if len(data) != size:
        message = f"{what}: expected {size} bytes, not the {len(data)} of {text.strip()!r:.60}"
        raise TypeMismatchError(message, expected=f"{size} bytes", given=text)
    return data


class _Reader:
    """Reads one value of the C or JSON notation."""

    def __init__(self, text: str, what: str) -> None:
        self.text = text
        self.what = what
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                raise self._fail(f"{text[at:].strip()!r:.40} is not understood")
            kind = str(found.lastgroup)
            word = found[kind]
            at = found.end()
            # ':' is part of addresses, but after a string it separates, as in JSON.
            if word.startswith(":") and self.tokens and self.tokens[-1][0] == "string":
                self.tokens.append(("sign", ":"))
                word = word[1:]
            if word or kind != "word":
                self.tokens.append((kind, word))
        self.at = 0

    def _fail(self, why: str) -> TypeMismatchError:
        message = f"{self.what}: {why}"
        hint = 'write it as JSON, {"pid": 1}, or as in C, {.pid = 1} or .pid=1'
        return TypeMismatchError(message, hint=hint, given=self.text)

    def _peek(self, ahead: int = 0) -> tuple[str, str]:
        at = self.at + ahead
        return self.tokens[at] if at < len(self.tokens) else ("end", "")

    def whole(self, shape: Shape) -> Any:
        """Return the value of the whole text."""
        if not self.tokens:
            if shape.kind == TEXT:
                return ""
            raise self._fail("nothing is given")
        plain_text = all(kind not in ("sign", "string", "char") for kind, _ in self.tokens)
        if plain_text and not self.tokens[0][1].startswith("."):
            return Word(self.text)  # "some words" are one text
        first = self.tokens[0][1]
        bare = (first.startswith(".") and self._peek(1)[1] == "=") or (
            self._peek(1)[1] in ("=", ",") and self.tokens[0][0] != "sign"
        )
        value = self._members("end") if bare else self._value(0)
        if self._peek()[0] != "end":
            raise self._fail(f"{self._peek()[1]!r:.40} follows what is a value already")
        return value

    def _value(self, depth: int) -> Any:
        kind, word = self._peek()
        self.at += 1
        if depth > _DEPTH:
            raise self._fail("it is nested too deep")
        if kind == "string":
            return self._string(word)
        if kind == "char":
            return ord(self._string(f'"{word[1:-1]}"')[:1] or "\0")
        if kind == "word":
            return Word(word)
        if word in ("{", "["):
            return self._members("}" if word == "{" else "]", depth + 1)
        raise self._fail(f"a value is missing before {word!r}" if word else "a value is missing")

    def _members(self, end: str, depth: int = 0) -> Any:
        """Read what is between braces: a mapping or a list."""
        named: dict[str, Any] = {}
        listed: list[Any] = []
        while self._peek()[1] != end and not (end == "end" and self._peek()[0] == "end"):
            name = self._name()
            if name is None:
                listed.append(self._value(depth))
            elif name in named:
                raise self._fail(f"{name!r} is given twice")
            else:
                named[name] = self._value(depth)
            kind, word = self._peek()
            if word == ",":
                self.at += 1
            elif kind == "end" and end != "end":
                raise self._fail(f"{end!r} is missing")
            elif word != end and kind != "end":
                raise self._fail(f"',' is missing before {word!r:.40}")
        if end != "end":
            self.at += 1
        if named and listed:
            raise self._fail("some values have a name and some have none")
        return named if named or (end == "}" and not listed) else listed

    def _name(self) -> str | None:
        kind, word = self._peek()
        follows = self._peek(1)[1]
        if kind == "string" and follows in (":", "="):
            self.at += 2
            return self._string(word)
        if kind == "word" and follows in ("=", ":"):
            self.at += 2
            return word.removeprefix(".")
        if kind == "word" and word.endswith(":") and len(word) > 1:  # {pid: 1}
            self.at += 1
            return word[:-1]
        return None

    def _string(self, word: str) -> str:
        import json

        try:
            return str(json.loads(word, strict=False))
        except ValueError:
            return _ESCAPE.sub(_unescaped, word[1:-1])  # C's, which JSON lacks


def _unescaped(found: re.Match[str]) -> str:
    """Return the character that an escape of C means."""
    word = found[1]
    if word[0] == "x":
        return chr(int(word[1:], 16))
    return chr(int(word, 8)) if word.isdigit() else _CONTROLS.get(word, word)


def _fit(value: Any, shape: Shape, what: str, text: str) -> Any:
    """Return *value*, its words understood as *shape* asks."""
    if isinstance(value, dict):
        if shape.kind == RECORD:
            return {n: _fit(one, shape.member(n), f"{what}, {n}", text) for n, one in value.items()}
        return value  # the codec says what it takes
    if isinstance(value, list):
        if shape.kind == RECORD:
            inner = list(shape.members.values())
            inner += [BARE] * (len(value) - len(inner))
            return [_fit(one, kind, what, text) for one, kind in zip(value, inner, strict=False)]
        element = shape.element or _NUMBER
        return [_fit(one, element, f"{what}[{i}]", text) for i, one in enumerate(value)]
    if not isinstance(value, str):
        return value
    return _scalar(value, shape)


def _scalar(value: str, shape: Shape) -> Any:
    kind = shape.kind
    if kind == TEXT:
        return str(value)
    if kind == BYTES:
        if _HEX.fullmatch(value.removeprefix("hex:")):
            return bytes.fromhex(re.sub(r"[\s:]", "", value.removeprefix("hex:")))
        number = _number(value)
        return str(value) if number is None else number
    if kind == ENUM:
        number = _number(value)
        return str(value) if number is None else number
    if kind == BOOL and value in ("true", "false"):
        return value == "true"
    if kind == FLOAT:
        try:
            return float(value)
        except ValueError:
            return str(value)
    if kind in (NUMBER, POINTER, BOOL):
        number = _number(value)
        if number is None and value in ("true", "false"):
            return int(value == "true")
        return str(value) if number is None else number
    number = _number(value)
    return str(value) if number is None else number


def _number(value: str) -> int | None:
    """Return the number that a word is: decimal, 0x, 0o, 0b, or octal as in C."""
    word = value.replace("_", "") if value[:1].isdigit() else value
    word = word.rstrip("uUlL") if word[:1] in "-+0123456789" and not word.endswith("_") else word
    try:
        return int(word, 0)
    except ValueError:
        pass
    try:
        return int(word, 8) if word[:1] == "0" else None
    except ValueError:
        return None
