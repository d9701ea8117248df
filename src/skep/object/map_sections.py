"""`.maps`, the section of maps that BTF describes, and the variables of an arena."""

from __future__ import annotations

from skep.btf import types as t
from skep.elf.reader import SHT_NOBITS, STT_OBJECT
from skep.errors import BtfError
from skep.kernel.constants import MapType
from skep.object.map_definitions import read_definition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf.btf import Btf
    from skep.elf.reader import ElfFile, Section
    from skep.object.functions import Targets
    from skep.object.spec import ObjectSpec

SECTION = ".maps"


def read_maps(
    spec: ObjectSpec,
    elf: ElfFile,
    section: Section,
    sections: dict[str, t.DataSec],
    targets: Targets,
) -> None:
    """Read `.maps` into *spec*: definitions from BTF, initial values from relocations."""
    described = sections.get(SECTION)
    if spec.btf is None or described is None:
        raise elf.error(
            "has maps in .maps that no BTF describes (compile with -g)", offset=section.offset
        )
    targets.map_sections.add(section.index)
    found = []
    for var_id, offset, size in described.variables:
        variable = spec.btf.type(var_id)
        if not isinstance(variable, t.Var):
            raise BtfError(f"{elf.name}: type {var_id} in .maps is no variable", source=elf.name)
        name = unique_name(variable.name, spec)
        spec.maps[name] = read_definition(spec.btf, name, variable.type_id)
        targets.maps[section.index, offset] = name
        found.append((offset, size, variable))
    declared = {
        symbol.name
        for symbol in elf.symbols
        if symbol.section_index == section.index and symbol.type == STT_OBJECT
    }
    missing = declared - {variable.name for _, _, variable in found}
    if missing:
        raise elf.error(f"has a map {min(missing)!r} that its BTF does not describe")
    relocations = elf.relocations(section)
    if relocations and found:
        _read_values(spec, elf, section, found, targets)
    names = {variable.id: targets.maps[section.index, offset] for offset, _, variable in found}
    _read_tags(spec, spec.btf, names)


def unique_name(name: str, spec: ObjectSpec) -> str:
    """Return *name*, or "NAME.2" and so on for static maps of one name in a linked object."""
    unique, count = name, 1
    while unique in spec.maps:
        count += 1
        unique = f"{name}.{count}"
    return unique


def _read_values(
    spec: ObjectSpec,
    elf: ElfFile,
    section: Section,
    found: list[tuple[int, int, t.Var]],
    targets: Targets,
) -> None:
    """Read which maps or programs are in maps from the start."""
    from bisect import bisect_right

    from skep.object.pointers import functions_by_place, pointed

    assert spec.btf is not None
    functions = functions_by_place(elf)
    found = sorted(found, key=lambda row: row[0])
    starts = [start for start, _, _ in found]
    for relocation in elf.relocations(section):
        place, offset, name = pointed(elf, section, relocation)
        at = section.offset + relocation.offset
        start, size, variable = found[max(bisect_right(starts, relocation.offset) - 1, 0)]
        if not start <= relocation.offset < start + size:
            raise elf.error("has a relocation in .maps outside any map", offset=at)
        index = _value_index(spec.btf, variable, relocation.offset - start)
        if index is None:
            what = f"a relocation in map {variable.name!r} outside its 'values'"
            raise elf.error(f"has {what}", offset=at)
        target = targets.maps.get((place, offset), "")
        target = target or functions.get((place, offset), "") or name
        if not target:
            what = f"value {index} of map {variable.name!r} that is no map and no function"
            raise elf.error(f"has a {what}", offset=at)
        spec.maps[targets.maps[section.index, start]].initial.append((index, target))


def _value_index(btf: Btf, variable: t.Var, offset: int) -> int | None:
    """Return which initial value of a map byte *offset* of its definition is."""
    definition = btf.strip(variable.type_id)
    if isinstance(definition, t.Struct) and definition.members:
        last = definition.members[-1]
        start = last.bit_offset // 8
        if last.name == "values" and offset >= start and not (offset - start) % 8:
            return (offset - start) // 8
    return None


def _read_tags(spec: ObjectSpec, btf: Btf, names: dict[int, str]) -> None:
    """Note the declaration tags of maps."""
    tags: dict[str, list[str]] = {}
    for id_ in range(1, len(btf)):
        if btf.kind_of(id_) == t.Kind.DECL_TAG:
            tag = btf.type(id_)
            assert isinstance(tag, t.DeclTag)
            name = names.get(tag.type_id)
            if name is not None and tag.component_index < 0:
                tags.setdefault(name, []).append(tag.name)
    for name, texts in tags.items():
        spec.maps[name].tags += tuple(texts)


def read_arena(
    spec: ObjectSpec,
    elf: ElfFile,
    section: Section,
    sections: dict[str, t.DataSec],
    targets: Targets,
) -> None:
    """Make the variables of address space 1 the contents of the object's arena.

    Raises `ElfError` unless there is exactly one arena.
    """
    arenas = [each for each in spec.maps.values() if each.type == MapType.ARENA]
    if len(arenas) != 1:
        have = f"{len(arenas)} arenas" if arenas else "no arena"
        raise elf.error(
            f"has variables in an arena ({section.name}) and {have}, expected one map of type ARENA"
        )
    arena = arenas[0]
    described = sections.get(section.name)
    arena.contents = (
        bytearray(section.size) if section.type == SHT_NOBITS else bytearray(elf.data(section))
    )
    arena.value_type_id = described.id if described is not None else 0
    targets.data_sections[section.index] = arena.name
