"""Large symbol tables, searched without decoding them.

A name is looked for in the string table with the C library's memmem (`bytes.find`), and then the
offset it was found at among the symbols: a symbol of a 99 MB executable takes milliseconds,
where decoding its 184 833 symbols takes a third of a second.
"""

from __future__ import annotations

import struct

from skep.elf.reader import (
    MAX_NAMES,
    SHN_LORESERVE,
    SHN_UNDEF,
    SHT_GNU_VERDEF,
    SHT_GNU_VERSYM,
    STT_FUNC,
    STT_GNU_IFUNC,
    STT_NOTYPE,
    SYMBOL_SIZE,
    ElfFile,
    Section,
    Symbol,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# In .gnu.version: this version of the symbol is found only when it is asked for by name.
_VERSION_HIDDEN = 0x8000
_VERSION_LENGTH = 255  # bytes of a version's name; "GLIBCXX_3.4.30" is a long one

# Names found in more places than this (a short name is the tail of many) are looked up in one
# pass over the symbols instead of one search for each place.
_MANY = 8


class SymbolTable:
    """The symbols of one table (``.symtab`` or ``.dynsym``) of *elf*. Raises only ElfError."""

    def __init__(self, elf: ElfFile, section: Section) -> None:
        self.elf = elf
        self.section = section
        if section.link >= len(elf.sections):
            raise elf.error(f"has no string table for {section.name}")
        if section.size % SYMBOL_SIZE:
            raise elf.error(f"has a table {section.name} whose size is no multiple of 24 bytes")
        # Copied: a memoryview has no find(), and a view would keep the file mapped.
        self._symbols = bytes(elf.data(section))
        self._strings = bytes(elf.data(elf.sections[section.link])) + b"\0"
        self._order = "<" if elf.byteorder == "little" else ">"
        self._versions: dict[int, str] | None = None
        # The table of versions, which belongs to the dynamic symbols.
        self._version_table = next(
            (
                each
                for each in elf.sections
                if each.type == SHT_GNU_VERSYM and each.link == section.index
            ),
            None,
        )

    def find(self, name: str) -> list[Symbol]:
        """Find every symbol called *name*, defined or not, code or data, in table order.

        *name* may end in ``@VERSION``. Without, the symbols of the default version are found, or
        those of any version if there is no default.
        """
        base, _at, version = name.partition("@")
        wanted = version.lstrip("@")
        if self._version_table is None:
            # Static tables spell the version in the name: memcpy@@GLIBC_2.14.
            if wanted:
                return self._by_name(f"{base}@{wanted}") + self._by_name(f"{base}@@{wanted}")
            return self._by_name(base)
        symbols = self._by_name(base)
        if wanted:
            return [symbol for symbol in symbols if self.version(symbol)[0] == wanted]
        return [symbol for symbol in symbols if not self.version(symbol)[1]] or symbols

    def version(self, symbol: Symbol) -> tuple[str, bool]:
        """Return the version of *symbol* (empty without), and whether it is not the default."""
        table = self._version_table
        if table is None or 2 * symbol.index + 2 > table.size:
            return "", False
        data = self.elf.data(table)
        (number,) = struct.unpack_from(self._order + "H", data, 2 * symbol.index)
        hidden = bool(number & _VERSION_HIDDEN)
        return self._version_names().get(number & ~_VERSION_HIDDEN, ""), hidden

    def __iter__(self) -> Iterator[Symbol]:
        """Decode all the symbols with a name, in table order."""
        rows = struct.iter_unpack(self._order + "IBBHQQ", self._symbols)
        # Names may be tails of one another; of an honest table's, few are.
        room = MAX_NAMES + 4 * len(self._strings)
        for index, row in enumerate(rows):
            if row[0]:
                symbol = self._symbol(index, row)
                room -= len(symbol.name)
                if room < 0:
                    raise self.elf.error(f"has symbol names far longer than {self.section.name}")
                yield symbol

    def _by_name(self, name: str) -> list[Symbol]:
        # A name may be stored as the tail of a longer one, so what precedes it says nothing.
        needle = name.encode("utf-8", "surrogateescape") + b"\0"
        if len(needle) == 1 or needle.count(0) > 1:
            return []
        places = []
        at = self._strings.find(needle)
        while at >= 0:
            places.append(at)
            at = self._strings.find(needle, at + 1)
        if not places:
            return []
        form = self._order + "IBBHQQ"
        if len(places) > _MANY:
            wanted = set(places)
            rows = struct.iter_unpack(form, self._symbols)
            indexes = [index for index, row in enumerate(rows) if row[0] in wanted]
        else:
            indexes = sorted(self._indexes(places))
        return [
            self._symbol(index, struct.unpack_from(form, self._symbols, index * SYMBOL_SIZE))
            for index in indexes
        ]

    def _indexes(self, name_offsets: list[int]) -> Iterator[int]:
        """Find the symbols whose st_name is one of *name_offsets*, by searching for the number."""
        for offset in name_offsets:
            needle = struct.pack(self._order + "I", offset)
            at = self._symbols.find(needle)
            while at >= 0:
                if at % SYMBOL_SIZE == 0:
                    yield at // SYMBOL_SIZE
                at = self._symbols.find(needle, at + 1)

    def _symbol(self, index: int, row: tuple[int, ...]) -> Symbol:
        name_at, info, other, section, value, size = row
        end = self._strings.find(0, name_at)
        if end < 0:
            raise self.elf.error(f"has a symbol {index} whose name lies outside its table")
        name = self._strings[name_at:end].decode("utf-8", "surrogateescape")
        return Symbol(index, name, value, size, info & 15, info >> 4, other & 3, section)

    def _version_names(self) -> dict[int, str]:
        """Read .gnu.version_d: the names of the versions this file defines, by number."""
        if self._versions is None:
            self._versions = {}
            for section in self.elf.sections:
                if section.type == SHT_GNU_VERDEF:
                    self._read_definitions(self.elf.data(section), section)
        return self._versions

    def _read_definitions(self, data: memoryview, section: Section) -> None:
        # Elf64_Verdef: version, flags, index, number of names, hash, offset of the first name
        # (Elf64_Verdaux: name, offset of the next), offset of the next definition.
        assert self._versions is not None
        if section.link >= len(self.elf.sections):
            raise self.elf.error(f"has no string table for {section.name}")
        strings = bytes(self.elf.data(self.elf.sections[section.link]))
        at = 0
        for _ in range(len(data) // 20):
            if at + 20 > len(data):
                break
            fields = struct.unpack_from(self._order + "HHHHIII", data, at)
            name_at = at + fields[5]
            if name_at + 8 <= len(data):
                (name,) = struct.unpack_from(self._order + "I", data, name_at)
                end = strings.find(0, name)
                if end >= 0:
                    text = strings[name : min(end, name + _VERSION_LENGTH)]
                    self._versions[fields[2]] = text.decode("utf-8", "surrogateescape")
            if not fields[6]:
                break
            at += fields[6]


def is_defined(symbol: Symbol) -> bool:
    """Whether *symbol* is in this file, rather than imported, absolute or common."""
    return SHN_UNDEF < symbol.section_index < SHN_LORESERVE


def is_function(symbol: Symbol) -> bool:
    """Whether *symbol* may be code: a function, or of no type (hand-written assembly)."""
    return symbol.type in (STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE)
