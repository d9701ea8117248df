"""Every object of the corpus through libbpf too: the same maps, programs and instructions.

libbpf is Debian's, through bpftool. Where the two differ, `DIFFERENCES` says why skep is right.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from corpus_differences import DIFFERENCES, Difference
from corpus_libbpf import Libbpf, by_bpftool, by_skep
from corpus_manifest import CASES, each
from needs import need_program

import skep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from corpus_case import Case


@pytest.fixture(scope="module")
def bpffs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    need_program("bpftool")
    folder = tmp_path_factory.mktemp("bpf")
    subprocess.run(["mount", "-t", "bpf", "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def libbpf() -> Libbpf:
    return Libbpf()


HERE = [case for case in CASES if not case.guests]
NONE = Difference("there is none")


@pytest.mark.parametrize(("case", "compiler"), each(CASES))
def test_sections_mean_the_same(case: Case, compiler: str, libbpf: Libbpf) -> None:
    expected = DIFFERENCES.get(case.name, NONE)
    spec = skep.ObjectSpec.from_file(case.build(compiler))
    # libbpf leaves the "?" out of a section's name.
    ours = {
        name: (each.section.removeprefix("?"), each.type, each.expected_attach_type, each.autoload)
        for name, each in spec.programs.items()
    }
    theirs = libbpf.programs(case.build(compiler))
    if theirs is None:
        assert expected.closed
        return
    assert not expected.closed
    assert ours.keys() == theirs.keys()
    assert {name for name in ours if ours[name] != theirs[name]} == {*expected.programs}


@pytest.mark.parametrize(("case", "compiler"), each(HERE))
def test_the_kernel_holds_the_same(case: Case, compiler: str, bpffs: Path) -> None:
    case.need()
    expected = DIFFERENCES.get(case.name, NONE)
    with case.spec(compiler) as spec:
        ours = by_skep(spec)
        theirs, said = by_bpftool(case.build(compiler), bpffs)
    if theirs is None:
        assert expected.refused, said
        assert expected.refused in said
        return
    assert not expected.refused
    differences = compared(ours, theirs)
    assert all(line.startswith(expected.lines) for line in differences), differences
    assert bool(differences) == bool(expected.lines)


def test_each_difference_has_a_case() -> None:
    assert DIFFERENCES.keys() <= {case.name for case in CASES}


def compared(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """List how two descriptions differ, as "place: ours, theirs"."""
    found = []
    for kind, mine in ours.items():
        for name in sorted(mine.keys() | theirs[kind].keys()):
            left, right = mine.get(name), theirs[kind].get(name)
            if left is None or right is None:
                found.append(f"{kind} {name}: only {'theirs' if left is None else 'ours'}")
                continue
            found += [
                f"{kind} {name} {what}: {left[what]}, {right[what]}"
                for what in left
                if left[what] != right[what]
            ]
    return found
