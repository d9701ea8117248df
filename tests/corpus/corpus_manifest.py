"""Every case of the corpus, in the order of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cases_code
import cases_core
import cases_data
import cases_maps
import cases_network
import cases_tracing
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from corpus_case import Case

CASES = [
    *cases_network.CASES,
    *cases_tracing.CASES,
    *cases_maps.CASES,
    *cases_data.CASES,
    *cases_code.CASES,
    *cases_core.CASES,
]
"""All of them."""


def each(cases: Iterable[Case]) -> list[object]:
    """Return the parameters (case, compiler) of a test: each case with each of its compilers."""
    return [
        pytest.param(case, compiler, id=f"{case.name}-{compiler}")
        for case in cases
        for compiler in case.compilers()
    ]
