"""Stripping keeps what loaders read, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from skep.build import compile as compile_source
from skep.elf.reader import SHT_REL, STB_LOCAL, ElfFile
from skep.elf.strip import strip_debug
from skep.errors import ElfError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module", params=["bpfel", "bpfeb"])
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, bpf_source: str
) -> bytes:
    source = tmp_path_factory.mktemp("strip") / "prog.bpf.c"
    source.write_text(bpf_source)
    path = compile_source(source, target=request.param, compiler="ziglang", strip=False)
    return path.read_bytes()


def test_dwarf_goes(whole: bytes) -> None:
    before, after = ElfFile(whole), ElfFile(strip_debug(whole))
    removed = {one.name for one in before.sections} - {one.name for one in after.sections}
    assert {".debug_info", ".debug_str", ".rel.debug_info"} <= removed
    assert all(
        name.startswith((".debug_", ".rel.debug_", ".eh_frame", ".rel.eh_frame", ".llvm_addrsig"))
        for name in removed
    )


def test_everything_else_stays(whole: bytes) -> None:
    before, after = ElfFile(whole), ElfFile(strip_debug(whole))
    assert (after.byteorder, after.machine, after.type) == (
        before.byteorder,
        before.machine,
        before.type,
    )
    for section in after.sections:
        old = before.section(section.name)
        assert old is not None
        if section.name not in {".strtab", ".symtab"} and section.type != SHT_REL:
            assert bytes(after.data(section)) == bytes(before.data(old))
        kept = (section.type, section.flags, section.align, section.entsize)
        assert kept == (old.type, old.flags, old.align, old.entsize)
        assert not section.align or section.offset % section.align == 0


def _symbols(elf: ElfFile) -> dict[tuple[object, ...], str]:
    return {
        (
            one.name,
            elf.sections[one.section_index].name if one.section_index < 0xFF00 else "",
            one.value,
            one.size,
            one.type,
            one.binding,
            one.visibility,
        ): one.name
        for one in elf.symbols
    }


def test_symbols_mean_the_same(whole: bytes) -> None:
    before, after = ElfFile(whole), ElfFile(strip_debug(whole))
    old = {key for key in _symbols(before) if not str(key[1]).startswith(".debug_")}
    assert set(_symbols(after)) == old
    table = after.section(".symtab")
    assert table is not None
    bindings = [one.binding == STB_LOCAL for one in after.symbols]
    assert bindings == [True] * table.info + [False] * (len(bindings) - table.info)


def test_relocations_mean_the_same(whole: bytes) -> None:
    before, after = ElfFile(whole), ElfFile(strip_debug(whole))
    compared = 0
    for section in after.sections:
        old = before.section(section.name)
        assert old is not None
        pairs = zip(before.relocations(old), after.relocations(section), strict=True)
        for one, other in pairs:
            compared += 1
            assert (one.offset, one.type) == (other.offset, other.type)
            first, second = before.symbols[one.symbol_index], after.symbols[other.symbol_index]
            assert (first.name, first.value) == (second.name, second.value)
            names = [
                file.sections[symbol.section_index].name
                for file, symbol in ((before, first), (after, second))
            ]
            assert names[0] == names[1]
    assert compared > 20


def test_again_changes_nothing(whole: bytes) -> None:
    once = strip_debug(whole)
    assert strip_debug(once) == once
    assert len(once) < len(whole)


def test_only_bpf_objects(library: Path) -> None:
    with pytest.raises(ElfError, match="is not a BPF object"):
        strip_debug(library.read_bytes(), "libspecimen.so")


def test_not_elf() -> None:
    with pytest.raises(ElfError, match=r"notes\.txt is not an ELF file"):
        strip_debug(b"hello", "notes.txt")
