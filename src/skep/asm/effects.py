"""What an instruction does to registers: which it reads, and which it writes."""

from __future__ import annotations

from skep.asm import opcodes as op
from skep.asm.instruction import (
    ABS,
    ALU,
    ALU64,
    ATOMIC,
    CALL,
    CLASS_MASK,
    EXIT,
    IND,
    JA,
    LD,
    LD_IMM64,
    LDX,
    MODE_MASK,
    SOURCE_MASK,
    ST,
    STX,
    Instruction,
)

CLOBBERED = (1, 2, 3, 4, 5)
"""What a call leaves without a value."""


def reads(i: Instruction) -> tuple[int, ...]:
    """Return the registers that a valid instruction reads, arguments of calls left out."""
    kind, code = i.opcode & CLASS_MASK, i.opcode
    by_register = bool(code & SOURCE_MASK)
    if kind in (ALU, ALU64):
        what = op.operation(i)
        if what == op.MOV:
            return (i.src,) if by_register else ()
        if what in (op.END, op.NEG) or not by_register:
            return (i.dst,)
        return (i.dst, i.src)
    if kind == LDX:
        return (i.src,)
    if kind == ST:
        return (i.dst,)
    if kind == STX:
        if code & MODE_MASK == ATOMIC:
            if i.imm == op.LOAD_ACQUIRE:
                return (i.src,)
            if i.imm == op.CMPXCHG:
                return (i.dst, i.src, 0)
        return (i.dst, i.src)
    if kind == LD:
        return {ABS: (6,), IND: (6, i.src)}.get(code & MODE_MASK, ())
    if code in (CALL, EXIT, JA, op.JA32, op.MAY_GOTO):
        return ()
    if code == op.CALL_REGISTER:
        return (i.dst,)
    return (i.dst, i.src) if by_register else (i.dst,)


def writes(i: Instruction) -> int | None:
    """Return the register that a valid instruction gives a value; None for none."""
    kind = i.opcode & CLASS_MASK
    if kind in (ALU, ALU64, LDX) or i.opcode == LD_IMM64:
        return i.dst
    if kind == LD or i.opcode == CALL:
        return 0
    if kind == STX and i.opcode & MODE_MASK == ATOMIC:
        if i.imm == op.LOAD_ACQUIRE:
            return i.dst
        if i.imm == op.CMPXCHG:
            return 0
        return i.src if i.imm & op.FETCH else None
    return None


def clobbers(i: Instruction) -> bool:
    """Whether r1 to r5 have no value after it: calls, and loads from packets."""
    kind = i.opcode & CLASS_MASK
    return i.opcode in (CALL, op.CALL_REGISTER) or (kind == LD and i.opcode != LD_IMM64)


def access(i: Instruction) -> tuple[int, int, int, str] | None:
    """Return (base register, offset, bytes, "reads" or "writes") of a memory access, else None."""
    kind = i.opcode & CLASS_MASK
    if kind == LDX:
        return i.src, i.offset, op.width(i), "reads"
    if kind == STX and i.opcode & MODE_MASK == ATOMIC and i.imm == op.LOAD_ACQUIRE:
        return i.src, i.offset, op.width(i), "reads"
    if kind in (ST, STX):
        return i.dst, i.offset, op.width(i), "writes"
    return None
