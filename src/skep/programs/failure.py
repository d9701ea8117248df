"""Why a program was not loaded, in one sentence. Imported only when one was not."""

from __future__ import annotations

import errno

from skep.errors import KernelError, LoadError, PrivilegeError, VerifierError
from skep.kernel.constants import ProgramType, name_of
from skep.programs.verifier import read_log, source_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.asm.code import Code
    from skep.programs.spec import ProgramSpec


# What the verifier says of externs, and what it means.
_HINTS = (
    (
        "failed to find the address for kernel symbol",
        "kernels without CONFIG_KALLSYMS_ALL know the addresses of functions only",
    ),
    (
        "calling kernel function ",
        "it is no function for programs, or none for programs of this type",
    ),
)


def refused(spec: ProgramSpec, code: Code, error: KernelError, log: str) -> VerifierError:
    """Make the error for a program that the verifier refused with *log*.

    Beside `log`, `section` and `line` it carries `instruction` (None when the log names none),
    `cause` (the log's last meaningful line), `file` and `line_number`.
    """
    verdict = read_log(log)
    line = None
    if verdict.instruction is not None:
        line = source_line(code, spec.btf, verdict.instruction)
    message = f"{described(spec)} was refused by the verifier"
    message += f" [{_errno_name(error)}]"
    if verdict.reason:
        message += f": {verdict.reason}"
    elif not log:
        # Refused before the verifier ran: what the kernel's own checks mean by this errno.
        message += f", which left no log: {error.message.rpartition(': ')[2]}"
    if line is not None:
        message += f", at {line}"
    elif verdict.instruction is not None:
        message += f", at instruction {verdict.instruction}"
    return VerifierError(
        message,
        errno=error.errno or 0,
        hint=next((hint for words, hint in _HINTS if words in verdict.reason), ""),
        call="BPF_PROG_LOAD",
        name=spec.name,
        program=spec.name,
        kind="program",
        section=spec.section,
        log=log,
        cause=verdict.reason,
        instruction=verdict.instruction,
        line=line.text if line else "",
        file=line.file if line else "",
        line_number=line.number if line else 0,
    )


def not_loaded(spec: ProgramSpec, error: KernelError) -> KernelError:
    """Make the error for a program that the kernel refused without asking the verifier."""
    if isinstance(error, PrivilegeError):
        return error
    kind = name_of(ProgramType, spec.type)
    message = f"program {spec.name!r} (section {spec.section!r}, {kind}): {error.message}"
    if not spec.section:
        message = f"{described(spec)}: {error.message}"
    return LoadError(
        message,
        errno=error.errno or 0,
        hint=error.hint,
        call="BPF_PROG_LOAD",
        name=spec.name,
        program=spec.name,
        kind="program",
        section=spec.section,
    )


def described(spec: ProgramSpec) -> str:
    """Name a program in a message: by its section, or its type when it has none."""
    if spec.section:
        return f"program {spec.name!r} (section {spec.section!r})"
    return f"program {spec.name!r} ({name_of(ProgramType, spec.type)})"


def _errno_name(error: KernelError) -> str:
    number = error.errno or 0
    return "ENOTSUPP" if number == 524 else errno.errorcode.get(number, str(number))
