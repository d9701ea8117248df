"""Compiles what a run of the corpus needs side by side, and keeps its results for the table."""

from __future__ import annotations

import json
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

    from corpus_case import Case

pytest.register_assert_rewrite(
    "corpus_case", "corpus_maps", "corpus_network", "corpus_steps", "corpus_tracing"
)

RESULTS = "SKEP_CORPUS_RESULTS"
"""The variable that names the file for the results: test, outcome and reason, as JSON lines."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Compile what the chosen tests will ask for; a mistake shows in the test that meets it.

    Before the first test, whose time limit this would exceed.
    """
    if "SKEP_GUEST" in os.environ or session.config.option.collectonly:
        return
    wanted: set[tuple[Case, str, str]] = set()
    for item in session.items:
        chosen = (
            item.callspec.params
            if isinstance(item, pytest.Function) and hasattr(item, "callspec")
            else {}
        )
        if {"case", "compiler"} <= chosen.keys():
            for target in ("bpfel", "bpfeb") if "big_endian" in item.name else ("bpfel",):
                wanted.add((chosen["case"], chosen["compiler"], target))

    def build(job: tuple[Case, str, str]) -> None:
        case, compiler, target = job
        with suppress(Exception):
            case.build(compiler, target)

    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("error")
        list(pool.map(build, sorted(wanted, key=str)))


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write down what became of a test, for `table.py`."""
    report = yield
    folder = os.environ.get(RESULTS)
    if folder and (report.when == "call" or report.outcome != "passed"):
        reason = ""
        if report.skipped and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
        entry = {"test": item.name, "outcome": report.outcome, "reason": reason}
        with Path(folder).open("a") as file:
            file.write(json.dumps(entry) + "\n")
    return report
