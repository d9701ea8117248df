"""Files that are written are read, in both byte orders; stripping keeps what a loader reads."""

from __future__ import annotations

from typing import Any

from fuzz.elf_writer import ElfWriter, swapped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skep.asm.instruction import Instruction, encode
from skep.elf.reader import SHF_ALLOC, STT_OBJECT, ElfFile
from skep.elf.strip import strip_debug
from skep.errors import SkepError
from skep.object.spec import ObjectSpec

CALM = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
ORDERS = st.sampled_from(["little", "big"])
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
DATA = st.lists(st.tuples(NAMES, st.binary(max_size=40)), max_size=5)
EXIT = Instruction(0x95)
MOVES = st.builds(Instruction, st.just(0xB7), st.integers(0, 9), imm=st.integers(0, 1 << 30))
PROGRAMS = st.lists(st.lists(MOVES, max_size=5), min_size=1, max_size=5)


def written(order: Any, data: list[tuple[str, bytes]], programs: list[list[Instruction]]) -> bytes:
    file = ElfWriter(order)
    for name, body in data:
        file.section(f".data.{name}", body, flags=SHF_ALLOC)
        file.section(f".debug_{name}", body[::-1])
    for number, moves in enumerate(programs):
        section = file.code("socket", encode([*moves, EXIT], order))
        file.symbol(f"p{number}", section)
    if data:
        file.symbol("variable", 1, type=STT_OBJECT)
    return file.build()


@given(ORDERS, DATA, PROGRAMS)
@CALM
def test_what_is_written_is_read(
    order: str, data: list[tuple[str, bytes]], programs: list[list[Instruction]]
) -> None:
    raw = written(order, data, programs)
    elf = ElfFile(raw)
    assert elf.byteorder == order
    for at, (name, body) in enumerate(data):
        assert elf.sections[2 * at + 1].name == f".data.{name}"
        assert bytes(elf.data(elf.sections[2 * at + 1])) == body
    names = [f"p{number}" for number in range(len(programs))]
    assert [symbol.name for symbol in elf.symbols][1:] == names + ["variable"] * bool(data)
    spec = ObjectSpec.from_bytes(raw)
    assert list(spec.programs) == names
    for name, moves in zip(names, programs, strict=True):
        assert spec.programs[name].code.instructions() == [*moves, EXIT]


@given(ORDERS, DATA, PROGRAMS)
@CALM
def test_stripping_keeps_what_a_loader_reads(
    order: str, data: list[tuple[str, bytes]], programs: list[list[Instruction]]
) -> None:
    raw = written(order, data, programs)
    stripped = strip_debug(raw)
    assert strip_debug(stripped) == stripped
    elf = ElfFile(stripped)
    assert not any(section.name.startswith(".debug_") for section in elf.sections)
    before, after = ObjectSpec.from_bytes(raw), ObjectSpec.from_bytes(stripped)
    assert sorted(before.programs) == sorted(after.programs)
    for name, program in before.programs.items():
        assert after.programs[name].code.data == program.code.data
    contents = [(spec.value_size, spec.contents) for spec in before.maps.values()]
    assert [(spec.value_size, spec.contents) for spec in after.maps.values()] == contents


@given(ORDERS, DATA, PROGRAMS)
@CALM
def test_the_byte_order_says_nothing_about_the_object(
    order: str, data: list[tuple[str, bytes]], programs: list[list[Instruction]]
) -> None:
    raw = written(order, data, programs)
    other = swapped(raw)
    assert swapped(other) == raw
    here, there = ObjectSpec.from_bytes(raw), ObjectSpec.from_bytes(other)
    assert here.byteorder != there.byteorder
    for name, program in here.programs.items():
        assert there.programs[name].code.instructions() == program.code.instructions()


@given(
    ORDERS,
    DATA,
    PROGRAMS,
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    st.floats(0, 1),
)
@CALM
def test_damaged_files_raise_only_our_errors(
    order: str,
    data: list[tuple[str, bytes]],
    programs: list[list[Instruction]],
    damage: list[tuple[float, int]],
    cut: float,
) -> None:
    raw = bytearray(written(order, data, programs))
    for where, value in damage:
        raw[int(where * len(raw))] = value
    for each in (bytes(raw), bytes(raw[: int(cut * len(raw))])):
        for read in (ObjectSpec.from_bytes, strip_debug):
            try:
                read(each)
            except SkepError as error:
                assert str(error)  # noqa: PT017  that it is ours, and says something
