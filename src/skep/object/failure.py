"""What is said when an object fails to load. Imported only then."""

from __future__ import annotations

from skep.errors import KernelError, LoadError, NotFoundError
from skep.kernel import bpf
from skep.kernel.capabilities import explain_eperm, map_capabilities, program_capabilities
from skep.object.btf_layout import downgraded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from skep.btf.btf import Btf
    from skep.errors import PrivilegeError
    from skep.kernel.fd import FD
    from skep.object.spec import ObjectSpec
    from skep.programs.spec import ProgramSpec

_LOG = 1 << 20


def load_older_btf(btf: Btf, name: str, error: KernelError) -> tuple[FD | None, LoadError | None]:
    """Try *btf* without the kinds that older kernels lack; return it loaded, or why not.

    *name* is the object's, *error* the refusal of the blob as it is.
    """
    data = btf.raw
    older = downgraded(btf)
    if older is not None:
        try:
            return bpf.btf_load(older), None
        except KernelError as again:
            data, error = older, again
    buffer = bytearray(_LOG)
    try:
        return bpf.btf_load(data, log_level=1, log_buffer=buffer), None
    except KernelError:
        log = buffer[: max(buffer.find(0), 0)].decode("utf-8", "replace")
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


def left_out(spec: Any, kind: str, owner: str) -> NotFoundError:
    """Say why the program or map of *spec*, which *owner* has, is not in the kernel."""
    if kind == "map":
        what = f"map {spec.name!r} of {owner} was not created"
        return NotFoundError(what, hint="autocreate is off", name=spec.name, where=owner)
    hint = "load(programs=) left it out" if spec.autoload else "autoload is off"
    what = f"program {spec.name!r} of {owner} was not loaded"
    return NotFoundError(what, hint=hint, name=spec.name, where=owner)


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
