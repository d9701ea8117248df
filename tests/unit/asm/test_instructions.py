from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep import asm
from skep.asm.code import Code, CoreRecord, Reference
from skep.asm.instruction import PSEUDO_MAP_FD
from skep.errors import FormatError, RangeError

if TYPE_CHECKING:
    from skep.asm.instruction import ByteOrder

FIELDS = st.builds(
    asm.Instruction,
    opcode=st.integers(0, 255),
    dst=st.integers(0, 15),
    src=st.integers(0, 15),
    offset=st.integers(-(1 << 15), (1 << 15) - 1),
    imm=st.integers(-(1 << 31), (1 << 31) - 1),
)


@given(st.lists(FIELDS, max_size=5), st.sampled_from(["little", "big"]))
def test_what_is_encoded_is_decoded(instructions: list[asm.Instruction], order: ByteOrder) -> None:
    data = asm.encode(instructions, order)
    assert len(data) == 8 * len(instructions)
    assert asm.decode(data, order) == instructions


def test_the_bytes_are_those_of_the_standard() -> None:
    # Written by hand from RFC 9669, figure of section 3.1.
    instruction = asm.Instruction(0x61, dst=1, src=10, offset=-4, imm=0x01020304)
    assert instruction.encode("little") == bytes.fromhex("61a1fcff04030201")
    assert instruction.encode("big") == bytes.fromhex("611afffc01020304")


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (asm.mov(3, -1), "b703000000000000"[:8] + "ffffffff"),
        (asm.mov(6, asm.R1), "bf16000000000000"),
        (asm.add(2, -4), "07020000fcffffff"),
        (asm.load(4, 0, 10, -4), "61a0fcff00000000"),
        (asm.store(8, 10, -16, asm.R1), "7b1af0ff00000000"),
        (asm.jump(5), "0500050000000000"),
        (asm.jump_if(0, "!=", 7, 2), "5500020007000000"),
        (asm.call(14), "850000000e000000"),
        (asm.exit_(), "9500000000000000"),
    ],
)
def test_builders(made: asm.Instruction, expected: str) -> None:
    assert made.encode() == bytes.fromhex(expected)


def test_ld_imm64_takes_two_slots() -> None:
    made = asm.encode(asm.ld_imm64(1, 0x1122334455667788, src=PSEUDO_MAP_FD))
    assert made == bytes.fromhex("1811000088776655") + bytes.fromhex("0000000044332211")
    assert asm.encode(asm.ld_imm64(1, -1))[4:8] == b"\xff" * 4


@pytest.mark.parametrize(
    "instruction",
    [
        asm.Instruction(256),
        asm.Instruction(0, dst=16),
        asm.Instruction(0, src=-1),
        asm.Instruction(0, offset=1 << 15),
        asm.Instruction(0, imm=1 << 32),
    ],
)
def test_a_field_that_does_not_fit_is_refused(instruction: asm.Instruction) -> None:
    with pytest.raises(RangeError, match="is not within"):
        instruction.encode()


def test_nonsense_is_refused() -> None:
    with pytest.raises(FormatError, match="9 bytes"):
        asm.decode(bytes(9))
    with pytest.raises(RangeError, match="1, 2, 4 or 8"):
        asm.load(3, 0, 1)
    with pytest.raises(RangeError, match="no comparison"):
        asm.jump_if(0, "=", 0, 1)
    with pytest.raises(RangeError, match="64 bits"):
        asm.ld_imm64(0, 1 << 64)


@pytest.mark.parametrize("order", ["little", "big"])
def test_code_is_edited_in_place(order: ByteOrder) -> None:
    code = Code.of([asm.mov(0, 1), *asm.ld_imm64(1, 5), asm.exit_()], order)
    assert len(code) == 4
    code.set_imm(0, 0xFFFFFFFF)
    assert code.imm(0) == -1
    code.put(3, asm.call(6))
    assert code.instructions() == [asm.mov(0, -1), *asm.ld_imm64(1, 5), asm.call(6)]


def test_appended_code_brings_its_tables() -> None:
    first = Code.of([asm.mov(0, 1), asm.exit_()])
    first.functions, first.lines = [(0, 7)], [(0, 1, 2, 3)]
    second = Code.of([*asm.ld_imm64(1, 0), asm.exit_()])
    second.functions, second.lines = [(0, 8)], [(0, 4, 5, 6), (2, 4, 5, 7)]
    second.references = [Reference(0, "map", "counts", 4)]
    second.core = [CoreRecord(2, 9, "0:1", 0)]
    assert first.append(second) == 2
    assert len(first) == 5
    assert first.functions == [(0, 7), (2, 8)]
    assert first.lines == [(0, 1, 2, 3), (2, 4, 5, 6), (4, 4, 5, 7)]
    (reference,) = first.references
    assert (reference.index, reference.kind, reference.name, reference.offset) == (
        2, "map", "counts", 4,
    )  # fmt: skip
    (record,) = first.core
    assert (record.index, record.type_id, record.access, record.kind) == (4, 9, "0:1", 0)
    assert second.references[0].index == 0  # the source is untouched


def test_a_copy_is_independent() -> None:
    code = Code.of([asm.mov(0, 1), asm.exit_()])
    other = code.copy()
    other.set_imm(0, 9)
    other.lines.append((0, 0, 0, 0))
    assert code.imm(0) == 1
    assert code.lines == []
