"""Every source of the corpus compiled for the other byte order: the same spec, but for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from corpus_manifest import CASES, each
from corpus_specs import described

if TYPE_CHECKING:
    from corpus_case import Case

BOTH_ORDERS = [case for case in CASES if case.big_endian]


@pytest.mark.parametrize(("case", "compiler"), each(BOTH_ORDERS))
def test_big_endian_build_says_the_same(case: Case, compiler: str) -> None:
    little = described(case.build(compiler))
    big = described(case.build(compiler, "bpfeb"))
    assert (little.pop("byte order"), big.pop("byte order")) == ("little", "big")
    assert big == little
