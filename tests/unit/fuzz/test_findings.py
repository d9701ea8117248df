"""What fuzzing has found once is not found again: every kept input through its target.

``make fuzz`` puts an input that did what must not happen into ``fuzz/findings/TARGET/``, and there
it stays. No fuzzer is needed here.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz.mutations import MUTATIONS
from fuzz.seeds import every_kind, seeds
from fuzz.targets import TARGETS
from measured import MAX_MEMORY, MAX_SECONDS, measured

from skep.btf.btf import Btf
from skep.btf.types import Kind
from skep.object.spec import ObjectSpec

FINDINGS = Path(__file__).parents[3] / "fuzz" / "findings"
INPUTS = sorted(path for path in FINDINGS.glob("*/*") if path.is_file())


def name_of(path: Path) -> str:
    return str(path.relative_to(FINDINGS))


@pytest.mark.parametrize("path", INPUTS, ids=name_of)
def test_what_was_found_stays_fixed(path: Path) -> None:
    found = measured(TARGETS[path.parent.name], path.read_bytes())
    assert found.seconds <= MAX_SECONDS
    assert found.memory <= MAX_MEMORY


def test_every_finding_has_a_target() -> None:
    assert {path.parent.name for path in INPUTS} <= set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_fine(name: str) -> None:
    made = list(seeds(name))
    assert made
    for seed in made[:20]:
        TARGETS[name](seed)


@pytest.mark.parametrize("order", ["little", "big"])
def test_the_seed_of_every_kind_has_every_kind(order: str) -> None:
    btf = Btf.from_bytes(every_kind(order))
    assert {btf.kind_of(id_) for id_ in range(len(btf))} == set(Kind)


def test_objects_in_the_other_byte_order_are_read_the_same() -> None:
    """Half of the seeds are made by turning the byte order of an object around."""
    from fuzz.seeds import ROOT

    for path in ROOT.glob("src/skep/tools/*/*.bpf.o"):
        from fuzz.elf_writer import swapped

        data = path.read_bytes()
        here, there = ObjectSpec.from_bytes(data), ObjectSpec.from_bytes(swapped(data))
        assert (here.byteorder, there.byteorder) == ("little", "big")
        assert swapped(swapped(data)) == data
        assert list(here.programs) == list(there.programs)
        assert list(here.maps) == list(there.maps)
        for name, program in here.programs.items():
            other = there.programs[name]
            assert program.code.instructions() == other.code.instructions()
            assert [r.access for r in program.code.core] == [r.access for r in other.code.core]


@pytest.mark.parametrize("name", MUTATIONS)
def test_mutations_keep_to_their_size_and_repeat(name: str) -> None:
    from random import Random

    changed = 0
    for seed in list(seeds(name))[:10]:
        for number in range(50):
            made = MUTATIONS[name](seed, Random(number), len(seed))
            assert made == MUTATIONS[name](seed, Random(number), len(seed))
            changed += made != seed
    assert changed > 100
