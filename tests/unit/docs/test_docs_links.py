"""What the pages refer to exists: files, sections, commands, public names."""

from __future__ import annotations

import builtins
import re
import tomllib
from pathlib import Path

import pytest

import skep
from skep import errors, links
from skep.cli.commands import COMMANDS
from skep.tools import SUMMARIES

ROOT = Path(__file__).resolve().parents[3]
PAGES = [
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "examples").glob("*.md")),
]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# [text](target), ![text](target), [text](target "title"), <img src="target">, [label]: target
LINK = re.compile(
    r'\]\(([^)\s]+)(?: "[^"]*")?\)|(?:src|href)="([^"]+)"|^\[[^]]+\]: (\S+)', re.MULTILINE
)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """Return *page* without its fenced code."""
    return FENCE.sub("", page.read_text())


def targets(page: Path) -> list[str]:
    """Return what *page* links to, outside of its code."""
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    return ["".join(groups) for groups in LINK.findall(text)]


def anchors(page: Path) -> set[str]:
    """Return the names of a page's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    made = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", prose(page), re.MULTILINE):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        plain = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        times = found.get(plain, 0)
        found[plain] = times + 1
        made.add(f"{plain}-{times}" if times else plain)
    return made


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in targets(page):
        if re.match(r"[a-z]+:", target):
            continue  # another site; nothing here depends on it being up
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists():
            broken.append(f"{target}: no such file")
        elif ROOT not in there.parents:
            broken.append(f"{target}: outside of the project")
        elif anchor and (there.suffix != ".md" or anchor not in anchors(there)):
            broken.append(f"{target}: no such section")
    assert not broken


def test_anchors_are_githubs() -> None:
    found = anchors(ROOT / "docs" / "writing-bpf.md")
    assert {"writing-bpf-programs", "kernel-memory-co-re"} <= found


def test_every_page_is_linked_from_the_first_ones() -> None:
    reached = {ROOT / "README.md", ROOT / "docs" / "getting-started.md", ROOT / "CONTRIBUTING.md"}
    waiting = list(reached)
    while waiting:
        page = waiting.pop()
        for target in targets(page):
            path = (page.parent / target.partition("#")[0]).resolve()
            if path.suffix == ".md" and path.is_file() and path not in reached:
                reached.add(path)
                waiting.append(path)
    assert {page for page in PAGES if page.parent.name == "docs"} <= reached


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_exist(page: Path) -> None:
    used = set(re.findall(r"(?:^\$ |`|/bin/|sudo )skep ([a-z]+)", page.read_text(), re.MULTILINE))
    assert used <= {*COMMANDS, *SUMMARIES}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_public_names_exist(page: Path) -> None:
    text = page.read_text()
    kinds = set(re.findall(r"skep\.errors\.([A-Z]\w+)|\b([A-Z]\w+(?:Error|Errors))\b", text))
    own = {one or other for one, other in kinds} - set(dir(builtins))
    assert own <= set(dir(errors))
    assert set(re.findall(r"(?:skep\.|\b)links\.([a-z_]+)\(", text)) <= set(links.__all__)
    assert set(re.findall(r"\bskep\.([A-Z]\w+)", text)) <= set(skep.__all__)


def test_the_tree_of_errors_is_the_one_in_the_code() -> None:
    page = (ROOT / "docs" / "errors.md").read_text()
    drawn = re.search(r"```text\n(SkepError\n.*?)```", page, re.DOTALL)
    assert drawn
    described = errors.__doc__ or ""
    lines = [line.strip() for line in drawn[1].splitlines()]
    assert lines == [line.strip() for line in described.splitlines() if line.strip() in lines]
    drawn_names = set(re.findall(r"\b[A-Z]\w+Error\b", re.sub(r"\(\w+\)", "", drawn[1])))
    public = {
        one.__name__
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, errors.SkepError)
    }
    assert drawn_names == public - {"LoadErrors"}


def test_extras_of_the_installation_exist() -> None:
    with open(ROOT / "pyproject.toml", "rb") as file:
        extras = set(tomllib.load(file)["project"]["optional-dependencies"])
    for page in PAGES:
        for listed in re.findall(r"skep\[([a-z,]+)\]", page.read_text()):
            assert set(listed.split(",")) <= extras, name(page)
