"""Every block of the pages is executed: files built, commands run, sessions typed in."""

from __future__ import annotations

import doctest
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from docs_support import DOCS, Block, Run, blocks, prepare, shape
from page_drivers import DRIVERS

if TYPE_CHECKING:
    from pathlib import Path

PAGES = ["getting-started", "maps", "streams", "attaching", "errors", "tools"]

# Not run: how to install (a test of the packaging does) and drawings that a unit test compares.
STATIC = {"sh", "text"}


@pytest.mark.parametrize("page", PAGES)
def test_page(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    session: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(DOCS / f"{page}.md"):
        where = f"{page}.md:{block.line}"
        if block.language in {"c", "python"}:
            assert re.fullmatch(r"[\w.-]+", block.name), f"{where}: the block names no file"
            (tmp_path / block.name).write_text(block.text)
        elif block.language == "console":
            for command, expected in block.steps():
                run_command(page, command, expected, tmp_path)
        elif block.language == "pycon":
            run_session(block, session, where)
        else:
            assert block.language in STATIC, f"{where}: what is {block.language!r}?"


def run_command(page: str, command: str, expected: list[str], folder: Path) -> None:
    """Run a command of a page and compare what it prints, to the letter unless it is driven."""
    driver = DRIVERS.get((page, command))
    if driver is None:
        with Run(command, folder) as run:
            assert run.rest() == expected, command
        return
    printed = driver(command, folder)
    assert shape(printed) == shape([line.removeprefix("^C") for line in expected]), command


def run_session(block: Block, session: dict[str, object], where: str) -> None:
    """Type in a session and compare every answer."""
    test = doctest.DocTestParser().get_doctest(block.text, session, where, where, block.line)
    assert test.examples, f"{where}: a session without a prompt"
    said: list[str] = []
    runner = doctest.DocTestRunner(
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, verbose=False
    )
    failed, _ = runner.run(test, out=said.append, clear_globs=False)
    session.update(test.globs)
    assert not failed, "".join(said)


def test_unprivileged_means_unprivileged(tmp_path: Path) -> None:
    command = "grep CapEff /proc/self/status"
    with Run(command, tmp_path) as plain, Run(f"sudo {command}", tmp_path) as root:
        assert int(plain.rest()[0].split()[1], 16) == 0
        assert int(root.rest()[0].split()[1], 16) != 0
    assert subprocess.run(["true"], check=True).returncode == 0
