"""Where at the entry of an x86-64 function a probe costs least.

The kernel runs the instruction under a probe either by emulating it (0.5 us a call) or by
single-stepping a copy of it (9.5 us, measured in a virtual machine on 6.18). It emulates push,
nop, and branches (arch/x86/kernel/uprobes.c, push_setup_xol_ops and branch_setup_xol_ops), but
not endbr64, with which most distributions begin every function, nor mov, sub or lea.

So a probe goes to the first emulated instruction that is certainly run once per call with the
arguments still where the caller put them and the stack pointer unmoved, which makes it as good a
place for a return probe. Where that is not certain, the place is the entry itself.
"""

from __future__ import annotations

from skep.elf.x86 import Instruction, decode

# How far to look, in bytes: beyond, no compiler has left the arguments alone for so long.
_REACH = 40

# Longer functions are not searched for branches to the place (1 us or two per instruction).
_LONGEST = 1 << 16

# rax, r10, r11: neither an argument, nor kept for the caller, nor the stack.
_SCRATCH = (0, 10, 11)

_ENDBR64 = b"\xf3\x0f\x1e\xfa"


def entry_offset(code: bytes) -> int:
    """Return where in the function *code* to put an entry probe, in bytes from its start.

    *code* is the whole function, as long as its symbol says; with less the answer is 0. 0 also
    when the first instruction is as good as any, or when in doubt. Never raises; any bytes do.
    """
    place = _candidate(code)
    if not place or len(code) > _LONGEST:
        return 0
    # A branch back to the place, or to what was skipped, would count one call several times.
    at = 0
    while at < len(code):
        instruction = decode(code, at)
        if instruction is None:
            return 0
        if instruction.target is not None and 0 < instruction.target <= place:
            return 0
        at += instruction.length
    return place if at == len(code) else 0


def _candidate(code: bytes) -> int:
    """Find the first emulated instruction that nothing before it disturbs; 0 when there is none."""
    at = 0
    while at < min(len(code), _REACH):
        instruction = decode(code, at)
        if instruction is None:
            return 0
        if _is_emulated(instruction):
            return at
        if not _is_harmless(instruction, code[at : at + instruction.length]):
            return 0
        at += instruction.length
    return 0


def _is_emulated(instruction: Instruction) -> bool:
    """Whether the kernel emulates it: push of a register, nop, jmp.

    Conditional branches and calls are emulated as well, and left out: a loop may begin with one,
    entered again from a part of the function that the compiler put elsewhere (``.cold``).
    """
    opcode, rex, prefixes = instruction.opcode, instruction.rex, instruction.prefixes
    if 0x50 <= opcode <= 0x57:
        return rex in (0, 0x41) and not prefixes
    if opcode == 0x90:
        return not rex and not prefixes.strip(b"\x66")
    if opcode == 0x0F1F:
        # The long nop: emulated since 6.18; before, it is stepped, as is what it replaces here.
        return not rex and not prefixes.strip(b"\x66\x2e")
    return opcode in (0xE9, 0xEB) and not rex and not prefixes


def _is_harmless(instruction: Instruction, code: bytes) -> bool:
    """Whether it neither writes an argument or the stack pointer, nor stores, nor can fault."""
    if code == _ENDBR64:
        return True
    opcode, modrm, prefixes = instruction.opcode, instruction.modrm, instruction.prefixes
    if prefixes.strip(b"\x64"):
        return False
    high, low = (instruction.rex & 4) << 1, (instruction.rex & 1) << 3
    register, operand = modrm >> 3 & 7 | high, modrm & 7 | low
    memory = modrm >> 6 != 3
    if 0xB8 <= opcode <= 0xBF:  # mov register, number
        return (opcode & 7 | low) in _SCRATCH
    if opcode == 0x8D:  # lea
        return register in _SCRATCH
    # A read of an argument's memory may fault, and the call would go unseen; of the program's own
    # data, or of the thread's (%fs, the stack protector's canary), it does not.
    if memory and not _is_own_data(modrm, code, prefixes):
        return False
    if opcode in (0x8B, 0x63, 0x0FB6, 0x0FB7, 0x0FBE, 0x0FBF, 0x33):  # mov, movsx, movzx, xor
        return register in _SCRATCH
    if opcode in (0x89, 0x31):  # mov, xor, into the operand
        return not memory and operand in _SCRATCH
    if opcode in (0x38, 0x39, 0x3A, 0x3B, 0x84, 0x85):  # cmp, test
        return True
    group = modrm >> 3 & 7
    return (opcode in (0x80, 0x81, 0x83) and group == 7) or (opcode in (0xF6, 0xF7) and group == 0)


def _is_own_data(modrm: int, code: bytes, prefixes: bytes) -> bool:
    """Whether a memory operand is at a fixed place: relative to rip, or at a number from %fs."""
    if modrm & 0xC7 == 0x05:
        return not prefixes
    # SIB with neither base nor index, after the ModRM byte.
    return modrm & 0xC7 == 0x04 and b"\x64" in prefixes and bytes([modrm, 0x25]) in code
