"""The table of map types and operations on docs/map-table.md is the one that is tested."""

from __future__ import annotations

import re
import sys

import compiling

sys.path.append(str(compiling.ROOT / "tests" / "kernel" / "maps"))

import map_table
from map_operations import OPERATIONS
from map_subjects import SUBJECTS


def test_the_page_says_the_same() -> None:
    """Compare the first kernel's table on docs/map-table.md with what is expected there."""
    text = (compiling.ROOT / "docs" / "map-table.md").read_text()
    release = re.findall(r"^## Linux (\S+)$", text, re.MULTILINE)[0]
    expected = map_table.expected(release)
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line[:2] == "| "]
    (_, *names), *types = rows
    notes = dict(re.findall(r"^(\d+)\. `([^`]+)`", text, re.MULTILINE))
    operations = [name.strip("`") for name in names]
    assert operations == list(OPERATIONS)
    for type, *cells in types:
        said = [notes.get(cell, cell) for cell in cells]
        assert said == [expected[type, name] for name in operations], type
    assert len(types) == len(SUBJECTS)
