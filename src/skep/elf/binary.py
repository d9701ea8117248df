"""Executables and shared libraries as probes see them: from a function's name to a file offset.

A user-space probe is placed at an offset in a file, so that it fires in every process that maps
it. Symbol tables speak of virtual addresses; the two differ by segment, and are told apart here
and nowhere else.
"""

from __future__ import annotations

import mmap
import os
import struct

from skep.elf.locate import resolve_binary
from skep.elf.reader import (
    ET_DYN,
    ET_EXEC,
    PT_LOAD,
    PT_NOTE,
    SHT_DYNSYM,
    SHT_NOBITS,
    SHT_NOTE,
    SHT_SYMTAB,
    STB_GLOBAL,
    STB_WEAK,
    STT_FUNC,
    STT_GNU_IFUNC,
    ElfFile,
    Symbol,
)
from skep.elf.symbols import SymbolTable, is_defined, is_function
from skep.errors import ClosedError, ElfError, NotFoundError, UnsupportedError
from skep.owner import Closing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Binary", "SymbolHit", "resolve_binary"]

_NT_GNU_BUILD_ID = 3

# The note of a build id is near the start of its segment; a core file's could be gigabytes.
_NOTE_LIMIT = 1 << 20
_NOTES = 16  # notes that are looked at; binaries have three or four

MAX_LOADS = 256
"""Segments to load; linkers make four or five. Each address is looked for in all of them."""


class SymbolHit:
    """A function in a file: where its code is (`file_offset`), how long, and its `address`.

    `size` is 0 where the symbol table does not say (assembly). `section` is the name of the
    section of the code.
    """

    __slots__ = ("address", "file_offset", "name", "section", "size")

    def __init__(self, name: str, file_offset: int, size: int, address: int, section: str) -> None:
        self.name = name
        self.file_offset = file_offset
        self.size = size
        self.address = address
        self.section = section

    def __repr__(self) -> str:
        return f"<SymbolHit {self.name} at {self.address:#x}, file offset {self.file_offset:#x}>"


class Binary(Closing):
    """The executable or shared library at *path*, mapped read-only until `close()`.

    A context manager. Raises NotFoundError when there is no such file, ElfError when it cannot be
    read or is no 64-bit executable or library. Not to be shared between threads while closing.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._map: mmap.mmap | None = None
        self._elf: ElfFile | None = None
        self._tables: list[SymbolTable] | None = None
        try:
            with open(self.path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                data: mmap.mmap | bytes = b""
                if size:
                    data = self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError as error:
            message = f"there is no binary {self.path}"
            raise NotFoundError(message, name=self.path) from error
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            message = f"the binary {self.path} cannot be read: {reason}"
            raise ElfError(message, source=self.path) from error
        try:
            elf = self._elf = ElfFile(memoryview(data), self.path)
            if elf.type not in (ET_EXEC, ET_DYN):
                raise elf.error("is neither an executable nor a shared library")
            self._loads = [part for part in elf.segments if part.type == PT_LOAD]
            if len(self._loads) > MAX_LOADS:
                raise elf.error(f"has {len(self._loads)} parts to load; {MAX_LOADS} are allowed")
            #: The machine it is for, an EM_* number (62: x86-64, 183: arm64).
            self.machine = elf.machine
        except ElfError:
            self.close()
            raise

    @property
    def elf(self) -> ElfFile:
        """The parsed file. Raises ClosedError after `close()`."""
        if self._elf is None:
            raise ClosedError(f"the binary {self.path} was closed")
        return self._elf

    def close(self) -> None:
        """Unmap the file. May be called again."""
        if self._elf is not None:
            self._elf.release()
            self._elf = None
        if self._map is not None:
            data, self._map = self._map, None
            try:
                data.close()
            except BufferError:
                # A failed constructor's traceback still holds views; the mapping goes with them.
                return

    def __repr__(self) -> str:
        return f"<Binary {self.path}>"

    def file_offset(self, address: int) -> int:
        """Translate a virtual *address*, as nm prints it, to an offset in the file.

        Raises NotFoundError when the file holds nothing for that address.
        """
        for part in self._loads:
            if part.address <= address < part.address + part.file_size:
                return address - part.address + part.offset
        message = f"{self.path} holds no code or data at address {address:#x}"
        raise NotFoundError(message, name=hex(address), where=self.path)

    def address(self, file_offset: int) -> int:
        """Translate an offset in the file to the virtual address it is mapped at."""
        for part in self._loads:
            if part.offset <= file_offset < part.offset + part.file_size:
                return file_offset - part.offset + part.address
        message = f"{self.path} does not map file offset {file_offset:#x}"
        raise NotFoundError(message, name=hex(file_offset), where=self.path)

    def symbol_offset(self, name: str) -> SymbolHit:
        """Find the function called *name* (or ``name@VERSION``), in .dynsym and then in .symtab.

        A global function is preferred to a weak one, that to a local one. Raises NotFoundError
        when there is none, with the most similar names as hint, or when it is imported, or when
        several local functions share the name; UnsupportedError when it is chosen at run time
        (GNU_IFUNC): its address is that of the chooser.
        """
        imported = False
        for table in self._symbol_tables():
            found = [symbol for symbol in table.find(name) if is_function(symbol)]
            defined = [symbol for symbol in found if is_defined(symbol)]
            imported = imported or len(found) > len(defined)
            if defined:
                return self._hit(self._choose(name, defined))
        if imported:
            message = f"{self.path} uses {name} but does not define it"
            hint = "probe the library that does; `ldd` lists the libraries"
            raise NotFoundError(message, hint=hint, name=name, where=self.path)
        message = f"{self.path} has no function {name}"
        raise NotFoundError(message, hint=self._suggest(name), name=name, where=self.path)

    def functions(self) -> Iterator[SymbolHit]:
        """Go through the functions with a name and code, each name and address once.

        In the order of .dynsym, then .symtab. Chosen-at-run-time symbols (GNU_IFUNC) are left out.
        """
        seen: set[tuple[str, int]] = set()
        for table in self._symbol_tables():
            for symbol in table:
                key = (symbol.name, symbol.value)
                if symbol.type == STT_FUNC and is_defined(symbol) and key not in seen:
                    seen.add(key)
                    try:
                        yield self._hit(symbol)
                    except NotFoundError:
                        continue  # not in the file: nothing to probe

    def code(self, hit: SymbolHit, limit: int = 1 << 20) -> bytes:
        """Copy the code of the function *hit*, at most *limit* bytes; empty for size 0."""
        size = min(hit.size, limit)
        return bytes(self.elf.bytes_at(hit.file_offset, size, f"the code of {hit.name}"))

    @property
    def build_id(self) -> str | None:
        """The linker's build id in hexadecimal; None without one."""
        elf = self.elf
        spans = [(part.offset, part.file_size) for part in elf.segments if part.type == PT_NOTE]
        spans += [(part.offset, part.size) for part in elf.sections if part.type == SHT_NOTE]
        del spans[_NOTES:]
        order = "<" if elf.byteorder == "little" else ">"
        for offset, size in spans:
            data = bytes(elf.bytes_at(offset, min(size, _NOTE_LIMIT), "a note"))
            at = 0
            while at + 12 <= len(data):
                # Name and contents are each padded to four bytes.
                name_size, body_size, kind = struct.unpack_from(order + "III", data, at)
                body = at + 12 + (name_size + 3 & ~3)
                if kind == _NT_GNU_BUILD_ID and data[at + 12 : at + 12 + name_size] == b"GNU\0":
                    return data[body : body + body_size].hex()
                at = body + (body_size + 3 & ~3)
        return None

    def _symbol_tables(self) -> list[SymbolTable]:
        """Return the tables to search, in that order."""
        elf = self.elf
        if self._tables is None:
            self._tables = []
            # What is exported first: there a version tells symbols of one name apart. There is at
            # most one table of each kind (System V ABI, chapter 4).
            for kind in (SHT_DYNSYM, SHT_SYMTAB):
                found = [section for section in elf.sections if section.type == kind]
                self._tables += [SymbolTable(elf, section) for section in found[:1]]
        return self._tables

    def _choose(self, name: str, symbols: list[Symbol]) -> Symbol:
        """Choose among *symbols* of one name."""
        for binding in (STB_GLOBAL, STB_WEAK, None):
            best = [symbol for symbol in symbols if binding in (None, symbol.binding)]
            if not best:
                continue
            if any(symbol.type == STT_GNU_IFUNC for symbol in best):
                message = (
                    f"{name} of {self.path} has several implementations, of which one is chosen "
                    f"when a program starts (GNU_IFUNC)"
                )
                base = name.partition("@")[0]
                hint = f"probe an implementation by its own name; nm lists them as __{base}_*"
                raise UnsupportedError(message, hint=hint, feature="GNU_IFUNC", symbol=name)
            addresses = sorted({symbol.value for symbol in best})
            if len(addresses) > 1:
                message = f"{self.path} has {len(addresses)} functions called {name}"
                hint = "give the address of one: " + ", ".join(map(hex, addresses[:8]))
                raise NotFoundError(
                    message, hint=hint, name=name, where=self.path, addresses=addresses
                )
            break
        # Of aliases at one address, one that says its size.
        return max(best, key=lambda symbol: symbol.size)

    def _hit(self, symbol: Symbol) -> SymbolHit:
        elf = self.elf
        section = ""
        if symbol.section_index < len(elf.sections):
            home = elf.sections[symbol.section_index]
            section = home.name
            if home.type == SHT_NOBITS:
                message = f"{self.path} has no bytes for {symbol.name} (a file of debug symbols?)"
                raise NotFoundError(message, name=symbol.name, where=self.path)
        offset = self.file_offset(symbol.value)
        return SymbolHit(symbol.name, offset, symbol.size, symbol.value, section)

    def _suggest(self, name: str) -> str:
        """Name the functions that are called much like *name*."""
        from difflib import get_close_matches

        tables = self._symbol_tables()
        if not tables:
            return "the file is stripped of symbols: give an address or a file offset"
        wanted = name.partition("@")[0]
        start, middle = wanted[:3].lower(), wanted.lower().strip("_")
        similar = {
            symbol.name
            for table in tables
            for symbol in table
            if is_function(symbol)
            and is_defined(symbol)
            and (symbol.name[:3].lower() == start or (middle and middle in symbol.name.lower()))
        }
        # difflib is slow: compare only with the names of much the same length.
        candidates = sorted(similar, key=lambda text: (abs(len(text) - len(wanted)), text))[:1000]
        close = get_close_matches(wanted, candidates, n=4, cutoff=0.5)
        if not close:
            return "`nm` and `nm -D` list the functions of a binary"
        return f"did you mean {', '.join(close)}?"
