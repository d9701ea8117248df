"""ELF64 files of either byte order: header, sections, symbols, relocations, segments.

Everything is read from one buffer, checked against its length, and decoded when first asked for.
Whatever the bytes are, the only exception is `ElfError`. Objects are immutable after
construction, and safe to share between threads.

Format: System V ABI, chapters 4 and 5; the numbers are those of ``<elf.h>``.
"""

from __future__ import annotations

import struct
from itertools import pairwise

from skep.errors import ElfError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import PathLike
    from typing import Any, Literal

# e_type
ET_REL, ET_EXEC, ET_DYN = 1, 2, 3
# e_machine
EM_NONE, EM_X86_64, EM_AARCH64, EM_BPF = 0, 62, 183, 247
# sh_type
SHT_NULL, SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_NOTE = 0, 1, 2, 3, 4, 7
SHT_NOBITS, SHT_REL, SHT_DYNSYM, SHT_GROUP, SHT_SYMTAB_SHNDX = 8, 9, 11, 17, 18
# sh_flags
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR, SHF_COMPRESSED = 1, 2, 4, 0x800
# special section indexes
SHN_UNDEF, SHN_LORESERVE, SHN_ABS, SHN_COMMON, SHN_XINDEX = 0, 0xFF00, 0xFFF1, 0xFFF2, 0xFFFF
# symbol types, bindings, visibilities
STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_SECTION, STT_FILE, STT_TLS = 0, 1, 2, 3, 4, 6
STT_GNU_IFUNC = 10
STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
STV_DEFAULT, STV_INTERNAL, STV_HIDDEN, STV_PROTECTED = 0, 1, 2, 3
SHT_GNU_VERDEF, SHT_GNU_VERSYM = 0x6FFFFFFD, 0x6FFFFFFF
# p_type
PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE = 1, 2, 3, 4
PF_X = 1

HEADER_SIZE, SECTION_SIZE, SEGMENT_SIZE, SYMBOL_SIZE, REL_SIZE, RELA_SIZE = 64, 64, 56, 24, 16, 24

SHOWN = 100
"""Characters of a name that messages show, where there can be very many messages."""
_LONGEST = 500  # characters of a message: names in a file may be very long
MAX_NAME = 1 << 10
"""Bytes of the name of one section or symbol in a relocatable file; Linux takes symbols of 511."""
MAX_NAMES = 1 << 22
"""Bytes of all names of sections, and of all names of symbols, or four times the file's if that is
more. Names may be tails of one another, so that a file of 1 MB can spell 20 000 names of 500 000
bytes each."""


class Section:
    """One section header. Offsets and sizes in bytes; `address` is 0 in relocatable files."""

    __slots__ = (
        "address",
        "align",
        "entsize",
        "flags",
        "index",
        "info",
        "link",
        "name",
        "offset",
        "size",
        "type",
    )

    def __init__(
        self,
        index: int,
        name: str,
        type: int,
        flags: int,
        address: int,
        offset: int,
        size: int,
        link: int,
        info: int,
        align: int,
        entsize: int,
    ) -> None:
        self.index = index
        self.name = name
        self.type = type
        self.flags = flags
        self.address = address
        self.offset = offset
        self.size = size
        self.link = link
        self.info = info
        self.align = align
        self.entsize = entsize

    def __repr__(self) -> str:
        return f"<Section {self.index} {self.name!r}, {self.size} bytes>"


class Symbol:
    """One symbol. `section_index` is a section's, or one of the SHN_* constants."""

    __slots__ = ("binding", "index", "name", "section_index", "size", "type", "value", "visibility")

    def __init__(
        self,
        index: int,
        name: str,
        value: int,
        size: int,
        type: int,
        binding: int,
        visibility: int,
        section_index: int,
    ) -> None:
        self.index = index
        self.name = name
        self.value = value
        self.size = size
        self.type = type
        self.binding = binding
        self.visibility = visibility
        self.section_index = section_index

    def __repr__(self) -> str:
        return f"<Symbol {self.index} {self.name!r} at {self.section_index}+{self.value:#x}>"


class Relocation:
    """One relocation: at byte `offset` of its section, of `type`, against `symbol_index`.

    `addend` is None for SHT_REL, where it is stored in the place that is relocated.
    """

    __slots__ = ("addend", "offset", "symbol_index", "type")

    def __init__(self, offset: int, type: int, symbol_index: int, addend: int | None) -> None:
        self.offset = offset
        self.type = type
        self.symbol_index = symbol_index
        self.addend = addend

    def __repr__(self) -> str:
        return f"<Relocation type {self.type} at {self.offset:#x} to symbol {self.symbol_index}>"


class Segment:
    """One program header: what part of the file is mapped where."""

    __slots__ = ("address", "file_size", "flags", "memory_size", "offset", "type")

    def __init__(
        self, type: int, flags: int, offset: int, address: int, file_size: int, memory_size: int
    ) -> None:
        self.type = type
        self.flags = flags
        self.offset = offset
        self.address = address
        self.file_size = file_size
        self.memory_size = memory_size

    def __repr__(self) -> str:
        return f"<Segment type {self.type} at {self.address:#x}, file {self.offset:#x}>"


class ElfFile:
    """A 64-bit ELF file over *data*; *name* is what errors call it.

    The headers are read at once, symbols and relocations when asked for. The buffer is neither
    copied nor written, and must not change while this object is in use.
    """

    def __init__(self, data: bytes | bytearray | memoryview, name: str = "<bytes>") -> None:
        self.name = name
        self._data = memoryview(data).cast("B").toreadonly()
        self._symbols: list[Symbol] | None = None
        self._tables: dict[int, list[Section]] | None = None
        header = self._data[:HEADER_SIZE]
        if len(header) < 16 or bytes(header[:4]) != b"\x7fELF":
            raise self.error("is not an ELF file: it does not start with \\x7fELF", offset=0)
        if header[4] != 2:
            raise self.error("is not a 64-bit ELF file", offset=4)
        if header[5] not in (1, 2):
            raise self.error(f"has byte order {header[5]}; expected 1 or 2", offset=5)
        if len(header) < HEADER_SIZE:
            raise self.error(f"is truncated: {len(header)} bytes, the header takes 64", offset=0)
        self.byteorder: Literal["little", "big"] = "little" if header[5] == 1 else "big"
        self._order = "<" if header[5] == 1 else ">"
        (
            self.type,
            self.machine,
            version,
            self.entry,
            self._segments_offset,
            self._sections_offset,
            self.flags,
            _header_size,
            self._segment_size,
            self._segment_count,
            self._section_size,
            section_count,
            names_index,
        ) = struct.unpack_from(self._order + "HHIQQQIHHHHHH", header, 16)
        if header[6] != 1 or version != 1:
            raise self.error(f"has ELF version {version}; expected 1", offset=6)
        self.sections = self._read_sections(section_count, names_index)

    @classmethod
    def from_path(cls, path: str | PathLike[str]) -> ElfFile:
        """Read the whole file at *path*.

        Raises NotFoundError when there is no such file, ElfError when it cannot be read or is
        not a 64-bit ELF file.
        """
        import os

        name = os.fspath(path)
        try:
            with open(name, "rb") as file:
                data = file.read()
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no file {name}", name=name) from error
        except OSError as error:
            raise ElfError(f"{name} cannot be read: {error.strerror}", source=name) from error
        return cls(data, name)

    def error(self, what: str, offset: int | None = None) -> ElfError:
        """Make the error saying that this file *what*."""
        return ElfError(f"{self.name} {what[:_LONGEST]}", source=self.name, offset=offset)

    def release(self) -> None:
        """Let go of the buffer, so that a mapping behind it can be closed; nothing works after."""
        self._data.release()

    @property
    def raw(self) -> memoryview:
        """The whole file, read-only."""
        return self._data

    def section(self, name: str) -> Section | None:
        """Find the first section called *name*; None when there is none."""
        for section in self.sections:
            if section.name == name:
                return section
        return None

    def data(self, section: Section) -> memoryview:
        """View the bytes of *section*; empty for one without bytes in the file (NOBITS).

        Raises ElfError when they lie outside the file or are compressed.
        """
        if section.type in (SHT_NOBITS, SHT_NULL):
            return self._data[:0]
        if section.flags & SHF_COMPRESSED:
            raise self.error(f"has a compressed section {section.name}", offset=section.offset)
        return self.bytes_at(section.offset, section.size, f"section {section.name}")

    def bytes_at(self, offset: int, size: int, what: str) -> memoryview:
        """View *size* bytes at file *offset*; ElfError calls them *what* if they are not there."""
        if offset + size > len(self._data):
            message = (
                f"is truncated: {what} takes bytes {offset} to {offset + size}, "
                f"the file has {len(self._data)}"
            )
            raise self.error(message, offset=offset)
        return self._data[offset : offset + size]

    @property
    def symbols(self) -> list[Symbol]:
        """The symbols of ``.symtab`` in file order, including the null symbol; empty without one.

        Meant for relocatable files, whose tables are small. Large binaries: `skep.elf.binary`.
        """
        if self._symbols is None:
            tables = [section for section in self.sections if section.type == SHT_SYMTAB]
            if len(tables) > 1:
                raise self.error("has more than one symbol table", offset=tables[1].offset)
            self._symbols = self._read_symbols(tables[0]) if tables else []
        return self._symbols

    def relocations(self, section: Section, only: Section | None = None) -> list[Relocation]:
        """Read the relocations that apply to *section*, in file order; empty when none do.

        With *only*, just those of that relocation table.
        """
        found: list[Relocation] = []
        if self._tables is None:
            self._tables = {}
            for table in self.sections:
                if table.type in (SHT_REL, SHT_RELA):
                    self._tables.setdefault(table.info, []).append(table)
        for table in self._tables.get(section.index, ()):
            if only is not None and table is not only:
                continue
            size, form = (REL_SIZE, "QQ") if table.type == SHT_REL else (RELA_SIZE, "QQq")
            entries: Any = self._entries(table, size, form)
            count = len(self.symbols)
            for entry in entries:
                symbol, kind = entry[1] >> 32, entry[1] & 0xFFFFFFFF
                if symbol >= count:
                    message = f"has a relocation in {table.name} against symbol {symbol} of {count}"
                    raise self.error(message, offset=table.offset)
                addend = entry[2] if size == RELA_SIZE else None
                found.append(Relocation(entry[0], kind, symbol, addend))
        return found

    @property
    def segments(self) -> list[Segment]:
        """The program headers in file order; empty for relocatable files."""
        if not self._segment_count:
            return []
        if self._segment_size != SEGMENT_SIZE:
            raise self.error(f"has program headers of {self._segment_size} bytes; expected 56")
        table = self.bytes_at(
            self._segments_offset, self._segment_count * SEGMENT_SIZE, "the program header table"
        )
        return [
            Segment(kind, flags, offset, address, file_size, memory_size)
            for kind, flags, offset, address, _physical, file_size, memory_size, _align in (
                struct.iter_unpack(self._order + "IIQQQQQQ", table)
            )
        ]

    def _entries(self, table: Section, size: int, form: str) -> Any:
        """Decode a section that is an array of *form*, *size* bytes each."""
        if table.entsize not in (0, size) or table.size % size:
            message = f"has a table {table.name} whose size is no multiple of {size} bytes"
            raise self.error(message, offset=table.offset)
        return struct.iter_unpack(self._order + form, self.data(table))

    def _read_sections(self, count: int, names_index: int) -> list[Section]:
        if not self._sections_offset:
            return []
        if self._section_size != SECTION_SIZE:
            raise self.error(f"has section headers of {self._section_size} bytes; expected 64")
        form = self._order + "IIQQQQIIQQ"
        if not count or names_index == SHN_XINDEX:
            # More than 0xff00 sections: the numbers are in the fields of the first header.
            first = self.bytes_at(self._sections_offset, SECTION_SIZE, "the section header table")
            fields = struct.unpack(form, first)
            count = count or fields[5]
            names_index = fields[6] if names_index == SHN_XINDEX else names_index
        size = count * SECTION_SIZE
        table = self.bytes_at(self._sections_offset, size, "the section header table")
        rows = list(struct.iter_unpack(form, table))
        names = self._data[:0]
        if names_index:
            if names_index >= count:
                raise self.error(f"names section {names_index} of {count} as its string table")
            row = rows[names_index]
            if row[1] != SHT_NOBITS:
                names = self.bytes_at(row[4], row[5], "the table of section names")
        sections = []
        room = max(MAX_NAMES, 4 * len(self._data))
        for index, row in enumerate(rows):
            name = self._string(names, row[0], f"section {index}")
            room -= len(name)
            if room < 0:
                raise self.error(f"has section names of more than {MAX_NAMES} bytes")
            if len(name) > MAX_NAME and self.type == ET_REL:
                raise self.error(f"has a section name of {len(name)} bytes; {MAX_NAME} are allowed")
            sections.append(Section(index, name, *row[1:]))
        if self.type == ET_REL:
            self._refuse_overlaps(sections)
        return sections

    def _refuse_overlaps(self, sections: list[Section]) -> None:
        """Refuse sections that share bytes of the file, which no compiler writes.

        Each is read by itself, so that a few kilobytes shown a thousand times would become many
        megabytes. Sections past the end of the file are refused when they are read.
        """
        spans = sorted(
            (section.offset, section.offset + section.size, section.index)
            for section in sections
            if section.size and section.type not in (SHT_NOBITS, SHT_NULL)
        )
        for before, after in pairwise(spans):
            if after[0] < before[1] <= len(self._data):
                first, second = sections[before[2]].name, sections[after[2]].name
                message = f"has sections {first!r} and {second!r} in the same bytes"
                raise self.error(message, offset=after[0])

    def _read_symbols(self, table: Section) -> list[Symbol]:
        if table.link >= len(self.sections):
            raise self.error(f"has no string table for {table.name}", offset=table.offset)
        strings = bytes(self.data(self.sections[table.link]))
        if strings and strings[-1]:
            raise self.error(f"has a string table for {table.name} that does not end in NUL")
        symbols = []
        room = max(MAX_NAMES, 4 * len(self._data))
        entries: Any = self._entries(table, SYMBOL_SIZE, "IBBHQQ")
        for index, (name_at, info, other, shndx, value, size) in enumerate(entries):
            if name_at:
                if name_at >= len(strings):
                    raise self.error(f"has a symbol {index} whose name lies outside its table")
                text = strings[name_at : strings.index(0, name_at)]
                room -= len(text)
                if room < 0:
                    raise self.error(f"has symbol names of more than {MAX_NAMES} bytes")
                if len(text) > MAX_NAME:
                    message = f"has a symbol name of {len(text)} bytes; {MAX_NAME} are allowed"
                    raise self.error(message)
                name = text.decode("utf-8", "surrogateescape")
            else:
                name = ""
            if shndx == SHN_XINDEX:
                raise self.error(f"has a symbol {name!r} with an extended section index")
            if len(self.sections) <= shndx < SHN_LORESERVE:
                raise self.error(f"has a symbol {name!r} in section {shndx}, which does not exist")
            symbols.append(Symbol(index, name, value, size, info & 15, info >> 4, other & 3, shndx))
        return symbols

    def _string(self, table: memoryview, offset: int, what: str) -> str:
        """Decode the NUL-terminated string at *offset* of *table*."""
        if not offset and not len(table):
            return ""
        if offset >= len(table):
            raise self.error(f"has a {what} whose name lies outside the table of names")
        # Names are short: look for the end nearby before copying the rest of the table.
        text = bytes(table[offset : offset + 256])
        end = text.find(0)
        if end < 0:
            text = bytes(table[offset:])
            end = text.find(0)
            if end < 0:
                raise self.error(f"has a {what} whose name does not end")
        return text[:end].decode("utf-8", "surrogateescape")
