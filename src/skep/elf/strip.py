"""Objects without their debugging information: DWARF out, BTF, symbols and relocations kept.

A compiler writes DWARF next to BTF; no BPF loader reads it, and it is most of the file (a source
that includes a vmlinux.h: 780 KB, of which 44 KB matter).
"""

from __future__ import annotations

import struct

from skep.elf.reader import (
    EM_BPF,
    EM_NONE,
    ET_REL,
    HEADER_SIZE,
    SECTION_SIZE,
    SHN_LORESERVE,
    SHT_GROUP,
    SHT_NOBITS,
    SHT_NULL,
    SHT_REL,
    SHT_RELA,
    SHT_STRTAB,
    SHT_SYMTAB,
    SHT_SYMTAB_SHNDX,
    STB_LOCAL,
    ElfFile,
    Section,
    Symbol,
)

# Besides DWARF: unwind tables, which nothing can use in the kernel, a linker hint holding symbol
# numbers, which change here, and markers that no BPF loader reads.
_USELESS = frozenset((".eh_frame", ".llvm_addrsig", ".comment", ".note.GNU-stack"))
_RELOCATIONS = (SHT_REL, SHT_RELA)


def strip_debug(data: bytes, name: str = "<object>") -> bytes:
    """Return the BPF object *data* without DWARF and other sections no loader reads.

    Kept: code, data, maps, ``.BTF``, ``.BTF.ext``, the symbols of what is kept, and its
    relocations. The result depends on nothing but *data*, keeps its byte order, and stripping
    twice changes nothing. Raises ElfError (calling the object *name*) when *data* is not a
    relocatable BPF object, or when something kept refers to something removed.
    """
    elf = ElfFile(data, name)
    if elf.type != ET_REL or elf.machine not in (EM_BPF, EM_NONE):
        raise elf.error("is not a BPF object (a relocatable ELF file for machine BPF)")
    return _Stripper(elf).result()


class _Stripper:
    """One run: the sections and symbols kept, with their new numbers, and the new names."""

    def __init__(self, elf: ElfFile) -> None:
        self.elf = elf
        self.order = "<" if elf.byteorder == "little" else ">"
        tables = [section for section in elf.sections if section.type == SHT_SYMTAB]
        if len(tables) != 1 or tables[0].link >= len(elf.sections):
            raise elf.error("has no symbol table")
        self.string_table = elf.sections[tables[0].link]
        if self.string_table.type != SHT_STRTAB:
            raise elf.error("has a symbol table without names")
        self.sections = [section for section in elf.sections if self._wanted(section)]
        self.section_index = {old.index: new for new, old in enumerate(self.sections)}
        self.symbols = [
            symbol
            for symbol in elf.symbols
            if symbol.section_index >= SHN_LORESERVE or symbol.section_index in self.section_index
        ]
        self.symbol_index = {old.index: new for new, old in enumerate(self.symbols)}
        self.strings = bytearray(b"\0")
        self._string_offsets = {"": 0}

    def _wanted(self, section: Section) -> bool:
        """Whether to keep *section*. Relocations go with the section they apply to."""
        elf = self.elf
        if section.type in (SHT_GROUP, SHT_SYMTAB_SHNDX):
            raise elf.error(f"has a section {section.name} of a kind that cannot be stripped")
        if section.type == SHT_STRTAB:
            # One table for the names of symbols and sections is enough, and is what LLVM writes.
            return section is self.string_table
        target = section
        if section.type in _RELOCATIONS:
            if section.info >= len(elf.sections):
                raise elf.error(f"has relocations {section.name} for a section it does not have")
            target = elf.sections[section.info]
        return not (target.name.startswith(".debug_") or target.name in _USELESS)

    def result(self) -> bytes:
        """Lay out the kept sections, one after the other, and the new section headers."""
        names = [self._string(section.name) for section in self.sections]
        bodies = [self._body(section) for section in self.sections]
        strings_at = self.section_index[self.string_table.index]
        bodies[strings_at] = bytes(self.strings)  # complete only now

        output, headers = bytearray(HEADER_SIZE), bytearray()
        for section, name, body in zip(self.sections, names, bodies, strict=True):
            offset = 0
            if section.type != SHT_NULL:
                if section.align > 4096 or section.align & (section.align - 1):
                    message = f"has a section {section.name} aligned to {section.align} bytes"
                    raise self.elf.error(message)
                output += bytes(-len(output) % max(section.align, 1))
                offset = len(output)
            output += body
            headers += struct.pack(
                self.order + "IIQQQQIIQQ",
                name,
                section.type,
                section.flags,
                section.address,
                offset,
                section.size if section.type in (SHT_NOBITS, SHT_NULL) else len(body),
                self._new_section(section, section.link) if section.link else 0,
                self._info(section),
                section.align,
                section.entsize,
            )
        output += bytes(-len(output) % 8)
        count = len(self.sections)
        output[:HEADER_SIZE] = self.elf.raw[:HEADER_SIZE]
        struct.pack_into(self.order + "QQ", output, 32, 0, len(output))
        struct.pack_into(
            self.order + "HHHHHH", output, 52, HEADER_SIZE, 0, 0, SECTION_SIZE, count, strings_at
        )
        return bytes(output + headers)

    def _body(self, section: Section) -> bytes:
        if section.type == SHT_SYMTAB:
            return b"".join(map(self._symbol, self.symbols))
        if section.type in _RELOCATIONS:
            return self._relocations(section)
        return bytes(self.elf.data(section))

    def _info(self, section: Section) -> int:
        if section.type == SHT_SYMTAB:
            # How many local symbols there are; they come first.
            return sum(1 for symbol in self.symbols if symbol.binding == STB_LOCAL)
        if section.type in _RELOCATIONS:
            return self._new_section(section, section.info)
        return section.info

    def _symbol(self, symbol: Symbol) -> bytes:
        index = symbol.section_index
        return struct.pack(
            self.order + "IBBHQQ",
            self._string(symbol.name),
            symbol.binding << 4 | symbol.type,
            symbol.visibility,
            index if index >= SHN_LORESERVE else self.section_index[index],
            symbol.value,
            symbol.size,
        )

    def _relocations(self, table: Section) -> bytes:
        output = bytearray()
        for relocation in self.elf.relocations(self.elf.sections[table.info], table):
            symbol = self.symbol_index.get(relocation.symbol_index)
            if symbol is None:
                raise self.elf.error(f"has a relocation in {table.name} to a removed section")
            info = symbol << 32 | relocation.type
            output += struct.pack(self.order + "QQ", relocation.offset, info)
            if relocation.addend is not None:
                output += struct.pack(self.order + "q", relocation.addend)
        return bytes(output)

    def _new_section(self, section: Section, index: int) -> int:
        """Return the new number of section *index*, which *section* refers to."""
        new = self.section_index.get(index)
        if new is None:
            raise self.elf.error(f"has a section {section.name} that refers to a removed section")
        return new

    def _string(self, text: str) -> int:
        """Return the offset of *text* in the new table of names; equal names share it."""
        offset = self._string_offsets.get(text)
        if offset is None:
            offset = self._string_offsets[text] = len(self.strings)
            self.strings += text.encode("utf-8", "surrogateescape") + b"\0"
        return offset
