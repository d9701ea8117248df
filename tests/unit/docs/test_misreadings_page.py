"""docs/misreadings.md has every reason that the check knows, with its level."""

from __future__ import annotations

import re
from pathlib import Path

from skep.maps.diagnose import GUESS, LIMIT, NOTE, REASONS, WRONG

PAGE = Path(__file__).parents[3] / "docs" / "misreadings.md"


def test_every_reason_is_in_the_table() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (\w+) \|", PAGE.read_text(), re.MULTILINE)
    assert dict(rows) == {code: reason.level for code, reason in REASONS.items()}
    levels = [level for _, level in rows]
    order = [WRONG, LIMIT, GUESS, NOTE]
    assert levels == sorted(levels, key=order.index)
    assert all(reason.means and reason.remedy for reason in REASONS.values())
