"""What is said when a program's externs cannot be resolved. Imported only then."""

from __future__ import annotations

from skep.btf.types import Kind
from skep.errors import ExternError, NotFoundError, SkepError, TypeMismatchError
from skep.kernel.release import release_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skep.btf.btf import Btf
    from skep.errors import VerifierError
    from skep.kernel.kallsyms import KernelSymbol
    from skep.object.externs import ExternSpec
    from skep.object.spec import ObjectSpec
    from skep.programs.spec import ProgramSpec

_NOUNS = {
    "kconfig": "option",
    "ksym": "kernel symbol",
    "kfunc": "kernel function",
    "symbol": "symbol",
}
_CLOSE = "close: "


def missing(extern: ExternSpec, btf: Btf | None) -> NotFoundError:
    """Make the error for a strong symbol or function that the kernel does not have.

    Names that it does have and that are close to it come from *btf*, where there is one.
    """
    name = extern.kernel_name
    if btf is None:
        reason = "/proc/kallsyms has no such symbol"
        hint = "data symbols are listed by kernels with CONFIG_KALLSYMS_ALL"
        return NotFoundError(reason, hint=hint, name=name, where="/proc/kallsyms")
    what = "function" if extern.kind == "kfunc" else "variable"
    reason = f"neither vmlinux's BTF nor a module's has such a {what}"
    close = _close(btf, name, Kind.FUNC if extern.kind == "kfunc" else Kind.VAR)
    hint = f"{_CLOSE}{', '.join(close)}" if close else ""
    return NotFoundError(reason, hint=hint, name=name, where="kernel BTF", close=close)


def _close(btf: Btf, name: str, kind: Kind) -> tuple[str, ...]:
    """Return up to three names of *kind* like *name*, among those that start like it."""
    from difflib import get_close_matches

    for length in (len(name) // 2, 4):
        pool = btf.strings_starting(name[: max(length, 3)])
        close = [each for each in get_close_matches(name, pool, 8, 0.6) if btf.find(each, kind)]
        if close:
            return tuple(close[:3])
    return ()


def disagreement(extern: ExternSpec, theirs: str, module: str) -> TypeMismatchError:
    """Make the error for a declaration that the kernel's definition contradicts."""
    where = f"the module {module}" if module else "the kernel"
    mine = extern.declaration
    message = f"the program declares '{mine}', {where} has '{theirs}'"
    return TypeMismatchError(message, expected=theirs, given=mine, field=extern.name)


def ambiguous(extern: ExternSpec, hits: Sequence[KernelSymbol]) -> NotFoundError:
    """Make the error for a name that several kernel symbols have."""
    places = ", ".join(
        f"{hit.address:#x}{f' in {hit.module}' if hit.module else ''}" for hit in hits[:8]
    )
    message = f"/proc/kallsyms has {len(hits)} of that name ({places}), and one is needed"
    return NotFoundError(message, name=extern.name, where="/proc/kallsyms")


def unresolved(
    program: ProgramSpec, spec: ObjectSpec, problems: Mapping[str, tuple[str, SkepError | None]]
) -> ExternError:
    """Make the one error for all externs of *program* that cannot be resolved."""
    rows: list[tuple[str, str, str]] = []
    hints: list[str] = []
    for name, (kind, error) in problems.items():
        reason = _undeclared(spec) if error is None else error.message
        if error is not None and error.hint.startswith(_CLOSE):
            reason += f" ({error.hint})"
        elif error is not None and error.hint and error.hint not in hints:
            hints.append(error.hint)
        rows.append((name, kind, reason))
    release = release_name()
    parts = [
        reason if reason.startswith(f"option {name} ") else f"{_NOUNS[kind]} {name!r}: {reason}"
        for name, kind, reason in rows
    ]
    what = f"program {program.name!r} (section {program.section!r})"
    message = f"{what} needs what Linux {release} does not give it: {'; '.join(parts)}"
    if len(rows) == 1 and rows[0][1] in ("ksym", "kfunc") and not hints:
        hints.append("declare it __weak and test it with bpf_ksym_exists()")
    return ExternError(
        message,
        hint="; ".join(hints),
        name=rows[0][0],
        where="the running kernel",
        program=program.name,
        section=program.section,
        problems=tuple(rows),
        names=tuple(name for name, _, _ in rows),
        release=release,
    )


def _undeclared(spec: ObjectSpec) -> str:
    if spec.btf is None:
        return f"it is defined in another file, and {spec.name} has no BTF that says what it is"
    return (
        f"it is defined nowhere in {spec.name}, and not declared __ksym or __kconfig:"
        " link the objects that define it (bpftool gen object)"
    )


def called(program: ProgramSpec, extern: ExternSpec, error: VerifierError) -> ExternError:
    """Say which weak kernel function is missing instead of the verifier's words about the call."""
    from skep.programs.verifier import SourceLine

    release = release_name()
    reason = f"Linux {release} has no such function, or one with another prototype"
    message = f"program {program.name!r} (section {program.section!r}) calls the weak kernel"
    message += f" function {extern.name!r}: {reason}"
    if error.line:
        message += f", at {SourceLine(error.file, error.line_number, error.line)}"
    return ExternError(
        message,
        hint=f"call it only after bpf_ksym_exists({extern.name})",
        name=extern.name,
        where="the running kernel",
        program=program.name,
        section=program.section,
        problems=((extern.name, "kfunc", reason),),
        names=(extern.name,),
        release=release,
        log=error.log,
        errno=error.errno,
        file=error.file,
        line_number=error.line_number,
        line=error.line,
    )
