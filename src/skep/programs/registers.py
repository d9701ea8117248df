"""Following registers through a program: which have no value, which point into the stack.

A small abstract interpretation: each register has no value, some value, or is the frame pointer
plus a constant. Where paths meet, what they disagree on is "some value", so that only what holds
on every path is objected to.
"""

from __future__ import annotations

from skep.asm.effects import CLOBBERED, access, clobbers, reads, writes
from skep.asm.instruction import ADD64_IMM, EXIT, MOV64_REG, Instruction
from skep.kernel.constants import ProgramType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from skep.programs.structure import Structure

    # NONE, LOST: no value; SOME: a value; a small number: the frame pointer plus that many bytes.
    State: TypeAlias = "tuple[int, ...]"

STACK = 512
"""MAX_BPF_STACK (include/linux/filter.h), for each function."""

SOME = 1 << 40
NONE = SOME + 1  # never written
LOST = SOME + 2  # taken away by a call
_NO_VALUE = (NONE, LOST)

# Types whose programs are called as a function with several arguments, or may be one.
_FUNCTIONS = (ProgramType.UNSPEC, ProgramType.EXT)
# Types whose programs may stand for a function that returns nothing.
_MAY_RETURN_NOTHING = (ProgramType.STRUCT_OPS, ProgramType.LSM, ProgramType.EXT)


def follow(checked: Structure, type: ProgramType | int | None) -> None:
    """Add the problems of registers and stack to *checked*."""
    for start in checked.functions:
        # A program gets its context in r1; functions, and what replaces one, any of r1 to r5.
        context = start == 0 and type is not None and type not in _FUNCTIONS
        states = _states(checked, start, 1 if context else 5)
        for index in sorted(states):
            _look(checked, index, states[index])
        if start == 0 and type and type not in _MAY_RETURN_NOTHING:
            _returns(checked, states)


def _entry(arguments: int) -> State:
    return (NONE, *([SOME] * arguments), *([NONE] * (9 - arguments)), 0)


def _states(checked: Structure, start: int, arguments: int) -> dict[int, State]:
    """Return what is known of the registers before each instruction of a function."""
    found: dict[int, State] = {start: _entry(arguments)}
    waiting = [start]
    while waiting:
        index = waiting.pop()
        after = _after(checked.instructions[index], found[index], open=index in checked.core)
        for each in checked.next(index):
            before = found.get(each)
            joined = after if before is None else _join(before, after)
            if joined != before:
                found[each] = joined
                waiting.append(each)
    return found


def _join(one: State, other: State) -> State:
    if one == other:
        return one
    return tuple([a if a == b else _either(a, b) for a, b in zip(one, other, strict=True)])


def _either(one: int, other: int) -> int:
    return NONE if one in _NO_VALUE and other in _NO_VALUE else SOME


def _after(i: Instruction, state: State, *, open: bool) -> State:
    changed = writes(i)
    if changed is None and not clobbers(i):
        return state
    registers = list(state)
    if clobbers(i):
        for each in CLOBBERED:
            registers[each] = LOST
    if changed is not None:
        registers[changed] = SOME
        old = state[i.dst]
        if i.opcode == MOV64_REG and not i.offset:
            registers[changed] = min(SOME, state[i.src])
        elif i.opcode == ADD64_IMM and old < SOME and not open:
            moved = old + (i.imm if i.imm < 1 << 31 else i.imm - (1 << 32))
            # Far outside it is no longer followed, so that loops come to an end.
            registers[changed] = moved if abs(moved) <= 2 * STACK else SOME
    return tuple(registers)


def _look(checked: Structure, index: int, state: State) -> None:
    """Check what the instruction reads, and where it goes in the stack."""
    i = checked.instructions[index]
    for each in dict.fromkeys(reads(i)):
        if state[each] in _NO_VALUE:
            what = "after a call" if state[each] == LOST else "on any path to it"
            checked.add(index, "register", f"reads r{each}, which has no value {what}")
            break
    place = access(i)
    if place is None or index in checked.core:
        return
    base, offset, size, verb = place
    value = state[base]
    if value >= SOME:
        return
    low = value + offset
    if low < -STACK or low + size > 0:
        where = f"r10{low:+d}" if low else "r10"
        checked.add(
            index,
            "stack",
            f"{verb} {size} byte{'s' if size > 1 else ''} at {where}, outside of the stack"
            f" (r10-{STACK} to r10-1)",
        )


def _returns(checked: Structure, states: dict[int, State]) -> None:
    for index, state in states.items():
        if checked.instructions[index].opcode == EXIT and state[0] in _NO_VALUE:
            checked.add(index, "register", "returns r0, which has no value on any path to it")
