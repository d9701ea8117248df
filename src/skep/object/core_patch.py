"""Writing CO-RE answers into instructions.

Which field of an instruction a relocation means follows from the instruction: the immediate of
arithmetic, the offset of loads and stores, the 64-bit immediate of a ld_imm64.
"""

from __future__ import annotations

from skep.asm.instruction import (
    ALU,
    ALU64,
    CALL,
    CLASS_MASK,
    LD_IMM64,
    LDX,
    SIZE_BITS,
    SIZE_BYTES,
    SIZE_MASK,
    SOURCE_MASK,
    ST,
    STX,
    Instruction,
    K,
)
from skep.errors import RelocationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.asm.code import Code, CoreRecord
    from skep.object.core import Answer, Resolver

POISON = 0xBAD2310
"""The helper number that stands for "this relocation failed", as libbpf writes it: no kernel has
such a helper, and a verifier's log with it is recognised by whoever reads it."""


class Poisoned:
    """Why the instruction at an index was poisoned: what its `Answer` was about, the reason."""

    __slots__ = ("field", "reason", "subject", "type")

    def __init__(self, answer: Answer, reason: str) -> None:
        self.type = answer.type
        self.field = answer.field
        self.subject = answer.subject
        self.reason = reason

    @property
    def sentence(self) -> str:
        """The whole as a sentence without its subject, "needs field x of struct y, but ..."."""
        return f"needs {self.subject}, but {self.reason}"


def relocate(code: Code, resolver: Resolver, program: str) -> dict[int, Poisoned]:
    """Apply all CO-RE records of *code* in place; return the poisoned instructions by index.

    Raises `RelocationError` when an instruction is not what its record says or cannot hold the
    answer, and `BtfError` when a BTF is malformed.
    """
    poisoned: dict[int, Poisoned] = {}
    for record in code.core:
        answer = resolver.resolve(record.type_id, record.access, record.kind)
        reason = answer.reason or patch(code, record, answer, program)
        if reason:
            _poison(code, record.index)
            poisoned[record.index] = Poisoned(answer, reason)
    return poisoned


def _poison(code: Code, index: int) -> None:
    bad = Instruction(CALL, imm=POISON)
    if code.data[index * 8] == LD_IMM64:
        code.put(index + 1, bad)
    code.put(index, bad)


def patch(code: Code, record: CoreRecord, answer: Answer, program: str) -> str:
    """Write *answer* into the instruction of *record*; return why it does not fit, "" when done.

    Raises `RelocationError` when the instruction is not what the record says.
    """
    index = record.index
    instruction = code.at(index)
    opcode = instruction.opcode
    kind = opcode & CLASS_MASK
    if kind in (ALU, ALU64):
        if opcode & SOURCE_MASK != K:
            raise _refused(program, record, answer, "the instruction has no immediate operand")
        _expect(instruction.imm, 32, answer, program, record)
        if not -(1 << 31) <= answer.value < 1 << 32:
            return f"its value {answer.value} does not fit the instruction's 32 bits"
        code.set_imm(index, answer.value)
        return ""
    if kind in (LDX, ST, STX):
        _expect(instruction.offset, 16, answer, program, record)
        if answer.value > 0x7FFF:
            return f"its value {answer.value} does not fit the instruction's offset"
        if answer.size:
            if answer.resize_problem:
                return answer.resize_problem
            width = SIZE_BYTES[opcode & SIZE_MASK]
            if width != answer.local_size:
                raise _refused(program, record, answer, f"the instruction moves {width} bytes")
            bits = SIZE_BITS.get(answer.size)
            if bits is None:
                return f"no instruction moves its {answer.size} bytes"
            instruction.opcode = opcode & ~SIZE_MASK | bits
        instruction.offset = answer.value
        code.put(index, instruction)
        return ""
    if opcode == LD_IMM64:
        if index + 1 >= len(code):
            raise _refused(program, record, answer, "the instruction is cut in half")
        low, high = instruction.imm & 0xFFFFFFFF, code.imm(index + 1) & 0xFFFFFFFF
        _expect(high << 32 | low, 64, answer, program, record)
        code.set_imm(index, answer.value)
        code.set_imm(index + 1, answer.value >> 32)
        return ""
    raise _refused(
        program, record, answer, f"an instruction with opcode {opcode:#04x} has no such field"
    )


def _expect(found: int, bits: int, answer: Answer, program: str, record: CoreRecord) -> None:
    """Check that the compiler wrote what the record implies: the tables fit the code."""
    mask = (1 << bits) - 1
    if answer.local is not None and found & mask != answer.local & mask:
        raise _refused(
            program, record, answer, f"the instruction has {found}, expected {answer.local}"
        )


def _refused(program: str, record: CoreRecord, answer: Answer, reason: str) -> RelocationError:
    message = (
        f"program {program!r}: the CO-RE relocation of {answer.subject} does not fit"
        f" instruction {record.index}: {reason}"
    )
    return RelocationError(
        message,
        hint="was the object changed after it was compiled?",
        program=program,
        type=answer.type,
        field=answer.field,
        reason=reason,
    )
