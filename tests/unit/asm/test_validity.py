"""Every instruction there is: it survives encoding, and no two are written alike."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from skep import asm
from skep.asm.effects import access, clobbers, reads, writes
from skep.asm.instruction import LD_IMM64
from skep.asm.validity import fault

Pair = tuple[asm.Instruction, asm.Instruction | None]

# Numbers that mean something in some field, and others.
OFFSETS = st.one_of(
    st.sampled_from([0, 0, 0, 1, 8, 16, 32]), st.integers(-(1 << 15), (1 << 15) - 1)
)
IMMEDIATES = st.one_of(
    st.sampled_from([0, 0, 1, 16, 32, 64, 0x41, 0x50, 0xA1, 0xE1, 0xF1, 0x100, 0x110, 1 << 16]),
    st.integers(-(1 << 31), (1 << 31) - 1),
)
ANY = st.builds(
    asm.Instruction,
    st.integers(0, 255),
    st.integers(0, 10),
    st.one_of(st.just(0), st.integers(0, 10)),
    OFFSETS,
    IMMEDIATES,
)
SECOND = st.builds(asm.Instruction, st.just(0), imm=IMMEDIATES)


@st.composite
def valid(draw: st.DrawFn) -> Pair:
    first = draw(ANY)
    second = draw(SECOND) if first.opcode == LD_IMM64 else None
    # Most numbers make no instruction; the second try has what every kind takes.
    if fault(first, second):
        first = asm.Instruction(first.opcode, first.dst, draw(st.sampled_from([0, first.src])))
    if fault(first, second):
        first = draw(st.sampled_from([asm.mov(0, draw(IMMEDIATES)), asm.exit_()]))
    return first, second


def written(pair: Pair) -> str:
    return asm.text(*pair)


@settings(max_examples=250)
@given(st.lists(valid(), min_size=1, max_size=8), st.sampled_from(["little", "big"]))
def test_valid_instructions_survive(pairs: list[Pair], order: str) -> None:
    slots = [each for pair in pairs for each in pair if each is not None]
    data = asm.encode(slots, order)  # type: ignore[arg-type]
    back = asm.decode(data, order)  # type: ignore[arg-type]
    assert back == slots
    assert asm.encode(back, order) == data  # type: ignore[arg-type]
    assert not any(written(pair).startswith(".insn") for pair in pairs)


@settings(max_examples=250)
@given(valid(), valid())
def test_what_is_written_alike_is_the_same(one: Pair, other: Pair) -> None:
    assert (written(one) == written(other)) == (one == other)


def every_opcode() -> list[asm.Instruction]:
    made = [
        asm.Instruction(opcode, 1, src, offset, imm)
        for opcode in range(256)
        for src in (0, 1, 2)
        for offset in (0, 1, 8)
        for imm in (0, 1, 16, 0x40, 0x41, 0xE1, 0xF1, 0x100, 0x110)
    ]
    return [each for each in made if not fault(each, asm.Instruction(0))]


def test_registers_that_are_used_are_registers() -> None:
    for each in every_opcode():
        assert set(reads(each)) <= set(range(11))
        assert writes(each) in {None, *range(11)}
        place = access(each)
        assert place is None or (place[0] in reads(each) and place[2] in {1, 2, 4, 8})
        assert not clobbers(each) or writes(each) in {0, None}


def test_the_instruction_set_has_as_many_opcodes_as_the_standard() -> None:
    """Counted by hand in RFC 9669 and the kernel, opcode bytes of each class.

    LD: ld_imm64, 3 sizes of ABS and IND. LDX: 4 sizes and 3 with a sign. ST: 4. STX: 4 plain and
    4 atomic (byte and half only for acquire and release). ALU: 13 operations, 12 of them with both
    sources (neg has one); ALU64: the same, but one byte swap. JMP: 11 comparisons with both
    sources, ja, call, exit and may_goto; JMP32: the comparisons and gotol.
    """
    opcodes = {each.opcode for each in every_opcode()}
    opcodes |= {code for code in range(256) if not fault(asm.Instruction(code), asm.Instruction(0))}
    by_class = [sum(code & 7 == kind for code in opcodes) for kind in range(8)]
    assert by_class == [7, 7, 4, 8, 27, 26, 23, 26]
