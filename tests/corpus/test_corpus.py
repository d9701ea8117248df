"""Every source of the corpus: compiled by each compiler, loaded, run, checked by value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from corpus_case import IN_GUEST, SOURCES
from corpus_manifest import CASES, each

if TYPE_CHECKING:
    from corpus_case import Case

HERE = [case for case in CASES if IN_GUEST or not case.guests]


@pytest.mark.parametrize(("case", "compiler"), each(HERE))
def test_result(case: Case, compiler: str) -> None:
    case.need()
    case.check(compiler)


def test_every_source_has_a_case() -> None:
    sources = {path.name.removesuffix(".bpf.c") for path in SOURCES.glob("*.bpf.c")}
    expected = {name for case in CASES for name in [case.name, *([f"{case.name}_2"] * case.linked)]}
    assert sources == expected
    assert len(CASES) >= 60
