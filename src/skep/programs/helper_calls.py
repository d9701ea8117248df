"""Calls of helpers: numbers that do not exist, helpers that a type of program does not get.

And with them whatever else depends on the running kernel.
"""

from __future__ import annotations

from skep.asm.helpers import HELPERS
from skep.asm.instruction import CALL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.asm.code import Code
    from skep.programs.problem import Problem
    from skep.programs.spec import ProgramSpec
    from skep.programs.structure import Structure

POISON = 0xBAD2310
"""What loaders write in place of an instruction whose CO-RE relocation failed."""


def helper_calls(checked: Structure) -> Iterator[tuple[int, int]]:
    """Yield (index, helper's number) of the calls that can be executed."""
    for index in sorted(checked.reached):
        each = checked.instructions[index]
        if each.opcode != CALL or each.src or index in checked.open or index in checked.core:
            continue
        yield index, each.imm


def unknown(checked: Structure) -> None:
    """Add calls of helpers that no kernel up to 6.18 has."""
    for index, number in helper_calls(checked):
        if number in HELPERS:
            continue
        if number == POISON:
            continue  # a loader's mark; where the verifier meets it, the loader says what failed
        last = max(HELPERS)
        message = f"calls helper {number}, which does not exist (the last is {last})"
        checked.add(index, "helper", message)


def unavailable(spec: ProgramSpec, code: Code) -> list[Problem]:
    """List calls of helpers and instructions that this kernel does not have for the program.

    In code from a compiler such a call may stand behind a condition that the verifier knows to be
    false (a CO-RE question, a constant), and is fine there. So calls are only objected to where
    every path of the program leads through them; in code written in Python all are.
    """
    from skep.programs.new_instructions import too_new
    from skep.programs.structure import Structure

    checked = Structure(code, spec.labels)
    if checked.broken or not spec.type:
        return []
    calls = [call for call in helper_calls(checked) if call[1] in HELPERS]
    ask = _Question(spec) if calls else None
    for index, number in calls:
        if ask and ask(number) is False and (spec.assembled or checked.unavoidable(index)):
            checked.add(index, "unavailable", _lacks(spec, number))
    too_new(checked, every=spec.assembled)
    checked.locate(spec.btf)
    return [problem for problem in checked.problems if problem.kind == "unavailable"]


class _Question:
    """Asks the kernel about helpers for one program; its target is looked up once."""

    def __init__(self, spec: ProgramSpec) -> None:
        from skep.errors import SkepError

        self.spec = spec
        try:
            self.target = spec.target_id()
        except SkepError:
            self.target = 0  # the load will say so; nothing can be asked

    def __call__(self, number: int) -> bool | None:
        from skep.kernel.helpers import helper_available

        spec = self.spec
        return helper_available(
            spec.type,
            number,
            attach_type=int(spec.expected_attach_type),
            attach_btf_id=self.target,
            flags=int(spec.flags),
        )


def _lacks(spec: ProgramSpec, number: int) -> str:
    from skep.kernel.constants import ProgramType, name_of
    from skep.kernel.release import release, release_name

    helper = HELPERS[number]
    kind = name_of(ProgramType, spec.type)
    if release()[:2] < helper.since:
        major, minor = helper.since
        return (
            f"calls bpf_{helper.name}, which came with Linux {major}.{minor}; this is"
            f" {release_name()}"
        )
    return f"calls bpf_{helper.name}, which this kernel does not offer to programs of type {kind}"
