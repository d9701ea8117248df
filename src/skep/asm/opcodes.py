"""Numbers of the instruction set that only the assembler and its relatives need.

Sources: RFC 9669, sections 4 and 5; include/uapi/linux/bpf.h and kernel/bpf/verifier.c of Linux
6.18 for what came later (may_goto 6.9, addr_space_cast 6.9, load-acquire and store-release 6.15).
"""

from __future__ import annotations

from skep.asm.instruction import (
    ALU,
    ALU64,
    ATOMIC,
    CALL,
    CLASS_MASK,
    EXIT,
    JMP,
    JMP32,
    LDX,
    MEMSX,
    MODE_MASK,
    SIZE_BYTES,
    SIZE_MASK,
    STX,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.asm.instruction import Instruction

OPERATION_MASK = 0xF0

# Operations of ALU and ALU64 (the high four bits of the opcode).
ADD, SUB, MUL, DIV, OR, AND, LSH, RSH = 0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70
NEG, MOD, XOR, MOV, ARSH, END = 0x80, 0x90, 0xA0, 0xB0, 0xC0, 0xD0
# How each is written between its operands.
ARITHMETIC = {
    ADD: "+=", SUB: "-=", MUL: "*=", DIV: "/=", OR: "|=", AND: "&=", LSH: "<<=", RSH: ">>=",
    MOD: "%=", XOR: "^=", MOV: "=", ARSH: "s>>=",
}  # fmt: skip

# Comparisons of conditional jumps, by C's operator; "s" before it compares signed.
CONDITIONS = {
    "==": 0x10, ">": 0x20, ">=": 0x30, "&": 0x40, "!=": 0x50, "s>": 0x60, "s>=": 0x70,
    "<": 0xA0, "<=": 0xB0, "s<": 0xC0, "s<=": 0xD0,
}  # fmt: skip
COMPARISONS = {number: operator for operator, number in CONDITIONS.items()}

JA32 = 0x06
"""BPF_JMP32 | BPF_JA, `gotol`: the distance is in the immediate (v4)."""
MAY_GOTO = 0xE5
"""BPF_JMP | BPF_JCOND: jumps when the loop has used up its budget."""
CALL_REGISTER = 0x8D
"""BPF_JMP | BPF_CALL | BPF_X, `callx`: defined, and refused by every kernel so far."""

# Atomic operations: the immediate of STX with mode ATOMIC. FETCH is a flag of the first four.
FETCH = 0x01
ATOMIC_ADD, ATOMIC_OR, ATOMIC_AND, ATOMIC_XOR = 0x00, 0x40, 0x50, 0xA0
XCHG, CMPXCHG = 0xE1, 0xF1
LOAD_ACQUIRE, STORE_RELEASE = 0x100, 0x110
ATOMICS = {ATOMIC_ADD: "+=", ATOMIC_OR: "|=", ATOMIC_AND: "&=", ATOMIC_XOR: "^="}
FETCHES = {ATOMIC_ADD: "add", ATOMIC_OR: "or", ATOMIC_AND: "and", ATOMIC_XOR: "xor"}

CAST = 1
"""The offset of a MOV that is an addr_space_cast (arenas)."""


def operation(instruction: Instruction) -> int:
    """Return the operation of an ALU or jump instruction."""
    return instruction.opcode & OPERATION_MASK


def is_jump(instruction: Instruction) -> bool:
    """Whether the instruction may go elsewhere than to the next, calls and exit left out."""
    code = instruction.opcode
    return code & CLASS_MASK in (JMP, JMP32) and code not in (CALL, EXIT, CALL_REGISTER)


def is_cast(instruction: Instruction) -> bool:
    """Whether the instruction is an addr_space_cast."""
    kind, what = instruction.opcode & CLASS_MASK, operation(instruction)
    return kind == ALU64 and what == MOV and instruction.offset == CAST


def distance(instruction: Instruction) -> int:
    """Return how far a jump goes, counted in slots from the one after it."""
    if instruction.opcode != JA32:
        return instruction.offset
    return (instruction.imm + (1 << 31)) % (1 << 32) - (1 << 31)


def width(instruction: Instruction) -> int:
    """Return the number of bytes that a load or store moves."""
    return SIZE_BYTES[instruction.opcode & SIZE_MASK]


def instruction_version(instruction: Instruction) -> int:
    """Return the oldest version of the instruction set with this instruction: 1, 2, 3 or 4.

    Versions are those of LLVM's ``-mcpu``: v2 has the comparisons "less than", v3 32-bit jumps
    and atomics that return the old value, v4 signed division, sign extension, bswap and gotol.
    What came after v4 (may_goto, addr_space_cast, load-acquire, store-release) counts as 4.
    Kernels have v3 since Linux 5.12 and v4 since 6.6, on x86-64.
    """
    code, kind = instruction.opcode, instruction.opcode & CLASS_MASK
    what = code & OPERATION_MASK
    if kind == LDX:
        return 4 if code & MODE_MASK == MEMSX else 1
    if kind == STX and code & MODE_MASK == ATOMIC:
        if instruction.imm in (LOAD_ACQUIRE, STORE_RELEASE):
            return 4
        return 1 if instruction.imm == ATOMIC_ADD else 3
    if kind in (ALU, ALU64):
        if instruction.offset or (kind == ALU64 and what == END):
            return 4
        return 1
    if kind == JMP32:
        return 4 if code == JA32 else 3
    if kind == JMP:
        if code == MAY_GOTO:
            return 4
        return 2 if COMPARISONS.get(what, "").removeprefix("s") in ("<", "<=") else 1
    return 1
