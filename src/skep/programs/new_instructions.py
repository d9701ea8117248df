"""Instructions that are newer than the kernel."""

from __future__ import annotations

from skep.asm import opcodes as op
from skep.asm.instruction import CLASS_MASK, STX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.asm.instruction import Instruction
    from skep.programs.structure import Structure


def feature_of(instruction: Instruction) -> str:
    """Return the feature of the kernel that *instruction* needs, "" for what all of them have.

    Only what came after version 3: kernels that lack that (before 5.12) are older than what skep
    is made for.
    """
    if op.instruction_version(instruction) < 4:
        return ""
    if instruction.opcode == op.MAY_GOTO:
        return "may_goto"
    if instruction.opcode & CLASS_MASK == STX:
        return "load_acquire"
    return "arena" if op.is_cast(instruction) else "cpu_v4"


def too_new(checked: Structure, *, every: bool) -> None:
    """Add the instructions that this kernel does not know.

    Only those that every path leads through, unless *every*: see `helper_calls.unavailable`.
    """
    from skep.errors import PrivilegeError
    from skep.kernel.features import feature
    from skep.kernel.release import release_name

    for index in sorted(checked.reached):
        name = feature_of(checked.instructions[index])
        if not name:
            continue
        needed = feature(name)
        try:
            if needed.available() or not (every or checked.unavoidable(index)):
                continue
        except PrivilegeError:
            return  # this process may not find out
        major, minor = needed.minimum
        checked.add(
            index,
            "unavailable",
            f"needs {needed.title}, which came with Linux {major}.{minor}; this is"
            f" {release_name()}",
        )
