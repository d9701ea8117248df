"""A program as text: its instructions with the names and source lines that BTF knows."""

from __future__ import annotations

from skep.asm import listing
from skep.programs.verifier import source_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.programs.spec import ProgramSpec


def disassemble(spec: ProgramSpec, *, labels: bool = True, source: bool = True) -> list[str]:
    """See `ProgramSpec.disassemble`."""
    names = place_names(spec) if labels else {}

    def line(index: int) -> str:
        found = source_line(spec.code, spec.btf, index)
        return str(found) if found is not None else ""

    return listing.disassemble(
        spec.code, labels=labels, names=names, source=line if source else None
    )


def place_names(spec: ProgramSpec) -> dict[int, str]:
    """Return the names of the program's functions and labels by index."""
    btf = spec.btf
    functions = [] if btf is None else spec.code.functions
    names = {index: btf.type(type_id).name for index, type_id in functions if btf is not None}
    return {**names, **spec.labels}
