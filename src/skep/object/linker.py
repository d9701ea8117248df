"""Making whole programs: the entry function, then every function it calls, calls filled in.

The kernel takes a program as one piece of code in which calls are relative. Functions follow in
the order in which they are first called, depth first, as in libbpf, so that listings of the two
loaders can be compared.
"""

from __future__ import annotations

from skep.asm.instruction import PSEUDO_FUNC
from skep.errors import ElfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from skep.asm.code import Code
    from skep.object.functions import Function

# MAX_CALL_FRAMES and BPF_MAX_SUBPROGS of include/linux/bpf_verifier.h limit what can be loaded;
# this limits what is tried.
MAX_SUBPROGRAMS = 512


def link(
    entry: Function, functions: Mapping[tuple[int, int], Function], name: str
) -> tuple[Code, list[Function]]:
    """Link *entry* with what it calls; return the code and the subprograms appended to it.

    *functions* are all of the object *name*, by place. Raises `ElfError` when a call leads to
    no function.
    """
    code = entry.code.copy()
    starts: dict[tuple[int, int], int] = {(entry.section.index, entry.offset): 0}
    appended: list[Function] = []
    # (function, where it starts, which of its calls is next): recursion made explicit.
    stack: list[tuple[Function, int, int]] = [(entry, 0, 0)]
    while stack:
        function, start, which = stack.pop()
        if which == len(function.calls):
            continue
        stack.append((function, start, which + 1))
        index, place = function.calls[which]
        at = starts.get(place)
        if at is None:
            called = functions.get(place)
            if called is None:
                message = (
                    f"{name}: function {function.name!r} calls byte {place[1]} of section"
                    f" {place[0]}, where no function starts"
                )
                raise ElfError(message, source=name)
            if len(appended) >= MAX_SUBPROGRAMS:
                message = f"{name}: {entry.name!r} calls more than {MAX_SUBPROGRAMS} functions"
                raise ElfError(message, source=name)
            at = starts[place] = code.append(called.code)
            appended.append(called)
            stack.append((called, at, 0))
        instruction = start + index
        code.set_imm(instruction, at - instruction - 1)
        if code.at(instruction).src == PSEUDO_FUNC:
            code.set_imm(instruction + 1, 0)
    code.core.sort(key=lambda record: record.index)
    return code, appended
