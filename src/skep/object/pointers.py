"""What addresses that stand in data point to: maps and functions, by name."""

from __future__ import annotations

from skep.elf.reader import SHT_NOBITS, STT_FUNC, STT_SECTION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.elf.reader import ElfFile, Relocation, Section

_SIZE = 8  # bytes of an address


def pointed(elf: ElfFile, section: Section, relocation: Relocation) -> tuple[int, int, str]:
    """Return (section, byte offset, name) of what the address at *relocation* stands for.

    *section* is the one that the address is in. The name is "" for something static, which is only
    known by its place: the compiler then writes the offset where the address is to go.
    """
    symbol = elf.symbols[relocation.symbol_index]
    offset = symbol.value
    if relocation.addend is not None:
        offset += relocation.addend
    elif section.type != SHT_NOBITS:
        at = relocation.offset
        offset += int.from_bytes(elf.data(section)[at : at + _SIZE], elf.byteorder)
    name = "" if symbol.type == STT_SECTION else symbol.name
    return symbol.section_index, offset, name


def functions_by_place(elf: ElfFile) -> dict[tuple[int, int], str]:
    """Return the names of functions by (section number, byte offset in it)."""
    found: dict[tuple[int, int], str] = {}
    for symbol in elf.symbols:
        if symbol.type == STT_FUNC:
            found.setdefault((symbol.section_index, symbol.value), symbol.name)
    return found


def addresses(elf: ElfFile, section: Section) -> list[tuple[int, str]]:
    """List the addresses in the variables of *section*, as (byte offset, what of).

    Nothing fills them in, as for libbpf: a pointer that a program reads from memory is a number for
    the verifier. They are listed for the message about a program that tries.
    """
    functions = functions_by_place(elf)
    found = []
    for relocation in elf.relocations(section):
        place, offset, name = pointed(elf, section, relocation)
        name = name or functions.get((place, offset), "")
        if not name and place < len(elf.sections):
            name = f"{elf.sections[place].name}+{offset}"
        found.append((relocation.offset, name))
    return found
