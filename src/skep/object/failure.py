"""What is said when an object fails to load. Imported only then."""

from __future__ import annotations

from skep.errors import KernelError, LoadError, NotFoundError, PrivilegeError, RelocationError
from skep.kernel import bpf
from skep.kernel.capabilities import explain_eperm, map_capabilities, program_capabilities
from skep.object.btf_downgrade import downgrades

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from skep.asm.code import Code
    from skep.btf.btf import Btf
    from skep.errors import SkepError, VerifierError
    from skep.kernel.fd import FD
    from skep.object.core_patch import Poisoned
    from skep.object.spec import ObjectSpec
    from skep.programs.spec import ProgramSpec

_LOG = 1 << 20


def load_older_btf(
    btf: Btf, name: str, error: KernelError, token: FD | None = None
) -> tuple[FD | None, LoadError | None]:
    """Try *btf* with ever less of what older kernels lack; return it loaded, or why not.

    *name* is the object's, *error* the refusal of the blob as it is.
    """
    for older in downgrades(btf):
        try:
            return bpf.btf_load(older, token_fd=token), None
        except KernelError:
            continue  # what is wrong with it is told of the blob as it is
    buffer = bytearray(_LOG)
    try:
        loaded = bpf.btf_load(btf.raw, log_level=1, log_buffer=buffer, token_fd=token)
    except KernelError:
        log = buffer[: max(buffer.find(0), 0)].decode("utf-8", "replace")
    else:
        return loaded, None
    lines = [line for line in log.splitlines() if line.strip()]
    reason = lines[-1].strip() if lines else error.message
    return None, LoadError(
        f"the kernel refused the BTF of {name}: {reason}",
        errno=error.errno or 0,
        call="BPF_BTF_LOAD",
        name=name,
        kind="btf",
        log=log,
    )


def unresolved(program: ProgramSpec, bad: Poisoned, error: VerifierError) -> RelocationError:
    """Say which field is missing instead of the verifier's words about a poisoned call."""
    from skep.programs.verifier import SourceLine

    message = f"program {program.name!r} (section {program.section!r}) {bad.sentence}"
    if error.line:
        place = SourceLine(error.file, error.line_number, error.line)
        message += f", at {place}"
    return RelocationError(
        message,
        hint="guard it with bpf_core_field_exists() and the like, or leave the program out",
        program=program.name,
        section=program.section,
        type=bad.type,
        field=bad.field,
        reason=bad.reason,
        log=error.log,
        errno=error.errno,
        file=error.file,
        line_number=error.line_number,
        line=error.line,
    )


def complete(error: SkepError, program: ProgramSpec) -> None:
    """Give *error*, the failure of *program*, all that such a failure can be asked for.

    Whatever went wrong, its attributes are `program`, `section`, `errno` (0 when no call failed),
    `cause` (a line), `log` (the verifier's), `file`, `line_number` and `line`.
    """
    evidence = error.evidence
    known = {
        "program": program.name,
        "section": program.section,
        "errno": 0,
        "cause": evidence.get("reason") or error.message,
        "log": "",
        "file": "",
        "line_number": 0,
        "line": "",
    }
    for name, value in known.items():
        if not evidence.get(name):
            evidence[name] = getattr(error, name, None) or value
            setattr(error, name, evidence[name])


def hint_of(spec: ObjectSpec, code: Code) -> str:
    """Return what may be behind the verifier's refusal of *code*: addresses in its variables."""
    for reference in code.references:
        section = dict.get(spec.maps, reference.name)
        if reference.kind != "data" or section is None or not section.initial:
            continue
        for variable in spec.variables.values():
            start, end = variable.offset, variable.offset + variable.size
            if variable.section != section.name or not start <= reference.offset < end:
                continue
            for at, target in section.initial:
                if start <= at < end:
                    return (
                        f"variable {variable.name!r} is to hold the address of {target!r}, which"
                        " stays 0: programs cannot use pointers that they read from memory"
                    )
    return ""


def left_out(spec: Any, kind: str, owner: str) -> NotFoundError:
    """Say why the program or map of *spec*, which *owner* has, is not in the kernel."""
    if kind == "map":
        what = f"map {spec.name!r} of {owner} was not created"
        return NotFoundError(what, hint="autocreate is off", name=spec.name, where=owner)
    hint = "load(programs=) left it out" if spec.autoload else "autoload is off"
    what = f"program {spec.name!r} of {owner} was not loaded"
    return NotFoundError(what, hint=hint, name=spec.name, where=owner)


def not_delegated(spec: ObjectSpec, error: PrivilegeError) -> PrivilegeError:
    """Say that the token which was used does not stand for what a call needs."""
    what, option = {
        "BPF_MAP_CREATE": ("a map", "delegate_maps"),
        "BPF_PROG_LOAD": ("a program", "delegate_progs and delegate_attachs"),
        "BPF_BTF_LOAD": ("BTF", "delegate_cmds"),
    }.get(error.call, ("something", "the delegate options"))
    doing = error.message.partition(" needs ")[0]
    return PrivilegeError(
        f"loading {spec.name}: {doing} is refused, though with a BPF token, which may not stand for"
        f" {what} of this kind",
        hint=f"mount its bpf file system with more in {option} (and delegate_cmds)",
        **error.evidence,
    )


def all_privileges(
    spec: ObjectSpec, programs: Iterable[ProgramSpec], error: PrivilegeError
) -> KernelError:
    """Name at once all that loading *spec* takes, where the kernel names one call's need."""
    needs = [*error.evidence.get("needs", ())]
    for each in spec.maps.values():
        needs += map_capabilities(each.type)
    for program in programs:
        needs += program_capabilities(program.type)
    what = f"loading {spec.name}"
    return explain_eperm(error.call, what, tuple(dict.fromkeys(needs)), errno=error.errno or 0)
