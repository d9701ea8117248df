"""Every block of the pages is executed: files built, commands run, sessions typed in."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
from pathlib import Path

import pytest
from docs_support import DOCS, ROOT, Block, Run, blocks, prepare, shape
from page_drivers import DRIVERS

PAGES = [
    "getting-started",
    "maps",
    "map-types",
    "bindings",
    "streams",
    "attaching",
    "errors",
    "tools",
    "commands",
    "btf",
    "layout",
    "externs",
    "assembler",
    "loading",
    "types",
    "misreadings",
]

PIN = "/sys/fs/bpf/callers_of_the_docs"

# Not run: how to install (a test of the packaging does) and drawings that a unit test compares.
STATIC = {"sh", "text"}


@pytest.mark.usefixtures("system_bpffs")
@pytest.mark.parametrize("page", PAGES)
def test_page(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # as Python's prompt has it
    session: dict[str, object] = {"__name__": "__main__"}
    Path(PIN).unlink(missing_ok=True)  # of a run that was killed
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
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    failed, _ = runner.run(test, out=said.append, clear_globs=False)
    session.update(test.globs)
    assert not failed, "".join(said)


def test_unprivileged_means_unprivileged(tmp_path: Path) -> None:
    command = "grep CapEff /proc/self/status"
    with Run(command, tmp_path) as plain, Run(f"sudo {command}", tmp_path) as root:
        assert int(plain.rest()[0].split()[1], 16) == 0
        assert int(root.rest()[0].split()[1], 16) != 0
    assert subprocess.run(["true"], check=True).returncode == 0


def test_readme(tmp_path: Path) -> None:
    """The program of the first page: its files are named by their first lines."""
    prepare(tmp_path)
    for block in blocks(ROOT / "README.md"):
        name = re.match(r"(?://|#) (\S+)\n", block.text)
        assert name, f"README.md:{block.line}: the block names no file"
        (tmp_path / name[1]).write_text(block.text)
    with Run(".venv/bin/skep build slow.bpf.c", tmp_path) as run:
        assert run.rest() == ["slow.bpf.o"]
    with Run("sudo .venv/bin/python slow.py", tmp_path) as run:
        *batch, stats, count, counts = run.rest()
    started = re.search(r"\[([\d ]+)\] \[(.*)\]", " ".join(batch))
    assert started
    assert "b'sh'" in started[2]
    assert len(started[1].split()) == len(started[2].split())
    assert re.match(r"<StreamStats (\d+) produced = \1 delivered \+ 0 lost \+ 0 pending>", stats)
    assert int(count) >= 1
    users, numbers = re.findall(r"\[([\d ]+)\]", counts)  # two columns
    assert dict(zip(users.split(), numbers.split(), strict=True))[str(os.getuid())] == count
