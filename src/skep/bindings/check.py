"""Whether a generated module is what its object gives now: ``skep gen --check``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN = 12
"""Lines that are shown of what differs; the rest is counted."""


def difference(path: str, wanted: str) -> list[str]:
    """Return how the file at *path* differs from *wanted*, as lines of a diff; empty when it is it.

    A file that there is not differs in every line, and says so in one.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            there = file.read()
    except FileNotFoundError:
        return ["there is no such file"]
    except UnicodeDecodeError:
        return ["it is not text"]
    if there == wanted:
        return []
    return list(_lines(there, wanted)) or ["its line ends differ"]


def _lines(there: str, wanted: str) -> Iterator[str]:
    from difflib import unified_diff

    count = 0
    for line in unified_diff(there.splitlines(), wanted.splitlines(), n=0, lineterm=""):
        if line.startswith(("---", "+++", "@@")):
            continue
        count += 1
        if count <= SHOWN:
            yield f"{line[0]} {line[1:].strip()}"[:200]
    if count > SHOWN:
        yield f"and {count - SHOWN} lines more"


def written_by_us(path: str) -> bool:
    """Whether the file at *path* is a generated module, or there is none: it may be replaced."""
    from skep.bindings.write import MARK

    try:
        with open(path, encoding="utf-8") as file:
            return MARK in file.read(1024)
    except FileNotFoundError:
        return True
    except UnicodeDecodeError:
        return False
