"""Generated modules under mypy --strict and ruff: those of all real objects, in one run of each."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bound_source import SOURCE

import skep
from skep.bindings import generate

if TYPE_CHECKING:
    from corpus_case import Case

ROOT = Path(__file__).parents[3]
TOOLS = sorted(ROOT.glob("src/skep/tools/*/*.bpf.o"))

# What a person may write with the module, and what a type checker must know of it.
USE = """
from typing import Any, assert_type

import rich
from skep import Links, Map, Program
from skep.maps import ArrayMap, Queue

with rich.open(only_pid=1, max_entries={"events_by_pid": 5, "class_": 3}, log_level=1) as p:
    assert_type(p, rich.Opened)
    assert_type(p.maps.events_by_pid, Map[int, rich.event])
    assert_type(p.maps.events_by_pid[1], rich.event)
    assert_type(p.maps.events_by_pid[1].at[0].halves.second, int)
    assert_type(p.maps.events_by_pid[1].comm, str)
    assert_type(p.maps.events_by_pid[1].digest, bytes)
    assert_type(p.maps.events_by_pid[1].either.half, tuple[int, ...])
    assert_type(p.maps.class_[rich.odd(1, 2, 3, 4, 5, 6, 7, 8)].lambda_, int)
    assert_type(p.maps.per_cpu, ArrayMap[tuple[rich.per_cpu_value, ...]])
    assert_type(sum(each.hits for each in p.maps.per_cpu[0]), int)
    assert_type(p.maps.queue, Queue[rich.place])
    assert_type(p.maps.outer[0][1], rich.place)
    assert_type(next(p.maps.ring.stream().records()), rich.event)
    assert_type(next(p.maps.plain_ring.stream(record="event").records()), Any)
    assert_type(p.variables.step.value, int)
    assert_type(p.variables.here.value, rich.place)
    assert_type(p.programs.on_getppid, Program)
    assert_type(p.attach(), Links)
    p.maps.queue.push(rich.place(port=1, halves=rich.place_halves(first=1, second=2)))
    p.variables.step.value = 3
    assert rich.state.RUNNING == p.maps.events_by_pid[1].state
rich.open(object=rich.spec(), here=rich.place(80, rich.place_halves(1, 2))).close()
"""

# What must be found wrong: the line, and a word of mypy's message.
WRONG = [
    ("rich.open(only_pid='1')", "arg-type"),
    ("rich.open(no_such=1)", "call-arg"),
    ("rich.open(max_entries={'no_such': 1})", "arg-type"),
    ("rich.open().maps.no_such", "attr-defined"),
    ("rich.open().maps.events_by_pid['1']", "index"),
    ("rich.open().maps.events_by_pid[1].no_such", "attr-defined"),
    ("rich.open().maps.queue.push(1)", "arg-type"),
    ("rich.open().maps.queue = 1", "misc"),
    ("rich.place(port=1)", "call-arg"),
    ("rich.place(port=1, halves=2)", "arg-type"),
    ("rich.place(1, rich.place_halves(1, 2)).port = 2", "misc"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The modules of the tools, of the corpus and of `bound_source`, and scripts that use one."""
    folder = tmp_path_factory.mktemp("generated")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tests" / "corpus")
        from corpus_manifest import CASES

        cases = [case for case in CASES if "ziglang" in case.compilers() and not case.linked]
        with ThreadPoolExecutor(2) as pool:
            objects = dict(zip([case.name for case in cases], pool.map(_build, cases), strict=True))
    objects |= {f"tool_{path.parent.name}": path for path in TOOLS}
    for name, path in objects.items():
        embed = name.startswith("tool_")
        text = generate(skep.ObjectSpec.from_file(path), object=f"{name}.bpf.o", embed=embed)
        (folder / f"{name}.py").write_text(text)
    import compiling

    shutil.copy(compiling.bpf(SOURCE), folder / "rich.bpf.o")
    (folder / "rich.py").write_text(generate(skep.ObjectSpec.from_file(folder / "rich.bpf.o")))
    (folder / "use.py").write_text(USE)
    (folder / "wrong.py").write_text("import rich\n" + "".join(f"{line}\n" for line, _ in WRONG))
    assert len(list(folder.glob("*.py"))) > 120
    return folder


def _build(case: Case) -> Path:
    return case.build("ziglang")


def run(*command: str | Path, cwd: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=cwd, check=False, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.timeout(900)
def test_mypy_finds_what_is_wrong_and_nothing_else(folder: Path) -> None:
    cache = ROOT / ".cache" / "mypy-bindings"
    options = ["--strict", "--python-version", "3.11", "--config-file=", "--no-error-summary"]
    options += ["--cache-dir", str(cache), "--show-error-codes", "--hide-error-context"]
    status, said = run("mypy", *options, ".", cwd=folder)
    lines = said.splitlines()
    found = [line for line in lines if line.startswith("wrong.py:") and "error:" in line]
    assert [line for line in lines if not line.startswith("wrong.py:")] == []
    assert status == 1
    for number, (text, code) in enumerate(WRONG, 2):
        about = [line for line in found if line.startswith(f"wrong.py:{number}:")]
        assert any(code in line for line in about), (text, about)


def test_ruff_has_nothing_to_say(folder: Path) -> None:
    """Under its own rules and width, and under this project's width."""
    modules = [path.name for path in folder.glob("*.py") if path.name not in {"use.py", "wrong.py"}]
    assert run("ruff", "check", "--isolated", "--ignore-noqa", *modules, cwd=folder) == (
        0, "All checks passed!\n"
    )  # fmt: skip
    for width in ("88", "100"):
        format_ = ("ruff", "format", "--isolated", "--check", "--line-length", width)
        status, said = run(*format_, *modules, cwd=folder)
        assert (status, said) == (0, f"{len(modules)} files already formatted\n")
