"""Which bytes are instructions: opcodes that exist, fields that must be zero.

Sources: RFC 9669; kernel/bpf/verifier.c of Linux 6.18 (resolve_pseudo_ldimm64, check_alu_op,
do_check), which insists on zero in fields that an instruction does not use.
"""

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
    MEM,
    MEMSX,
    MODE_MASK,
    PSEUDO_KFUNC_CALL,
    PSEUDO_MAP_IDX_VALUE,
    SIZE_MASK,
    SOURCE_MASK,
    ST,
    STX,
    Instruction,
)

_WIDE = 0x18  # BPF_DW, eight bytes
_RESERVED = "it uses {}, which must be 0"


def fault(instruction: Instruction, second: Instruction | None = None) -> str:
    """Say why *instruction* is none that a kernel takes, as a clause; "" when it is one.

    *second* is the next slot, which a ld_imm64 needs.
    """
    if instruction.dst > 10 or instruction.src > 10:
        return f"there is no register r{max(instruction.dst, instruction.src)}"
    kind = instruction.opcode & CLASS_MASK
    if kind in (ALU, ALU64):
        return _arithmetic(instruction)
    if kind == LD:
        return _constant(instruction, second)
    if kind in _MEMORY:
        return _memory(instruction)
    return _jump(instruction)


_MEMORY = (LDX, ST, STX)


def _unknown(i: Instruction) -> str:
    return f"there is no instruction with opcode {i.opcode:#04x}"


def _zero(i: Instruction, *fields: str) -> str:
    used = [name for name in fields if getattr(i, name)]
    return _RESERVED.format(" and ".join(used)) if used else ""


def _arithmetic(i: Instruction) -> str:
    wide, by_register = i.opcode & CLASS_MASK == ALU64, bool(i.opcode & SOURCE_MASK)
    what = op.operation(i)
    if what > op.END:
        return _unknown(i)
    if what == op.END:
        if i.imm not in (16, 32, 64) or (wide and by_register):
            return _unknown(i) if wide and by_register else f"it swaps {i.imm} bits, not 16, 32, 64"
        return _zero(i, "src", "offset")
    if what == op.NEG:
        return _unknown(i) if by_register else _zero(i, "src", "offset", "imm")
    if what == op.MOV and by_register:
        return _move(i, wide=wide)
    if i.offset not in ((0, 1) if what in (op.DIV, op.MOD) else (0,)):
        return _zero(i, "offset")
    if by_register:
        return _zero(i, "imm")
    if what in (op.LSH, op.RSH, op.ARSH) and not 0 <= i.imm < (64 if wide else 32):
        return f"it shifts {64 if wide else 32} bits by {i.imm}"
    return _zero(i, "src")


def _move(i: Instruction, *, wide: bool) -> str:
    if wide and i.offset == op.CAST:
        return "" if i.imm in (1, 1 << 16) else "it casts between address spaces that do not exist"
    if i.offset not in ((0, 8, 16, 32) if wide else (0, 8, 16)):
        return f"it sign-extends {i.offset} bits"
    return _zero(i, "imm")


def _constant(i: Instruction, second: Instruction | None) -> str:
    if i.opcode == LD_IMM64:
        if second is None:
            return "its second half is missing"
        if second.opcode or second.dst or second.src or second.offset:
            return "what follows is not its second half"
        if i.src > PSEUDO_MAP_IDX_VALUE:
            return f"a ld_imm64 of kind {i.src} does not exist"
        return _zero(i, "offset")
    mode, size = i.opcode & MODE_MASK, i.opcode & SIZE_MASK
    if mode not in (ABS, IND) or size == _WIDE:
        return _unknown(i)
    return _zero(i, "dst", "offset", *(["src"] if mode == ABS else []))


def _memory(i: Instruction) -> str:
    kind, mode = i.opcode & CLASS_MASK, i.opcode & MODE_MASK
    if kind == LDX:
        if mode not in (MEM, MEMSX) or (mode == MEMSX and i.opcode & SIZE_MASK == _WIDE):
            return _unknown(i)
        return _zero(i, "imm")
    if kind == ST:
        return _unknown(i) if mode != MEM else _zero(i, "src")
    if mode == MEM:
        return _zero(i, "imm")
    if mode != ATOMIC:
        return _unknown(i)
    if i.imm in (op.LOAD_ACQUIRE, op.STORE_RELEASE):
        return ""
    if op.width(i) not in (4, 8):
        return f"an atomic operation of {op.width(i)} bytes does not exist"
    known = i.imm in (op.XCHG, op.CMPXCHG) or i.imm & ~op.FETCH in op.ATOMICS
    return "" if known else f"there is no atomic operation {i.imm:#x}"


def _jump(i: Instruction) -> str:
    code = i.opcode
    if code == CALL:
        if i.src > PSEUDO_KFUNC_CALL:
            return f"a call of kind {i.src} does not exist"
        return _zero(i, "dst", *([] if i.src == PSEUDO_KFUNC_CALL else ["offset"]))
    if code == EXIT:
        return _zero(i, "dst", "src", "offset", "imm")
    if code == JA:
        return _zero(i, "dst", "src", "imm")
    if code == op.JA32:
        return _zero(i, "dst", "src", "offset")
    if code == op.MAY_GOTO:
        return _zero(i, "dst", "src", "imm")
    if code == op.CALL_REGISTER:
        return "no kernel takes calls through a register"
    if op.operation(i) not in op.COMPARISONS:
        return _unknown(i)
    return _zero(i, "imm" if code & SOURCE_MASK else "src")
