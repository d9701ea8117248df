"""The table of helpers."""

from __future__ import annotations

import re
from pathlib import Path

from skep.asm import HELPERS, helper_name, helper_number

HEADER = Path(__file__).resolve().parents[3] / "src/skep/include/skep/helpers.h"


def test_numbers_and_names_are_those_of_the_c_header() -> None:
    declared = re.findall(r"\(\* const bpf_(\w+)\)\([^=]*= \(void \*\) ?(\d+);", HEADER.read_text())
    assert len(declared) > 200
    for name, number in declared:
        assert helper_number(name) == int(number)
        assert helper_name(int(number)) == f"bpf_{name}"


def test_numbers_have_no_gaps_and_releases_only_grow() -> None:
    assert list(HELPERS) == list(range(1, 212))
    releases = [helper.since for helper in HELPERS.values()]
    assert releases == sorted(releases)
    assert (releases[0], releases[-1]) == ((3, 19), (6, 2))
    assert len({helper.name for helper in HELPERS.values()}) == len(HELPERS)


def test_what_is_known_of_one() -> None:
    assert repr(HELPERS[131]) == "<Helper 131 ringbuf_reserve, Linux 5.8>"
    assert helper_name(212) == ""
