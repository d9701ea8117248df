"""From the bytes of an object file to an `ObjectSpec`. No kernel is asked."""

from __future__ import annotations

from skep.btf import types as t
from skep.btf.btf import Btf
from skep.btf.ext import BtfExt
from skep.elf.reader import (
    EM_BPF,
    EM_NONE,
    ET_REL,
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHOWN,
    SHT_NOBITS,
    SHT_PROGBITS,
    ElfFile,
)
from skep.errors import BtfError, ElfError, FormatError
from skep.kernel.constants import MapFlags, MapType
from skep.maps.spec import MapSpec
from skep.object import ledger
from skep.object.btf_layout import fix_layout
from skep.object.functions import Targets, read_functions
from skep.object.linker import Shared, exception_callbacks, link
from skep.object.variables import read_variables
from skep.programs.spec import ProgramSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from skep.asm.code import Code
    from skep.elf.reader import Section
    from skep.object.externs import ExternSpec
    from skep.object.functions import Function
    from skep.object.spec import ObjectSpec

    S = TypeVar("S", bound=ObjectSpec)

MAX_DATA = 1 << 26
"""The bytes of all data sections and of an arena's variables together: a .bss of any size costs a
hostile file nothing to declare."""

ARENA = ".addr_space.1"
"""Where compilers put variables of the address space 1, which is in an arena."""

_DATA = (".data", ".rodata", ".bss")
# Executable sections whose global functions are subprograms, not programs.
_LIBRARY = ".text"


def parse(cls: type[S], data: bytes | bytearray | memoryview, name: str) -> S:
    """Parse an object file; `ElfError` or `BtfError` when it is not one skep understands."""
    try:
        return _parse(cls, ElfFile(data, name))
    except FormatError as error:
        if name in error.message:
            raise
        # Raised where only a map or a type is known.
        error.args = (f"{name}: {error.message}",)
        raise


def _parse(cls: type[S], elf: ElfFile) -> S:
    name = elf.name
    if elf.type != ET_REL:
        raise elf.error("is no relocatable object file, as compilers write for BPF")
    if elf.machine not in (EM_BPF, EM_NONE):
        raise elf.error(f"is for machine {elf.machine}, not BPF ({EM_BPF})")
    btf, ext, externs = _read_btf(elf)
    spec = cls(
        name,
        byteorder=elf.byteorder,
        license=_text(elf, "license"),
        kernel_version=_version(elf),
        btf=btf,
    )
    spec.externs.update(externs)
    targets = Targets()
    sections = _sections_of(btf)
    room = MAX_DATA
    for section in elf.sections:
        if _read_special(spec, elf, section, sections, targets):
            continue
        if _is_data(section):
            room -= section.size
            if room < 0:
                raise elf.error(f"has more than {MAX_DATA} bytes of variables")
            # Two sections may share a name; BTF describes one of them.
            unique = (
                section.name if section.name not in spec.maps else f"{section.name}.{section.index}"
            )
            made = spec.maps[unique] = _data_map(elf, section, unique, btf, sections)
            if elf.relocations(section):
                from skep.object.pointers import addresses

                made.initial = addresses(elf, section)
            targets.data_sections[section.index] = unique
    ledger.declare_records(spec.maps)
    if targets.arena_section >= 0:
        from skep.object.map_sections import read_arena

        if elf.sections[targets.arena_section].size > room:
            raise elf.error(f"has more than {MAX_DATA} bytes of variables")
        read_arena(spec, elf, elf.sections[targets.arena_section], sections, targets)
    if externs and btf is not None:
        from skep.object.externs import kconfig_map

        options = kconfig_map(externs, btf)
        if options is not None:
            spec.maps[options.name] = options
    spec.variables = read_variables(spec.maps, btf, name)
    _read_programs(spec, elf, ext, targets)
    return spec


def _read_special(
    spec: ObjectSpec,
    elf: ElfFile,
    section: Section,
    sections: dict[str, t.DataSec],
    targets: Targets,
) -> bool:
    """Read *section* if it holds maps of some kind; return whether it does."""
    name = section.name
    if name == ARENA:
        targets.arena_section = section.index
        return True
    if section.type != SHT_PROGBITS:
        return False
    if name == ".maps":
        from skep.object.map_sections import read_maps

        read_maps(spec, elf, section, sections, targets)
    elif name[:4] == "maps" and (name == "maps" or name[4] == "/"):
        from skep.object.legacy_maps import read_legacy_maps

        read_legacy_maps(spec, elf, section, targets)
    elif "struct_ops" in name and name.removeprefix("?") in (".struct_ops", ".struct_ops.link"):
        from skep.object.struct_ops_sections import read_operations

        read_operations(spec, elf, section, sections)
    else:
        return False
    return True


def _read_btf(elf: ElfFile) -> tuple[Btf | None, BtfExt | None, dict[str, ExternSpec]]:
    section = elf.section(".BTF")
    if section is None or not section.size:
        return None, None, {}
    btf = Btf.from_bytes(bytes(elf.data(section)), name=elf.name)
    if btf.byteorder != elf.byteorder:
        raise BtfError(f"{elf.name} is {elf.byteorder}-endian, its BTF is not", source=elf.name)
    ext = elf.section(".BTF.ext")
    externs: dict[str, ExternSpec] = {}
    if b"\0.ksyms\0" in btf.raw or b"\0.kconfig\0" in btf.raw:
        from skep.object.externs import read_externs

        externs = read_externs(elf, btf)
    return (
        fix_layout(btf, elf, externs),
        None if ext is None or not ext.size else BtfExt.from_bytes(elf.data(ext), btf),
        externs,
    )


def _text(elf: ElfFile, name: str) -> str:
    section = elf.section(name)
    if section is None:
        return ""
    return bytes(elf.data(section)).partition(b"\0")[0].decode("utf-8", "replace")


def _version(elf: ElfFile) -> int:
    section = elf.section("version")
    if section is None:
        return 0
    data = elf.data(section)
    if len(data) != 4:
        raise elf.error(f"has a version of {len(data)} bytes, expected 4", offset=section.offset)
    return int.from_bytes(data, elf.byteorder)


def _sections_of(btf: Btf | None) -> dict[str, t.DataSec]:
    """Return the data sections that BTF describes, by name."""
    found: dict[str, t.DataSec] = {}
    if btf is not None:
        for id_ in range(1, len(btf)):
            if btf.kind_of(id_) == t.Kind.DATASEC:
                section = btf.type(id_)
                assert isinstance(section, t.DataSec)
                found[section.name] = section
    return found


def _is_data(section: Section) -> bool:
    """Whether *section* holds variables: .data, .rodata, .bss, and those with a suffix."""
    if section.type not in (SHT_PROGBITS, SHT_NOBITS) or not section.size:
        return False
    if not section.flags & SHF_ALLOC or section.flags & SHF_EXECINSTR:
        return False
    return section.name.startswith(_DATA) and (
        section.name in _DATA or section.name.split(".", 2)[1] in ("data", "rodata", "bss")
    )


def _data_map(
    elf: ElfFile, section: Section, name: str, btf: Btf | None, sections: dict[str, t.DataSec]
) -> MapSpec:
    constant = section.name.startswith(".rodata")
    flags = MapFlags.MMAPABLE | (MapFlags.RDONLY_PROG if constant else MapFlags(0))
    described = sections.get(name)
    bare = section.type == SHT_NOBITS
    return MapSpec(
        name=name,
        type=MapType.ARRAY,
        key_size=4,
        value_size=section.size,
        max_entries=1,
        flags=flags,
        btf=btf,
        value_type_id=described.id if described is not None else 0,
        contents=bytearray(section.size) if bare else bytearray(elf.data(section)),
        frozen=constant,
    )


def _read_programs(spec: ObjectSpec, elf: ElfFile, ext: BtfExt | None, targets: Targets) -> None:
    functions = read_functions(elf, ext, targets)
    callbacks = exception_callbacks(spec.btf)
    shared = Shared(functions, elf.name, len(elf.raw))
    for function in functions.values():
        # A static function in a program's section is a subprogram that was put there.
        if function.section.name == _LIBRARY or function.is_static:
            continue
        if function.name in spec.programs:
            raise ElfError(f"{elf.name} has two programs called {function.name!r}", source=elf.name)
        problem: ElfError | None = None
        handlers = [name for _, id_ in function.code.functions for name in callbacks.get(id_, ())]
        try:
            code, appended = link(function, shared, handlers)
            _complete_tables(code, 1 + len(appended))
        except ElfError as error:
            # The others may be fine: told when this one is loaded.
            problem = _hopeless(function, error)
            code = function.code.copy()
        spec.programs[function.name] = ProgramSpec(
            name=function.name,
            section=function.section.name,
            code=code,
            license=spec.license,
            kernel_version=spec.kernel_version,
            btf=spec.btf,
            problem=problem,
        )


def _hopeless(function: Function, error: ElfError) -> ElfError:
    where = f"program {function.name[:SHOWN]!r} (section {function.section.name[:SHOWN]!r})"
    return ElfError(
        f"{where} makes no sense: {error.message}",
        source=error.source,
        offset=error.offset,
        program=function.name,
        section=function.section.name,
    )


def _complete_tables(code: Code, functions: int) -> None:
    """Drop what the kernel would refuse: it takes a record for every function, or none.

    Each function starts with a line (check_btf_line in kernel/bpf/verifier.c), and no
    instruction has two.
    """
    if len(code.functions) != functions:
        code.functions.clear()
    lines = {line[0]: line for line in code.lines}
    code.lines = list(lines.values())
    if any(start not in lines for start, _ in code.functions):
        code.lines.clear()
