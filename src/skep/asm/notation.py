"""One instruction as text, as LLVM and the kernel's verifier write it.

Where the two differ: constants are decimal and addresses hexadecimal as the verifier has them,
the rest is LLVM's (`r1 = *(u32 *)(r10 - 4)`), and references are bpftool's (`map[counts]`).
"""

from __future__ import annotations

from skep.asm import opcodes as op
from skep.asm.helpers import helper_name
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
    JMP,
    JMP32,
    LD,
    LD_IMM64,
    LDX,
    MEM,
    MEMSX,
    MODE_MASK,
    PSEUDO_BTF_ID,
    PSEUDO_CALL,
    PSEUDO_FUNC,
    PSEUDO_KFUNC_CALL,
    PSEUDO_MAP_FD,
    PSEUDO_MAP_IDX,
    PSEUDO_MAP_IDX_VALUE,
    PSEUDO_MAP_VALUE,
    SOURCE_MASK,
    ST,
    STX,
    Instruction,
)

_UNSIGNED = (1 << 32) - 1


def text(instruction: Instruction, second: Instruction | None = None, name: str = "") -> str:
    """Write *instruction* out.

    *second* is the next slot, which holds the upper half of a ld_imm64. *name* is what the
    instruction refers to (a map, function or kernel function), where that is known. What is no
    instruction is written as its fields.
    """
    made = _WRITERS[instruction.opcode & CLASS_MASK](instruction, second, name)
    return made or _unknown(instruction)


def _unknown(i: Instruction) -> str:
    return f".insn {i.opcode:#04x} dst={i.dst} src={i.src} off={i.offset} imm={i.imm:#x}"


def _signed(imm: int) -> int:
    return imm - (1 << 32) if imm >= 1 << 31 else imm


def _hex(imm: int) -> str:
    imm = _signed(imm)
    return f"-{-imm:#x}" if imm < 0 else f"{imm:#x}"


def _at(base: int, offset: int) -> str:
    return f"r{base} {'-' if offset < 0 else '+'} {abs(offset)}"


def _arithmetic(i: Instruction, _second: Instruction | None, _name: str) -> str:
    wide = i.opcode & CLASS_MASK == ALU64
    letter = "r" if wide else "w"
    what = op.operation(i)
    dst = f"{letter}{i.dst}"
    if what == op.END:
        name = "bswap" if wide else "be" if i.opcode & SOURCE_MASK else "le"
        return f"r{i.dst} = {name}{i.imm} r{i.dst}" if i.imm in (16, 32, 64) else ""
    if what == op.NEG:
        return f"{dst} = -{dst}"
    sign = op.ARITHMETIC.get(what)
    if sign is None:
        return ""
    src = f"{letter}{i.src}" if i.opcode & SOURCE_MASK else str(_signed(i.imm))
    if what == op.MOV and i.offset and i.opcode & SOURCE_MASK:
        if i.offset == op.CAST:
            return f"{dst} = addr_space_cast({src}, {i.imm >> 16}, {i.imm & 0xFFFF})"
        return f"{dst} = (s{i.offset}){src}"
    if i.offset:
        if i.offset != 1 or what not in (op.DIV, op.MOD):
            return ""
        sign = f"s{sign}"
    return f"{dst} {sign} {src}"


def _jump(i: Instruction, _second: Instruction | None, name: str) -> str:
    code = i.opcode
    where = f"{op.distance(i):+d}" + (f" <{name}>" if name else "")
    if code == CALL:
        return _call(i, name)
    plain = {
        EXIT: "exit",
        JA: f"goto {where}",
        op.JA32: f"gotol {where}",
        op.MAY_GOTO: f"may_goto {where}",
        op.CALL_REGISTER: f"callx r{i.dst}",
    }.get(code)
    if plain is not None:
        return plain
    comparison = op.COMPARISONS.get(op.operation(i))
    if comparison is None:
        return ""
    letter = "r" if code & CLASS_MASK == JMP else "w"
    value = f"{letter}{i.src}" if code & SOURCE_MASK else _hex(i.imm)
    return f"if {letter}{i.dst} {comparison} {value} goto {where}"


def _call(i: Instruction, name: str) -> str:
    if i.src == PSEUDO_CALL:
        return f"call {i.imm:+d} <{name}>" if name else f"call {i.imm:+d}"
    if i.src == PSEUDO_KFUNC_CALL:
        return f"call kfunc {name}" if name else f"call kfunc#{i.imm & _UNSIGNED}"
    return f"call {helper_name(i.imm) or 'helper'}#{i.imm & _UNSIGNED}"


def _load(i: Instruction, second: Instruction | None, name: str) -> str:
    mode = i.opcode & MODE_MASK
    if i.opcode & CLASS_MASK == LDX:
        if mode not in (MEM, MEMSX):
            return ""
        letter = "u" if mode == MEM else "s"
        return f"r{i.dst} = *({letter}{8 * op.width(i)} *)({_at(i.src, i.offset)})"
    if i.opcode == LD_IMM64:
        return _constant(i, second, name)
    if mode == ABS:
        return f"r0 = *(u{8 * op.width(i)} *)skb[{_signed(i.imm)}]"
    if mode == IND:
        more = f" + {_signed(i.imm)}" if i.imm else ""
        return f"r0 = *(u{8 * op.width(i)} *)skb[r{i.src}{more}]"
    return ""


def _constant(i: Instruction, second: Instruction | None, name: str) -> str:
    low = i.imm & _UNSIGNED
    high = second.imm & _UNSIGNED if second is not None else 0
    if i.src == 0:
        return f"r{i.dst} = {high << 32 | low:#x} ll"
    numbered = {
        PSEUDO_MAP_FD: f"map[{name or f'fd:{low}'}]",
        PSEUDO_MAP_VALUE: f"map[{name or f'fd:{low}'}][0]+{high}",
        PSEUDO_BTF_ID: name or f"btf[id:{low}]",
        PSEUDO_FUNC: f"function[{name or f'{_signed(low):+d}'}]",
        PSEUDO_MAP_IDX: f"map[index:{low}]",
        PSEUDO_MAP_IDX_VALUE: f"map[index:{low}][0]+{high}",
    }
    return f"r{i.dst} = {numbered[i.src]} ll" if i.src in numbered else ""


def _store(i: Instruction, _second: Instruction | None, _name: str) -> str:
    mode, size = i.opcode & MODE_MASK, 8 * op.width(i)
    place = f"*(u{size} *)({_at(i.dst, i.offset)})"
    if i.opcode & CLASS_MASK == ST:
        return f"{place} = {_signed(i.imm)}" if mode == MEM else ""
    if mode == MEM:
        return f"{place} = r{i.src}"
    if mode != ATOMIC:
        return ""
    return _atomic(i, size, place)


def _atomic(i: Instruction, size: int, place: str) -> str:
    if i.imm == op.LOAD_ACQUIRE:
        letter = "r" if size == 64 else "w"
        return f"{letter}{i.dst} = load_acquire((u{size} *)({_at(i.src, i.offset)}))"
    if i.imm == op.STORE_RELEASE:
        letter = "r" if size == 64 else "w"
        return f"store_release((u{size} *)({_at(i.dst, i.offset)}), {letter}{i.src})"
    if size not in (32, 64):
        return ""
    letter, odd = ("r", "") if size == 64 else ("w", "32")
    at = _at(i.dst, i.offset)
    src = f"{letter}{i.src}"
    if i.imm == op.XCHG:
        return f"{src} = xchg{odd}_{size}({at}, {src})"
    if i.imm == op.CMPXCHG:
        return f"{letter}0 = cmpxchg{odd}_{size}({at}, {letter}0, {src})"
    if i.imm in op.ATOMICS:
        return f"lock {place} {op.ATOMICS[i.imm]} {src}"
    fetched = op.FETCHES.get(i.imm & ~op.FETCH)
    return f"{src} = atomic_fetch_{fetched}((u{size} *)({at}), {src})" if fetched else ""


_WRITERS = {
    LD: _load, LDX: _load, ST: _store, STX: _store,
    ALU: _arithmetic, ALU64: _arithmetic, JMP: _jump, JMP32: _jump,
}  # fmt: skip
