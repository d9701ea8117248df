"""One function that makes no sense, among others that do: no kernel needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from skep.elf.reader import ElfFile
from skep.errors import ElfError
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from compiling import CompileBpf

SOURCE = r"""
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";
__u64 counter;
static __noinline int shared(int x) { counter += x; return x + 1; }
static __noinline SEC("other") int apart(int x) { counter -= x; return x * 3; }
SEC("socket/good") int good(struct __sk_buff *skb) { return shared(4); }
SEC("socket/bad") int bad(struct __sk_buff *skb) { counter++; return apart(5); }
"""

# A change of the object's bytes: (bytes, the file) -> what "bad" should say.
Change = str


def relocation(elf: ElfFile, section: str) -> int:
    """Where the first relocation of a section is in the file."""
    target = elf.section(section)
    assert target is not None
    return next(
        table.offset for table in elf.sections if table.info == target.index and table.type == 9
    )


def symbol(elf: ElfFile, name: str) -> int:
    """Where the symbol *name* is in the file."""
    table = next(section for section in elf.sections if section.type == 2)
    return table.offset + 24 * next(each.index for each in elf.symbols if each.name == name)


def strange_type(data: bytearray, elf: ElfFile) -> str:
    at = relocation(elf, "socket/bad")
    data[at + 8 : at + 12] = (77).to_bytes(4, "little")
    return "a relocation of type 77"


def unaligned(data: bytearray, elf: ElfFile) -> str:
    data[relocation(elf, "socket/bad")] += 3
    return "a relocation inside an instruction"


def wrong_place(data: bytearray, elf: ElfFile) -> str:
    data[relocation(elf, "socket/bad")] += 16
    return "an address relocation on no ld_imm64"


def into_nothing(data: bytearray, elf: ElfFile) -> str:
    at = symbol(elf, "counter")
    section = elf.section(".symtab")
    assert section is not None
    data[at + 6 : at + 8] = section.index.to_bytes(2, "little")
    return "section '.symtab', which holds neither maps"


def too_long(data: bytearray, elf: ElfFile) -> str:
    at = symbol(elf, "bad")
    data[at + 16 : at + 24] = (1 << 20).to_bytes(8, "little")
    return "a function 'bad' that does not fit in"


def not_aligned(data: bytearray, elf: ElfFile) -> str:
    at = symbol(elf, "bad")
    data[at + 8 : at + 16] = (3).to_bytes(8, "little")
    return "a function 'bad' that does not fit in"


def broken_callee(data: bytearray, elf: ElfFile) -> str:
    at = symbol(elf, "apart")
    data[at + 16 : at + 24] = (12).to_bytes(8, "little")
    return "a function 'apart' that does not fit in"


def no_callee(data: bytearray, elf: ElfFile) -> str:
    at = symbol(elf, "apart")
    data[at + 4] = 0x10  # no function any more
    return "where no function starts"


@pytest.mark.parametrize(
    "change",
    [
        strange_type, unaligned, wrong_place, too_long, not_aligned, broken_callee, no_callee,
    ],
)  # fmt: skip
def test_the_others_can_be_loaded(
    compile_bpf: CompileBpf, change: Callable[[bytearray, ElfFile], str]
) -> None:
    data = bytearray(compile_bpf(SOURCE).read_bytes())
    whole = ObjectSpec.from_bytes(data)
    said = change(data, ElfFile(bytes(data), "x.o"))
    spec = ObjectSpec.from_bytes(data, "x.o")
    assert set(spec.programs) == {"good", "bad"}
    assert spec.programs["good"].problem is None
    assert spec.programs["good"].code.data == whole.programs["good"].code.data
    bad = spec.programs["bad"]
    assert bad.problem is not None
    assert said in bad.problem.message
    assert "program 'bad' (section 'socket/bad') makes no sense: x.o" in bad.problem.message
    assert bad.copy().problem is bad.problem
    with pytest.raises(ElfError, match="makes no sense"):
        bad.load()


def test_a_reference_into_nothing_harms_all_that_have_it(compile_bpf: CompileBpf) -> None:
    data = bytearray(compile_bpf(SOURCE).read_bytes())
    said = into_nothing(data, ElfFile(bytes(data), "x.o"))
    spec = ObjectSpec.from_bytes(data, "x.o")
    for name in ("good", "bad"):
        problem = spec.programs[name].problem
        assert problem is not None
        assert said in problem.message


def test_code_that_no_symbol_names_is_left_alone(compile_bpf: CompileBpf) -> None:
    data = bytearray(compile_bpf(SOURCE).read_bytes())
    elf = ElfFile(bytes(data), "x.o")
    # "bad" becomes an untyped label: its section has code and relocations, and no function.
    data[symbol(elf, "bad") + 4] = 0x10
    spec = ObjectSpec.from_bytes(data, "x.o")
    assert list(spec.programs) == ["good"]
    assert spec.programs["good"].problem is None


def test_half_an_instruction_at_the_end(compile_bpf: CompileBpf) -> None:
    data = bytearray(compile_bpf(SOURCE).read_bytes())
    elf = ElfFile(bytes(data), "x.o")
    section = elf.section("socket/bad")
    assert section is not None
    table = int.from_bytes(data[0x28:0x30], "little") + 64 * section.index
    data[table + 32 : table + 40] = (section.size - 4).to_bytes(8, "little")
    spec = ObjectSpec.from_bytes(data, "x.o")
    assert spec.programs["good"].problem is None
    assert spec.programs["bad"].problem is not None
