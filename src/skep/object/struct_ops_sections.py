"""`.struct_ops` and `.struct_ops.link`: structs whose function pointers are programs."""

from __future__ import annotations

from skep.btf import types as t
from skep.errors import BtfError
from skep.kernel.constants import MapFlags
from skep.maps.struct_ops import StructOpsSpec
from skep.object.map_sections import unique_name
from skep.object.pointers import functions_by_place, pointed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.elf.reader import ElfFile, Section
    from skep.object.spec import ObjectSpec

_LINK = ".struct_ops.link"


def read_operations(
    spec: ObjectSpec, elf: ElfFile, section: Section, sections: dict[str, t.DataSec]
) -> None:
    """Read the structs of *section* into *spec*, with the programs that they point to.

    Raises `ElfError` or `BtfError` naming the struct that is not understood.
    """
    described = sections.get(section.name)
    if spec.btf is None or described is None:
        message = f"has structs in {section.name} that no BTF describes (compile with -g)"
        raise elf.error(message, offset=section.offset)
    data = elf.data(section)
    found: list[tuple[int, int, StructOpsSpec]] = []
    end = 0
    for var_id, offset, size in sorted(described.variables, key=lambda row: row[1]):
        variable = spec.btf.type(var_id)
        if not isinstance(variable, t.Var):
            message = f"{elf.name}: type {var_id} in {section.name} is no variable"
            raise BtfError(message, source=elf.name)
        struct = spec.btf.strip(variable.type_id)
        if not isinstance(struct, t.Struct) or not struct.name or struct.size != size:
            raise BtfError(f"{elf.name}: {variable.name!r} in {section.name} is no named struct")
        if not end <= offset <= offset + size <= len(data):
            what = f"a struct {variable.name!r} that leaves {section.name} or overlaps another one"
            raise elf.error(f"has {what}")
        end = offset + size
        made = StructOpsSpec(
            name=unique_name(variable.name, spec),
            value_size=size,
            btf=spec.btf,
            value_type_id=struct.id,
            contents=bytearray(data[offset : offset + size]),
            flags=MapFlags.LINK if section.name.endswith(_LINK) else MapFlags(0),
            autocreate=not section.name.startswith("?"),
        )
        spec.maps[made.name] = made
        found.append((offset, size, made))
    relocations = elf.relocations(section)
    if not relocations or not found:
        return
    from bisect import bisect_right

    functions = functions_by_place(elf)
    starts = [start for start, _, _ in found]
    for relocation in relocations:
        place, target, name = pointed(elf, section, relocation)
        start, size, made = found[max(bisect_right(starts, relocation.offset) - 1, 0)]
        if start <= relocation.offset < start + size:
            at = relocation.offset - start
            program = functions.get((place, target), "") or name
            if not program or at + 8 > size:
                what = f"byte {at} of {made.name!r} that points to no function"
                raise elf.error(f"has a {what}", offset=section.offset + relocation.offset)
            made.initial.append((at, program))
            assert made.contents is not None
            made.contents[at : at + 8] = bytes(8)
