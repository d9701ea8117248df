"""The functions of a BPF object: which bytes, calls, references and BTF records are whose.

Functions are cut out of the executable sections by their STT_FUNC symbols; what the ELF
relocations, `.BTF.ext` and the calls say is dealt out to them. Calls between functions stay
symbolic here; the linker makes programs of them.

Relocation types: LLVM, "BPF Relocations" (docs.kernel.org/bpf/llvm_reloc.html).
"""

from __future__ import annotations

from skep.asm.code import Code, CoreRecord, Reference
from skep.asm.instruction import CALL, LD_IMM64, PSEUDO_CALL, PSEUDO_FUNC, SIZE
from skep.btf.search import bisect_right
from skep.elf.reader import (
    SHF_EXECINSTR,
    SHN_COMMON,
    SHN_UNDEF,
    SHT_PROGBITS,
    STB_LOCAL,
    STT_FUNC,
    STT_NOTYPE,
    STV_DEFAULT,
    STV_PROTECTED,
)
from skep.errors import ElfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf.ext import BtfExt
    from skep.elf.reader import ElfFile, Relocation, Section, Symbol

R_BPF_64_64, R_BPF_64_32 = 1, 10


class Function:
    """One function: its `code` alone, and its `calls` as (instruction, called function's place).

    A place is (section index, byte offset). `is_static` is C's notion; `is_hidden` means that
    other objects do not see it. `problem` says what in it makes no sense, None when all does:
    programs without this function are none the worse for it.
    """

    __slots__ = (
        "calls", "code", "is_hidden", "is_static", "name", "offset", "problem", "section",
    )  # fmt: skip

    def __init__(self, symbol: Symbol, section: Section, code: Code) -> None:
        self.name = symbol.name
        self.section = section
        self.offset = symbol.value
        self.is_static = symbol.binding == STB_LOCAL
        self.is_hidden = symbol.visibility not in (STV_DEFAULT, STV_PROTECTED)
        self.code = code
        self.calls: list[tuple[int, tuple[int, int]]] = []
        self.problem: ElfError | None = None

    def __repr__(self) -> str:
        return f"<Function {self.name!r} in {self.section.name!r} at {self.offset}>"


class Targets:
    """What the addresses in data-like sections mean: maps by place, and sections with contents."""

    __slots__ = ("arena_section", "data_sections", "map_sections", "maps")

    def __init__(self) -> None:
        self.arena_section = -1
        self.map_sections: set[int] = set()
        self.maps: dict[tuple[int, int], str] = {}  # by section and byte offset
        self.data_sections: dict[int, str] = {}


def executable_sections(elf: ElfFile) -> list[Section]:
    """List the sections with code."""
    return [
        section
        for section in elf.sections
        if section.type == SHT_PROGBITS and section.flags & SHF_EXECINSTR and section.size
    ]


def read_functions(
    elf: ElfFile, ext: BtfExt | None, targets: Targets
) -> dict[tuple[int, int], Function]:
    """Cut *elf* into functions, by place, in file order.

    A function that leaves its section or overlaps another one, and one with a relocation that makes
    no sense, is there with its `problem`. Raises `ElfError` for a broken file.
    """
    by_section: dict[int, list[Symbol]] = {}
    names = [symbol for symbol in elf.symbols if symbol.type == STT_FUNC]
    if not names:
        # clang before 9 gives functions no type; its labels, which have none either, are "LBB1_2".
        names = [
            symbol
            for symbol in elf.symbols
            if symbol.type == STT_NOTYPE and symbol.name and not symbol.name.startswith("LBB")
        ]
    for symbol in names:
        if symbol.section_index != SHN_UNDEF:
            by_section.setdefault(symbol.section_index, []).append(symbol)
    found: dict[tuple[int, int], Function] = {}
    seen: set[str] = set()
    for section in executable_sections(elf):
        symbols = by_section.get(section.index)
        if symbols:
            # .BTF.ext knows sections by name: of several, it means the first.
            records = None if section.name in seen else ext
            seen.add(section.name)
            for function in _Cutter(elf, section, symbols, records, targets).cut():
                found.setdefault((section.index, function.offset), function)
    return found


class _Cutter:
    """Cuts one section."""

    def __init__(
        self,
        elf: ElfFile,
        section: Section,
        symbols: list[Symbol],
        ext: BtfExt | None,
        targets: Targets,
    ) -> None:
        self.elf = elf
        self.section = section
        self.symbols = sorted(
            symbols, key=lambda symbol: (symbol.value, symbol.binding == STB_LOCAL)
        )
        self.ext = ext
        self.targets = targets
        self.functions: list[Function] = []
        self.broken: list[Function] = []
        self.starts: list[int] = []

    def error(self, what: str, offset: int) -> ElfError:
        """Make the error about byte *offset* of this section."""
        where = f"has {what} at byte {offset} of section {self.section.name!r}"
        return self.elf.error(where, offset=self.section.offset + offset)

    def cut(self) -> list[Function]:
        """Make the functions with all their tables."""
        data = bytes(self.elf.data(self.section))
        ends = [symbol.value for symbol in self.symbols[1:]] + [len(data)]
        for symbol, next_start in zip(self.symbols, ends, strict=True):
            start = symbol.value
            if self.starts and self.starts[-1] == start:
                continue  # a second name of the same function
            end = start + symbol.size if symbol.size else next_start
            problem = ""
            if start % SIZE or end % SIZE or end > len(data) or start >= end:
                problem = f"a function {symbol.name!r} that does not fit in"
            elif self.functions and start < self.starts[-1] + len(self.functions[-1].code.data):
                problem = f"a function {symbol.name!r} inside another one"
            code = Code(b"" if problem else data[start:end], self.elf.byteorder)
            function = Function(symbol, self.section, code)
            if problem:
                function.problem = self.error(problem, start)
                self.broken.append(function)
                continue
            self.functions.append(function)
            self.starts.append(start)
        self._references()
        self._calls()
        self._btf_records()
        return self.functions + self.broken

    def _at(self, offset: int) -> tuple[Function, int] | None:
        """Find the function that byte *offset* is in, and the instruction's index there."""
        which = bisect_right(self.starts, offset) - 1
        if which < 0:
            return None
        function = self.functions[which]
        index = (offset - self.starts[which]) // SIZE
        return (function, index) if index < len(function.code) else None

    def _references(self) -> None:
        """Deal out the ELF relocations, in the order of the code."""
        relocations = self.elf.relocations(self.section)
        relocations.sort(key=lambda relocation: relocation.offset)
        for relocation in relocations:
            hit = self._at(relocation.offset)
            if hit is None:
                continue  # code that no symbol names: a weak function that a linker replaced
            function, index = hit
            if relocation.offset % SIZE:
                self._note(function, "a relocation inside an instruction", relocation.offset)
                continue
            symbol = self.elf.symbols[relocation.symbol_index]
            try:
                if relocation.type == R_BPF_64_32:
                    self._call(function, index, symbol, relocation)
                elif relocation.type == R_BPF_64_64:
                    self._address(function, index, symbol, relocation)
                else:
                    self._note(
                        function, f"a relocation of type {relocation.type}", relocation.offset
                    )
            except ElfError as error:
                function.problem = function.problem or error

    def _note(self, function: Function, what: str, offset: int) -> None:
        """Remember that *function* has something that makes no sense."""
        function.problem = function.problem or self.error(what, offset)

    def _call(self, function: Function, index: int, symbol: Symbol, relocation: Relocation) -> None:
        instruction = function.code.at(index)
        if instruction.opcode != CALL:
            raise self.error("a call relocation on no call", relocation.offset)
        if symbol.section_index == SHN_UNDEF:
            function.code.references.append(Reference(index, "extern", symbol.name))
            return
        # The immediate counts instructions from the next one; from the symbol here.
        offset = symbol.value + (instruction.imm + 1) * SIZE
        function.calls.append((index, (symbol.section_index, offset)))

    def _address(
        self, function: Function, index: int, symbol: Symbol, relocation: Relocation
    ) -> None:
        code = function.code
        if code.data[index * SIZE] != LD_IMM64 or index + 1 >= len(code):
            raise self.error("an address relocation on no ld_imm64", relocation.offset)
        offset = symbol.value + code.imm(index)
        place = symbol.section_index
        targets = self.targets
        if place == SHN_UNDEF:
            code.references.append(Reference(index, "extern", symbol.name, code.imm(index)))
        elif place in targets.map_sections:
            name = targets.maps.get((place, offset))
            if name is None:
                raise self.error(
                    f"a reference to byte {offset} of .maps, where no map is,", relocation.offset
                )
            code.references.append(Reference(index, "map", name))
        elif place in targets.data_sections:
            name = targets.data_sections[place]
            code.references.append(Reference(index, "data", name, offset))
        elif place < len(self.elf.sections) and self.elf.sections[place].flags & SHF_EXECINSTR:
            instruction = code.at(index)
            instruction.src = PSEUDO_FUNC
            code.put(index, instruction)
            function.calls.append((index, (place, offset)))
        elif place == SHN_COMMON:
            raise self.error(
                f"a reference to {symbol.name!r}, a variable that no section holds (compile with"
                " -fno-common),",
                relocation.offset,
            )
        else:
            where = self.elf.sections[place].name if place < len(self.elf.sections) else place
            raise self.error(
                f"a reference to {symbol.name or 'something'!r} in section {where!r}, which holds"
                " neither maps, variables nor code,",
                relocation.offset,
            )

    def _calls(self) -> None:
        """Find the calls that need no relocation: to functions of the same section."""
        for function, start in zip(self.functions, self.starts, strict=True):
            code = function.code
            data = code.data
            known = {index for index, _ in function.calls}
            known.update(reference.index for reference in code.references)
            # 0x85 is common as a byte of other things, so each hit is checked.
            at = data.find(CALL)
            while at >= 0:
                index, odd = divmod(at, SIZE)
                if not odd and index not in known and not self._second_half(data, index):
                    instruction = code.at(index)
                    if instruction.src == PSEUDO_CALL:
                        offset = start + (index + instruction.imm + 1) * SIZE
                        function.calls.append((index, (self.section.index, offset)))
                at = data.find(CALL, at + 1)
            function.calls.sort()

    @staticmethod
    def _second_half(data: bytearray, index: int) -> bool:
        return index > 0 and data[(index - 1) * SIZE] == LD_IMM64

    def _btf_records(self) -> None:
        """Deal out func info, line info and CO-RE records."""
        if self.ext is None:
            return
        name = self.section.name
        for offset, type_id in self.ext.func_info.get(name, ()):
            hit = self._at(offset)
            if hit is not None and hit[1] == 0 and not offset % SIZE:
                hit[0].code.functions = [(0, type_id)]
        for offset, file, text, place in self.ext.line_info.get(name, ()):
            hit = self._at(offset)
            if hit is not None and not offset % SIZE:
                hit[0].code.lines.append((hit[1], file, text, place))
        for record in self.ext.core_relocations.get(name, ()):
            hit = self._at(record.insn_off)
            if hit is None:
                continue
            if record.insn_off % SIZE:
                self._note(hit[0], "a CO-RE relocation inside an instruction", record.insn_off)
                continue
            core = CoreRecord(hit[1], record.type_id, record.access, record.kind)
            hit[0].code.core.append(core)
        for function in self.functions:
            function.code.lines.sort()
            function.code.core.sort(key=lambda core: core.index)
