"""Whether an extern's declaration and the kernel's definition go together.

As CO-RE's `types_compatible`, with one thing looser: a struct that one side only declares goes with
the other side's definition. Programs pass pointers to kernel structures around without
knowing what is in them.
"""

from __future__ import annotations

from skep.btf import types as t
from skep.object.core_types import MAX_DEPTH, types_compatible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf.btf import Btf


def prototypes_agree(
    local_btf: Btf, local_id: int, kernel_btf: Btf, kernel_id: int, depth: int = 0
) -> bool:
    """Whether two function prototypes go together: as many parameters, each compatible.

    *depth* counts the prototypes around these: one that takes a pointer to itself has no end, and
    goes together with nothing.
    """
    local, kernel = local_btf.strip(local_id), kernel_btf.strip(kernel_id)
    if not isinstance(local, t.FuncProto) or not isinstance(kernel, t.FuncProto):
        return False
    mine, theirs = _parameters(local), _parameters(kernel)
    return len(mine) == len(theirs) and all(
        _agree(local_btf, one, kernel_btf, other, depth)
        for one, other in zip([local.type_id, *mine], [kernel.type_id, *theirs], strict=True)
    )


def variables_agree(local_btf: Btf, local_id: int, kernel_btf: Btf, kernel_id: int) -> bool:
    """Whether two variables' types go together."""
    return _agree(local_btf, local_id, kernel_btf, kernel_id, 0)


def _parameters(proto: t.FuncProto) -> list[int]:
    params = [type_id for _, type_id in proto.params]
    # clang may describe f(void) as one parameter of type void; a "..." after others stays.
    return [] if params == [0] else params


def _agree(local_btf: Btf, local_id: int, kernel_btf: Btf, kernel_id: int, depth: int) -> bool:
    for _ in range(MAX_DEPTH):
        local, kernel = local_btf.strip(local_id), kernel_btf.strip(kernel_id)
        if isinstance(local, t.Forward) or isinstance(kernel, t.Forward):
            one, other = _is_union(local), _is_union(kernel)
            return one is not None and one == other
        if isinstance(local, t.Pointer) and isinstance(kernel, t.Pointer):
            local_id, kernel_id = local.type_id, kernel.type_id
            continue
        if isinstance(local, t.FuncProto):
            return depth < MAX_DEPTH and prototypes_agree(
                local_btf, local_id, kernel_btf, kernel_id, depth + 1
            )
        return types_compatible(local_btf, local_id, kernel_btf, kernel_id)
    return False


def _is_union(found: t.Type) -> bool | None:
    if isinstance(found, t.Forward):
        return found.is_union
    return isinstance(found, t.Union) if isinstance(found, t.Composite) else None


def kernel_declaration(declared: t.Func | t.Var) -> str:
    """How C declares a function or variable of the kernel."""
    from skep.btf.spelling import declaration

    return declaration(declared.btf, declared.type_id, declared.name)
