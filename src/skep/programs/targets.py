"""What a BTF-typed program attaches to: the id of a function or tracepoint type in kernel BTF.

Which name stands for a target is the kernel's convention: a raw tracepoint X has the typedef
`btf_trace_X` (include/trace/bpf_probe.h), an LSM hook X the function `bpf_lsm_X`, an iterator X
the function `bpf_iter_X`.
"""

from __future__ import annotations

from skep.btf.types import Kind
from skep.errors import NotFoundError, RangeError, UnsupportedError
from skep.kernel.constants import AttachType, ProgramType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf.btf import Btf
    from skep.programs.spec import ProgramSpec

_PREFIX = {
    AttachType.TRACE_RAW_TP: "btf_trace_",
    AttachType.LSM_MAC: "bpf_lsm_",
    AttachType.LSM_CGROUP: "bpf_lsm_",
    AttachType.TRACE_ITER: "bpf_iter_",
}


_NO_FUNCTION = "it may be inlined, renamed, or in a module"


def target_id(spec: ProgramSpec, kernel: Btf | None = None) -> int:
    """Return the BTF id of *spec*'s target in *kernel* (the running one's by default).

    Raises `NotFoundError` naming the target, `NoBtfError` when the kernel has no BTF, and
    `RangeError` when the section names no target.
    """
    if spec.type == ProgramType.EXT:
        message = f"program {spec.name!r} replaces a function of another program"
        raise UnsupportedError(message, feature="freplace", program=spec.name)
    if not spec.attach_to:
        message = f"program {spec.name!r} (section {spec.section!r}) names nothing to attach to"
        raise RangeError(
            message,
            hint=f'write the section as "{spec.section}/NAME" or set attach_to',
            program=spec.name,
        )
    if kernel is None:
        from skep.btf.kernel import kernel_btf

        kernel = kernel_btf()
    prefix = _PREFIX.get(spec.expected_attach_type, "")
    kind = Kind.TYPEDEF if spec.expected_attach_type == AttachType.TRACE_RAW_TP else Kind.FUNC
    found = kernel.find(prefix + spec.attach_to, kind)
    if found:
        return found[0]
    what = {"btf_trace_": "tracepoint", "bpf_lsm_": "LSM hook", "bpf_iter_": "iterator"}
    message = (
        f"program {spec.name!r} (section {spec.section!r}): the kernel has no"
        f" {what.get(prefix, 'function')} {spec.attach_to!r} that BTF describes"
    )
    raise NotFoundError(
        message,
        hint=_similar(kernel, prefix, spec.attach_to, kind) if prefix else _NO_FUNCTION,
        name=spec.attach_to,
        where=kernel.name,
        program=spec.name,
    )


def _similar(kernel: Btf, prefix: str, name: str, kind: Kind) -> str:
    """Return a hint with the targets of that kind whose names come close to *name*."""
    from difflib import get_close_matches

    # A category, as the section "tracepoint/" takes one, is no part of these names.
    name = name.rpartition("/")[2]
    known = [text.removeprefix(prefix) for text in kernel.strings_starting(prefix)]
    close = get_close_matches(name, known, n=4, cutoff=0.6)
    close = [each for each in close if kernel.find(prefix + each, kind)]
    return f"did you mean {', '.join(close)}?" if close else "it may be in a module"
