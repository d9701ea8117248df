"""Listings of code: labels at the targets of jumps, names of what is referred to, source lines."""

from __future__ import annotations

from skep.asm import opcodes as op
from skep.asm.code import Code
from skep.asm.instruction import CALL, LD_IMM64, PSEUDO_CALL, PSEUDO_FUNC, Instruction, encode
from skep.asm.notation import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


def disassemble(
    code: Code | bytes | bytearray | Iterable[Instruction],
    *,
    labels: bool = True,
    names: Mapping[int, str] | None = None,
    source: Callable[[int], str] | None = None,
) -> list[str]:
    """List *code*, one line an instruction, "  12: r0 = 1".

    With *labels*, places that are jumped to or called get a line of their own, "loop:", and
    jumps say where they go, "goto -3 <loop>". *names* gives labels and functions, by index;
    others are called L1, L2 and so on, as they come, and functions f1, f2. *source* gives the
    source line of an index, "" for none; it is written above the instruction where it changes,
    after a semicolon.

    Bytes and instructions are taken in little-endian order; a `Code` knows its own. Bytes that
    are no instruction are listed as ``.insn``. Raises `FormatError` when the length is no
    multiple of 8.
    """
    if not isinstance(code, Code):
        data = code if isinstance(code, (bytes, bytearray)) else encode(code)
        code = Code(data)
    instructions = code.instructions()
    references = {each.index: each for each in code.references}
    places = _places(instructions, references, names or {}) if labels else {}
    lines: list[str] = []
    shown = ""
    index = 0
    while index < len(instructions):
        instruction = instructions[index]
        if index in places:
            lines.append(f"{places[index]}:")
        line = source(index) if source is not None else ""
        if line and line != shown:
            lines.append(f"; {line}")
        shown = line or shown
        wide = instruction.opcode == LD_IMM64 and index + 1 < len(instructions)
        reference = references.get(index)
        if reference is not None:
            written = _reference(instruction, reference.kind, reference.name, reference.offset)
        else:
            goal = target(instruction, index)
            name = places.get(goal, "") if goal is not None else ""
            written = text(instruction, instructions[index + 1] if wide else None, name)
        lines.append(f"{index:4}: {written}")
        index += 2 if wide else 1
    return lines


def target(instruction: Instruction, index: int) -> int | None:
    """Return the index that the instruction at *index* jumps to, calls or loads; None if none."""
    if op.is_jump(instruction):
        return index + 1 + op.distance(instruction)
    if (instruction.opcode == CALL and instruction.src == PSEUDO_CALL) or (
        instruction.opcode == LD_IMM64 and instruction.src == PSEUDO_FUNC
    ):
        imm = instruction.imm
        return index + 1 + (imm - (1 << 32) if imm >= 1 << 31 else imm)
    return None


def _places(
    instructions: list[Instruction], references: Mapping[int, object], names: Mapping[int, str]
) -> dict[int, str]:
    """Name every place that something goes to."""
    functions, jumps = set[int](), set[int]()
    for index, instruction in enumerate(instructions):
        goal = None if index in references else target(instruction, index)
        if goal is not None and 0 <= goal < len(instructions):
            (jumps if op.is_jump(instruction) else functions).add(goal)
    found = dict(names)
    for letter, places in (("f", functions), ("L", jumps - functions)):
        for number, place in enumerate(sorted(places - set(names)), 1):
            found[place] = f"{letter}{number}"
    return found


def _reference(instruction: Instruction, kind: str, name: str, offset: int) -> str:
    """Write an instruction whose reference the loader has still to fill in."""
    if instruction.opcode == CALL:
        return f"call {name}"
    if kind == "map":
        return f"r{instruction.dst} = map[{name}] ll"
    if kind == "data":
        return f"r{instruction.dst} = map[{name}][0]+{offset} ll"
    more = f"+{offset}" if offset else ""
    return f"r{instruction.dst} = &{name}{more} ll"
