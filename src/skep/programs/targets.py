"""What a BTF-typed program attaches to: a function or tracepoint type in somebody's BTF.

Mostly the kernel's, then that of its modules ("fentry/nf_conntrack:nf_ct_delete" names the
module), or another program's (`ProgramSpec.attach_program`).

Which name stands for a target is the kernel's convention: a raw tracepoint X has the typedef
`btf_trace_X` (include/trace/bpf_probe.h), an LSM hook X the function `bpf_lsm_X`, an iterator X
the function `bpf_iter_X`.
"""

from __future__ import annotations

from skep.btf.types import Kind
from skep.errors import NoBtfError, NotFoundError, RangeError
from skep.kernel.constants import AttachType, ProgramType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.btf.btf import Btf
    from skep.kernel.fd import FD
    from skep.programs.program import Program
    from skep.programs.spec import ProgramSpec

_PREFIX = {
    AttachType.TRACE_RAW_TP: "btf_trace_",
    AttachType.LSM_MAC: "bpf_lsm_",
    AttachType.LSM_CGROUP: "bpf_lsm_",
    AttachType.TRACE_ITER: "bpf_iter_",
}
_WORD = {"btf_trace_": "tracepoint", "bpf_lsm_": "LSM hook", "bpf_iter_": "iterator"}

_NO_FUNCTION = "it may be inlined, renamed, or in a module that is not loaded"


class TypeTarget:
    """The type that a program is loaded for: number `id` in some BTF.

    It is the kernel's, unless `module` is a descriptor of a module's BTF (owned; see `close`) or
    `program` another program. `member` is the index of the member of a struct of operations that
    the program implements, None for other kinds.
    """

    __slots__ = ("id", "member", "module", "program")

    def __init__(
        self,
        id: int,
        *,
        module: FD | None = None,
        program: Program | None = None,
        member: int | None = None,
    ) -> None:
        self.id = id
        self.module = module
        self.program = program
        self.member = member

    def arguments(self) -> dict[str, Any]:
        """Return what BPF_PROG_LOAD is told."""
        found: dict[str, Any] = {"attach_btf_id": self.id}
        if self.program is not None:
            found["attach_prog_fd"] = self.program.fd
        elif self.module is not None:
            found["attach_btf_obj_fd"] = self.module
        if self.member is not None:
            found["expected_attach_type"] = self.member
        return found

    def close(self) -> None:
        """Close the descriptor of the module's BTF, where there is one. Idempotent."""
        if self.module is not None:
            self.module.close()


def find_target(spec: ProgramSpec) -> TypeTarget:
    """Find what *spec* attaches to; the caller closes it.

    Raises `NotFoundError` naming the target and what comes close, `NoBtfError` when the kernel
    has no BTF, `RangeError` when the section names no target or an extension no program, and
    `PrivilegeError` for a target in a module without CAP_SYS_ADMIN.
    """
    if spec.type == ProgramType.EXT and spec.attach_program is None:
        message = f"program {spec.name!r} replaces a function of another program, and of which?"
        hint = f"set programs[{spec.name!r}].attach_program to the loaded Program, before load()"
        raise RangeError(message, hint=hint, program=spec.name)
    if not spec.attach_to:
        message = f"program {spec.name!r} (section {spec.section!r}) names nothing to attach to"
        raise RangeError(
            message,
            hint=f'write the section as "{spec.section}/NAME" or set attach_to',
            program=spec.name,
        )
    if spec.attach_program is not None:
        return TypeTarget(_function_of(spec, spec.attach_program), program=spec.attach_program)
    kernel = _own_btf(spec)
    prefix = _PREFIX.get(spec.expected_attach_type, "")
    kind = Kind.TYPEDEF if prefix == "btf_trace_" else Kind.FUNC
    module, _, name = spec.attach_to.rpartition(":")
    if not module:
        found = kernel.find(prefix + name, kind)
        if found:
            return TypeTarget(found[0])
    return _in_modules(spec, kernel, module, prefix, name, kind)


def _in_modules(
    spec: ProgramSpec, kernel: Btf, module: str, prefix: str, name: str, kind: Kind
) -> TypeTarget:
    from skep.btf.modules import module_btf, modules_with

    where = kernel.name
    if module:
        try:
            btf = module_btf(module, kernel)
        except NotFoundError as error:
            start = f"program {spec.name!r} (section {spec.section!r}): "
            evidence = {**error.evidence, "program": spec.name}
            raise NotFoundError(start + error.message, hint=error.hint, **evidence) from error
        where = module
        candidates = [(module, btf)]
    else:
        candidates = list(modules_with(prefix + name, kernel))
    for owner, btf in candidates:
        found = [id_ for id_ in btf.find(prefix + name, kind) if id_ >= btf.first_id]
        if found:
            from skep.kernel.module_btf import module_btf_fd

            return TypeTarget(found[0], module=module_btf_fd(owner))
    owner = f"module {module}" if module else "kernel"
    message = (
        f"program {spec.name!r} (section {spec.section!r}): the {owner} has no"
        f" {_WORD.get(prefix, 'function')} {name!r} that BTF describes"
    )
    raise NotFoundError(
        message,
        hint=_similar(candidates[0][1] if module else kernel, prefix, name, kind),
        name=name,
        where=where,
        program=spec.name,
    )


def _function_of(spec: ProgramSpec, target: Program) -> int:
    """Return the id of the function `attach_to` in *target*'s own BTF."""
    from skep.btf.btf import Btf
    from skep.kernel import bpf
    from skep.kernel.bpf.info import btf_data

    info = target.info
    if not info.btf_id:
        raise _refused(spec, target, "was loaded without BTF, so its functions have no names", "")
    with bpf.fd_by_id("btf", info.btf_id) as fd:
        btf = Btf.from_bytes(btf_data(fd), name=f"program {target.name!r}")
    found = btf.find(spec.attach_to, Kind.FUNC)
    if found:
        return found[0]
    from difflib import get_close_matches

    names = [each.name for each in btf.types() if each.kind == Kind.FUNC]
    close = get_close_matches(spec.attach_to, names, n=4, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}?" if close else f"it has {', '.join(names[:8])}"
    raise _refused(spec, target, f"has no function {spec.attach_to!r}", hint)


def _refused(spec: ProgramSpec, target: Program, what: str, hint: str) -> NotFoundError:
    return NotFoundError(
        f"program {spec.name!r} (section {spec.section!r}): program {target.name!r}, to which it"
        f" attaches, {what}",
        hint=hint,
        name=spec.attach_to,
        where=target.name,
        program=spec.name,
    )


def _own_btf(spec: ProgramSpec) -> Btf:
    """Return the kernel's whole BTF: the id is one of its own, so no other file will do."""
    from skep.btf.kernel import own_btf

    try:
        return own_btf()
    except NoBtfError as error:
        message = (
            f"program {spec.name!r} (section {spec.section!r}) attaches to a type of the kernel by"
            f" its id in the kernel's own BTF, which no other BTF has: {error.message}"
        )
        raise NoBtfError(
            message,
            hint="leave this program out, or use a raw_tp, tracepoint or kprobe program instead",
            name=spec.attach_to,
            where=error.where,
            tried=error.tried,
            program=spec.name,
        ) from error


def _similar(btf: Btf, prefix: str, name: str, kind: Kind) -> str:
    """Return a hint with the targets of that kind in *btf* whose names come close to *name*."""
    from difflib import get_close_matches

    # A category, as the section "tracepoint/" takes one, is no part of these names.
    name = name.rpartition("/")[2]
    # Functions are tens of thousands: only those that begin alike are compared.
    start = prefix or name[:3]
    known = [text.removeprefix(prefix) for text in btf.strings_starting(start)]
    close = get_close_matches(name, known, n=8, cutoff=0.6)
    close = [each for each in close if btf.find(prefix + each, kind)][:4]
    otherwise = "it may be in a module that is not loaded" if prefix else _NO_FUNCTION
    return f"did you mean {', '.join(close)}?" if close else otherwise
