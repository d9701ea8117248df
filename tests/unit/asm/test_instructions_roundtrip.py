"""Instructions to bytes and back, assembled and listed, for any fields and both byte orders."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.asm import assemble, disassemble
from skep.asm.code import Code, CoreRecord, Reference
from skep.asm.instruction import LD_IMM64, SIZE, Instruction, decode, encode
from skep.asm.notation import text
from skep.asm.opcodes import instruction_version
from skep.errors import FormatError, RangeError
from skep.programs.precheck import precheck

ORDERS = st.sampled_from(["little", "big"])
U4 = st.integers(0, 15)
S16 = st.integers(-(1 << 15), (1 << 15) - 1)
S32 = st.integers(-(1 << 31), (1 << 31) - 1)
INSTRUCTIONS = st.builds(Instruction, st.integers(0, 255), U4, U4, S16, S32)

Order = Literal["little", "big"]


@given(st.lists(INSTRUCTIONS), ORDERS)
def test_what_is_encoded_is_decoded(instructions: list[Instruction], order: Order) -> None:
    data = encode(instructions, order)
    assert len(data) == SIZE * len(instructions)
    assert decode(data, order) == instructions
    code = Code(data, order)
    assert [code.at(index) for index in range(len(code))] == instructions


@given(st.binary(max_size=200), ORDERS)
def test_what_is_decoded_is_encoded(data: bytes, order: Order) -> None:
    if len(data) % SIZE:
        with pytest.raises(FormatError, match="no whole number"):
            decode(data, order)
        data = data[: -(len(data) % SIZE)]
    assert encode(decode(data, order), order) == data


@given(INSTRUCTIONS)
def test_the_byte_orders_differ_in_fields_only(instruction: Instruction) -> None:
    little, big = instruction.encode("little"), instruction.encode("big")
    assert little[0] == big[0]
    assert little[1] == (big[1] & 15) << 4 | big[1] >> 4
    assert little[2:4] == big[2:4][::-1]
    assert little[4:] == big[4:][::-1]


@given(INSTRUCTIONS, st.integers(0, (1 << 32) - 1))
def test_an_immediate_may_be_written_without_a_sign(instruction: Instruction, imm: int) -> None:
    unsigned = Instruction(
        instruction.opcode, instruction.dst, instruction.src, instruction.offset, imm
    )
    (read,) = decode(unsigned.encode())
    assert read.imm & 0xFFFFFFFF == imm


TOO_LARGE = [
    (256, 0, 0, 0, 0),
    (0, 16, 0, 0, 0),
    (0, 0, -1, 0, 0),
    (0, 0, 0, 1 << 15, 0),
    (0, 0, 0, 0, 1 << 32),
    (0, 0, 0, 0, -(1 << 31) - 1),
]


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("fields", TOO_LARGE)
def test_what_does_not_fit_is_refused(fields: tuple[int, ...], order: Order) -> None:
    with pytest.raises(RangeError, match="is not within"):
        Instruction(*fields).encode(order)


@given(st.lists(INSTRUCTIONS, max_size=30), ORDERS)
def test_what_is_assembled_is_the_code(instructions: list[Instruction], order: Order) -> None:
    code = assemble(instructions, byteorder=order).code
    assert code.instructions() == instructions
    assert code.byteorder == order


@given(st.lists(INSTRUCTIONS, max_size=30), ORDERS)
def test_anything_can_be_listed_and_checked(instructions: list[Instruction], order: Order) -> None:
    code = Code.of(instructions, order)
    lines = disassemble(code, labels=False)
    # One line for each instruction; a ld_imm64 takes two slots.
    index = 0
    for line in lines:
        assert line.startswith(f"{index:4}: ")
        wide = instructions[index].opcode == LD_IMM64 and index + 1 < len(instructions)
        index += 2 if wide else 1
    assert index == len(instructions)
    for each in instructions:
        assert text(each)
        assert instruction_version(each) in range(5)
    for problem in precheck(code):
        assert problem.index <= len(code)
        assert problem.message


@given(st.lists(INSTRUCTIONS, min_size=1, max_size=20), st.data())
def test_tables_move_with_the_code(instructions: list[Instruction], data: st.DataObject) -> None:
    places = st.integers(0, len(instructions) - 1)
    code = Code.of(instructions)
    code.references = [Reference(n, "map", f"m{n}") for n in data.draw(st.lists(places))]
    code.core = [CoreRecord(n, n + 1, "0", 0) for n in data.draw(st.lists(places))]
    code.lines = [(n, 1, 2, n << 10) for n in data.draw(st.lists(places))]
    code.functions = [(0, 7)]
    joined = code.copy()
    start = joined.append(code)
    assert start == len(instructions)
    assert joined.instructions() == instructions * 2
    for table, own in ((joined.references, code.references), (joined.core, code.core)):
        indexes = [row.index for row in own]
        assert [row.index for row in table] == indexes + [n + start for n in indexes]
    assert joined.lines == code.lines + [(n + start, *rest) for n, *rest in code.lines]
    assert joined.functions == [(0, 7), (start, 7)]
    assert code.data == encode(instructions)
