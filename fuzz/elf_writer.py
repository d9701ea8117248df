"""Write ELF files, right and wrong ones, and turn the byte order of a BPF object around."""

from __future__ import annotations

from struct import iter_unpack, pack, unpack_from

from skep.elf import reader as elf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    ByteOrder = Literal["little", "big"]


class ElfWriter:
    """A relocatable file that is put together section by section. Nothing is checked.

    Every method that adds something returns its number. The symbol table, its names and the names
    of the sections come last, in `build`.
    """

    def __init__(self, byteorder: ByteOrder = "little", machine: int = elf.EM_BPF) -> None:
        self.byteorder = byteorder
        self.order = "<" if byteorder == "little" else ">"
        self.machine = machine
        self.body = bytearray(elf.HEADER_SIZE)
        # name, type, flags, address, offset, size, link, info, align, entsize
        self.sections: list[list[int]] = [[0] * 10]
        self.symbols: list[tuple[int, ...]] = [(0,) * 6]
        self.names = bytearray(b"\0")
        self.strings = bytearray(b"\0")
        self._symtab_links: list[int] = []

    def put(self, data: bytes) -> int:
        """Append bytes that belong to no section yet; return their offset in the file."""
        self.body += bytes(-len(self.body) % 8)
        self.body += data
        return len(self.body) - len(data)

    def name(self, text: str | bytes) -> int:
        """Add a section name; return its offset."""
        data = text if isinstance(text, bytes) else text.encode()
        self.names += data + b"\0"
        return len(self.names) - len(data) - 1

    def section(
        self,
        name: str | int,
        data: bytes = b"",
        *,
        type: int = elf.SHT_PROGBITS,
        flags: int = 0,
        offset: int | None = None,
        size: int | None = None,
        link: int = 0,
        info: int = 0,
        entsize: int = 0,
    ) -> int:
        """Add a section. With *offset* it shows bytes that are there already; *size* may lie."""
        where = self.put(data) if offset is None else offset
        shown = name if isinstance(name, int) else self.name(name)
        length = len(data) if size is None else size
        self.sections.append([shown, type, flags, 0, where, length, link, info, 8, entsize])
        return len(self.sections) - 1

    def code(self, name: str | int, data: bytes = b"", **more: int) -> int:
        """Add a section of instructions."""
        return self.section(name, data, flags=elf.SHF_ALLOC | elf.SHF_EXECINSTR, **more)

    def symbol(
        self,
        name: str | int,
        section: int,
        value: int = 0,
        size: int = 0,
        *,
        type: int = elf.STT_FUNC,
        binding: int = elf.STB_GLOBAL,
    ) -> int:
        """Add a symbol; *name* may be an offset in the strings."""
        if isinstance(name, str):
            at = len(self.strings)
            self.strings += name.encode() + b"\0"
        else:
            at = name
        self.symbols.append((at, binding << 4 | type, 0, section, value, size))
        return len(self.symbols) - 1

    def relocations(self, section: int, rows: list[tuple[int, int, int]]) -> int:
        """Add relocations of *section*: (offset, type, symbol)."""
        data = b"".join(pack(f"{self.order}QQ", at, sym << 32 | kind) for at, kind, sym in rows)
        number = self.section(".rel", data, type=elf.SHT_REL, info=section, entsize=16)
        self._symtab_links.append(number)
        return number

    def build(self) -> bytes:
        """Return the file as it is so far, with its tables."""
        sections = [list(row) for row in self.sections]
        body = self.body
        symbols = b"".join(pack(f"{self.order}IBBHQQ", *row) for row in self.symbols)
        names = bytearray(self.names)
        for text, kind, data in (
            (b".symtab", elf.SHT_SYMTAB, symbols),
            (b".strtab", elf.SHT_STRTAB, bytes(self.strings)),
            (b".shstrtab", elf.SHT_STRTAB, b""),
        ):
            row = [len(names), kind, 0, 0, 0, len(data), 0, 0, 8, 0]
            names += text + b"\0"
            sections.append(row)
            if kind != elf.SHT_STRTAB or data:
                row[4] = self.put(data)
        count = len(sections)
        for number in self._symtab_links:
            sections[number][6] = count - 3
        sections[-3][6], sections[-3][9] = count - 2, elf.SYMBOL_SIZE
        sections[-1][4], sections[-1][5] = self.put(bytes(names)), len(names)
        table = b"".join(pack(f"{self.order}IIQQQQIIQQ", *row) for row in sections)
        at = self.put(table)
        wide = count >= elf.SHN_LORESERVE
        if wide:
            # Too many for the header: their number is in the first section header.
            first = [0, 0, 0, 0, 0, count, count - 1, 0, 0, 0]
            body[at : at + elf.SECTION_SIZE] = pack(f"{self.order}IIQQQQIIQQ", *first)
        order = b"\x01" if self.byteorder == "little" else b"\x02"
        body[:16] = (b"\x7fELF\x02" + order + b"\x01").ljust(16, b"\0")
        body[16:64] = pack(
            f"{self.order}HHIQQQIHHHHHH",
            elf.ET_REL, self.machine, 1, 0, 0, at, 0, 64, 0, 0, elf.SECTION_SIZE,
            0 if wide else count, elf.SHN_XINDEX if wide else count - 1,
        )  # fmt: skip
        return bytes(body)


def swapped(data: bytes) -> bytes:
    """Return a BPF object in the other byte order: tables, instructions and BTF, not variables."""
    old = elf.ElfFile(data)
    here = "<" if old.byteorder == "little" else ">"
    there = ">" if here == "<" else "<"
    made = bytearray(data)
    for section in old.sections:
        body = bytes(old.data(section))
        if section.type == elf.SHT_SYMTAB:
            new = _each(body, here, there, "IBBHQQ")
        elif section.type == elf.SHT_REL:
            new = _each(body, here, there, "QQ")
        elif section.flags & elf.SHF_EXECINSTR:
            new = b"".join(
                pack(f"{there}BBhi", code, (regs & 15) << 4 | regs >> 4, offset, imm)
                for code, regs, offset, imm in iter_unpack(f"{here}BBhi", body)
            )
        elif section.name == ".BTF":
            new = _btf(body, here, there)
        elif section.name == ".BTF.ext":
            words = body[8:]
            new = pack(f"{there}HBBI", *unpack_from(f"{here}HBBI", body))
            new += _each(words, here, there, "I")
        else:
            continue
        made[section.offset : section.offset + len(new)] = new
    fields = unpack_from(f"{here}HHIQQQIHHHHHH", data, 16)
    at, count = fields[5], fields[11]
    made[16:64] = pack(f"{there}HHIQQQIHHHHHH", *fields)
    end = at + 64 * count
    made[at:end] = _each(data[at:end], here, there, "IIQQQQIIQQ")
    made[5] = 2 if here == "<" else 1
    return bytes(made)


def _each(data: bytes, here: str, there: str, form: str) -> bytes:
    return b"".join(pack(there + form, *row) for row in iter_unpack(here + form, data))


def _btf(data: bytes, here: str, there: str) -> bytes:
    head = unpack_from(f"{here}HBBIIIII", data)
    start, types_at, types_size = head[3], head[4], head[5]
    types = data[start + types_at : start + types_at + types_size]
    made = bytearray(data)
    made[:24] = pack(f"{there}HBBIIIII", *head)
    made[start + types_at : start + types_at + types_size] = _each(types, here, there, "I")
    return bytes(made)
