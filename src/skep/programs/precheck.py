"""A check of a program before the kernel sees it: what no verifier would take, and why.

The verifier explores a program path by path and stops at the first mistake. This check looks at
all of it at once and names what is wrong whatever the path: code that cannot be an instruction,
jumps to nowhere, code that nothing leads to, loops without an exit, recursion, stack accesses
beyond 512 bytes, registers that have no value on any path, helpers that do not exist or are not
for this type of program.

It objects to nothing that the verifier takes, with one exception: behind a condition that is never
true the verifier does not look, and this check does. A compiler leaves no mistakes there, and what
it leaves on purpose (a helper behind a CO-RE question) is not objected to.

Code may be linked or not: instructions that the loader still changes (references, CO-RE) are not
judged by the fields that change.
"""

from __future__ import annotations

from skep.errors import PrecheckError
from skep.programs.structure import Structure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from skep.asm.code import Code
    from skep.btf.btf import Btf
    from skep.kernel.constants import ProgramType
    from skep.programs.problem import Problem
    from skep.programs.spec import ProgramSpec

MOST = 1000
"""Problems that are told: random bytes have one in each instruction."""


def require(spec: ProgramSpec, code: Code | None = None) -> None:
    """Raise `PrecheckError` when `check` finds something."""
    problems = check(spec, code)
    if not problems:
        return
    from skep.programs.failure import described

    message = f"{described(spec)} would be refused: {problems[0]}"
    if len(problems) > 1:
        more = len(problems) - 1
        message += f" (and {more} more problem{'s' if more > 1 else ''})"
    raise PrecheckError(
        message,
        hint="load(precheck=False) asks the verifier all the same",
        program=spec.name,
        section=spec.section,
        problems=problems,
    )


def check(spec: ProgramSpec, code: Code | None = None, *, kernel: bool = True) -> list[Problem]:
    """Check *spec*, or *code* in its place, and return what is wrong, in order of the code.

    With *kernel* the running kernel is asked which helpers it has, unless this process may not.
    Raises `ProgramSpec.problem` when the program has one: its code is not complete then.
    """
    if spec.problem is not None:
        raise spec.problem.with_traceback(None)
    code = spec.code if code is None else code
    found = precheck(code, spec.type, btf=spec.btf, labels=spec.labels)
    if kernel:
        from skep.programs.helper_calls import unavailable

        found += unavailable(spec, code)
    found.sort(key=lambda problem: problem.index)
    return found


def precheck(
    code: Code,
    type: ProgramType | int | None = None,
    *,
    btf: Btf | None = None,
    labels: Mapping[int, str] | None = None,
) -> list[Problem]:
    """Check *code* by itself, with no kernel.

    *type* is the program's, *btf* has its source lines, and *labels* names places in it.
    """
    checked = Structure(code, labels)
    if not checked.broken:
        from skep.programs.registers import follow

        follow(checked, type)
        from skep.programs.helper_calls import unknown

        unknown(checked)
    checked.problems.sort(key=lambda problem: problem.index)
    del checked.problems[MOST:]
    checked.locate(btf)
    return checked.problems
