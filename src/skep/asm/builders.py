"""Builders: one function an instruction, named as what it does.

A second operand that is a `Register` is that register, one that is a number is the immediate.
Arithmetic is as wide as its destination: R1 is 64 bits, W1 its lower 32 (the upper half becomes
zero). Jumps go to labels; a number is a distance in slots, counted from the next instruction.

Errors: `RangeError` for numbers that do not fit, `TypeMismatchError` for what is no register,
`NotFoundError` for names of helpers that do not exist.
"""

from __future__ import annotations

from skep.asm import opcodes as op
from skep.asm.instruction import (
    ALU,
    ALU64,
    CALL,
    EXIT,
    JA,
    JMP,
    JMP32,
    PSEUDO_CALL,
    PSEUDO_KFUNC_CALL,
    X,
)
from skep.asm.items import Item, Label, Register, distance, immediate, register
from skep.errors import RangeError, TypeMismatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.asm.items import Target


def _arithmetic(operation: int, dst: int, value: int, offset: int = 0) -> Item:
    dst = register(dst)
    code = operation | (ALU64 if dst.bits == 64 else ALU)
    what = f"{dst} {op.ARITHMETIC[operation]} {value!r}"
    if isinstance(value, Register):
        _same_width(dst, value, what)
        return Item(code | X, dst, value, offset)
    return Item(code, dst, offset=offset, imm=immediate(value, dst.bits, what))


def _same_width(dst: Register, src: Register, what: str) -> None:
    if dst.bits != src.bits:
        message = f"{what}: {dst} has {dst.bits} bits and {src} has {src.bits}"
        raise TypeMismatchError(message, hint="name both as R or both as W", given=src)


def mov(dst: int, value: int) -> Item:
    """`dst = value`. A number is sign-extended to 64 bits; for larger ones see `ld_imm64`."""
    return _arithmetic(op.MOV, dst, value)


def movsx(dst: int, src: Register, bits: int) -> Item:
    """`dst = (s<bits>)src`: sign-extend the low 8, 16 or (into 64) 32 bits of *src* (v4)."""
    dst = register(dst)
    src = register(src, "source")
    _same_width(dst, src, f"{dst} = (s{bits}){src}")
    _one_of(bits, (8, 16, 32) if dst.bits == 64 else (8, 16), "movsx extends from")
    return Item((ALU64 if dst.bits == 64 else ALU) | op.MOV | X, dst, src, bits)


def add(dst: int, value: int) -> Item:
    """`dst += value`."""
    return _arithmetic(op.ADD, dst, value)


def sub(dst: int, value: int) -> Item:
    """`dst -= value`."""
    return _arithmetic(op.SUB, dst, value)


def mul(dst: int, value: int) -> Item:
    """`dst *= value`."""
    return _arithmetic(op.MUL, dst, value)


def div(dst: int, value: int) -> Item:
    """`dst /= value`, unsigned; division by a register that is zero gives zero."""
    return _arithmetic(op.DIV, dst, value)


def sdiv(dst: int, value: int) -> Item:
    """`dst s/= value`: signed division, rounding towards zero (v4)."""
    return _arithmetic(op.DIV, dst, value, 1)


def mod(dst: int, value: int) -> Item:
    """`dst %= value`, unsigned; modulo a register that is zero leaves *dst* as it is."""
    return _arithmetic(op.MOD, dst, value)


def smod(dst: int, value: int) -> Item:
    """`dst s%= value`: signed remainder, with the sign of *dst* as in C (v4)."""
    return _arithmetic(op.MOD, dst, value, 1)


def or_(dst: int, value: int) -> Item:
    """`dst |= value`."""
    return _arithmetic(op.OR, dst, value)


def and_(dst: int, value: int) -> Item:
    """`dst &= value`."""
    return _arithmetic(op.AND, dst, value)


def xor(dst: int, value: int) -> Item:
    """`dst ^= value`."""
    return _arithmetic(op.XOR, dst, value)


def lsh(dst: int, value: int) -> Item:
    """`dst <<= value`."""
    return _shift(op.LSH, dst, value)


def rsh(dst: int, value: int) -> Item:
    """`dst >>= value`, filling up with zeros."""
    return _shift(op.RSH, dst, value)


def arsh(dst: int, value: int) -> Item:
    """`dst s>>= value`, filling up with the sign."""
    return _shift(op.ARSH, dst, value)


def _shift(operation: int, dst: int, value: int) -> Item:
    dst = register(dst)
    if not isinstance(value, Register) and isinstance(value, int) and not 0 <= value < dst.bits:
        message = f"{dst} {op.ARITHMETIC[operation]} {value}: {dst} has {dst.bits} bits"
        raise RangeError(message, given=value)
    return _arithmetic(operation, dst, value)


def neg(dst: int) -> Item:
    """`dst = -dst`."""
    dst = register(dst)
    return Item((ALU64 if dst.bits == 64 else ALU) | op.NEG, dst)


def to_le(dst: int, bits: int) -> Item:
    """Turn the low 16, 32 or 64 *bits* from this machine's byte order into little-endian.

    The rest of *dst* becomes zero. The same instruction turns them back.
    """
    return Item(ALU | op.END, _whole(dst), imm=_one_of(bits, (16, 32, 64), "to_le swaps"))


def to_be(dst: int, bits: int) -> Item:
    """Turn the low 16, 32 or 64 *bits* into big-endian, the network's order, or back."""
    return Item(ALU | op.END | X, _whole(dst), imm=_one_of(bits, (16, 32, 64), "to_be swaps"))


def bswap(dst: int, bits: int) -> Item:
    """Reverse the bytes of the low 16, 32 or 64 *bits* (v4)."""
    return Item(ALU64 | op.END, _whole(dst), imm=_one_of(bits, (16, 32, 64), "bswap swaps"))


def addr_space_cast(dst: int, src: int, *, to: int, origin: int) -> Item:
    """Cast a pointer between the address spaces of the kernel (0) and of arenas (1)."""
    for space in (to, origin):
        if not 0 <= space < 1 << 16:
            raise RangeError(f"address space {space} is not within 0..65535", given=space)
    imm = to << 16 | origin
    return Item(ALU64 | op.MOV | X, _whole(dst), register(src, "source"), op.CAST, imm)


def _whole(dst: int) -> Register:
    dst = register(dst)
    if dst.bits != 64:
        raise TypeMismatchError(f"this instruction works on the whole register: use R{int(dst)}")
    return dst


def _one_of(bits: int, allowed: tuple[int, ...], what: str) -> int:
    if bits not in allowed:
        expected = " or ".join(map(str, allowed))
        raise RangeError(f"{what} {expected} bits, not {bits}", given=bits)
    return bits


# -- jumps --------------------------------------------------------------------------------


def _jump(opcode: int, target: Target, dst: int = 0, src: int = 0, imm: int = 0) -> Item:
    if isinstance(target, int):
        return Item(opcode, dst, src, distance(target, "a jump"), imm)
    return Item(opcode, dst, src, imm=imm, needs="jump", target=target)


def jump(target: Target) -> Item:
    """`goto target`: at most 32767 slots away."""
    return _jump(JA, target)


def jump_long(target: Target) -> Item:
    """`gotol target`: any distance (v4)."""
    if isinstance(target, int):
        return Item(op.JA32, imm=immediate(target, 64, "gotol"))
    return Item(op.JA32, needs="long jump", target=target)


def jump_if(dst: int, operator: str, value: int, target: Target) -> Item:
    """`if dst operator value goto target`, e.g. ``jump_if(R1, "==", 0, "out")``.

    Operators are C's ``== != < <= > >=``, unsigned; the same after an "s" (``"s<"``), signed;
    and ``&``, which jumps when a bit of *value* is set. W registers compare 32 bits (v3).
    """
    condition = op.CONDITIONS.get(operator)
    if condition is None:
        expected = " ".join(op.CONDITIONS)
        raise RangeError(f"{operator!r} is no comparison; expected one of {expected}")
    dst = register(dst)
    what = f"if {dst} {operator} {value!r}"
    code = condition | (JMP if dst.bits == 64 else JMP32)
    if isinstance(value, Register):
        _same_width(dst, value, what)
        return _jump(code | X, target, dst, value)
    return _jump(code, target, dst, imm=immediate(value, dst.bits, what))


def may_goto(target: Target) -> Item:
    """`may_goto target`: leaves a loop when it has gone round too often (Linux 6.9).

    The kernel counts; a loop with it needs no bound that the verifier can see.
    """
    return _jump(op.MAY_GOTO, target)


# -- calls --------------------------------------------------------------------------------


def call(function: str | Label | int) -> Item:
    """Call a helper by name (``"ktime_get_ns"``) or number; a `Label` is a local function."""
    if isinstance(function, Label):
        return call_local(function)
    if isinstance(function, str):
        from skep.asm.helpers import helper_number

        function = helper_number(function)
    return Item(CALL, imm=immediate(function, 64, "call"))


def call_local(function: Target) -> Item:
    """Call the function that starts at a label of the same program.

    It gets r1 to r5, returns r0, and keeps r6 to r9; it has a stack of its own.
    """
    if isinstance(function, int):
        return Item(CALL, src=PSEUDO_CALL, imm=immediate(function, 64, "call"))
    return Item(CALL, src=PSEUDO_CALL, needs="call", target=function)


def call_kernel(function: str | int, *, module: int = 0) -> Item:
    """Call a kernel function (kfunc) by name, looked up in the kernel's BTF when loading.

    A number is the id of its BTF type, with *module* the index of the module's BTF in the
    descriptor array of the load (0 is the kernel itself).
    """
    if isinstance(function, int):
        imm = immediate(function, 64, "call")
        return Item(CALL, src=PSEUDO_KFUNC_CALL, offset=distance(module, "call"), imm=imm)
    return Item(CALL, src=PSEUDO_KFUNC_CALL, imm=-1, needs="kfunc", target=function)


def call_register(dst: int) -> Item:
    """`callx dst`: part of the instruction set, and refused by every kernel so far."""
    return Item(op.CALL_REGISTER, _whole(dst))


def exit_() -> Item:
    """Return r0 to the caller."""
    return Item(EXIT)
