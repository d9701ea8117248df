"""The ELF reader against objects of a real compiler, and against bytes that lie."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skep.elf.reader import (
    EM_BPF,
    ET_REL,
    SHT_NOBITS,
    SHT_SYMTAB,
    STB_GLOBAL,
    STB_LOCAL,
    STT_FUNC,
    STT_OBJECT,
    ElfFile,
)
from skep.elf.strip import strip_debug
from skep.elf.symbols import SymbolTable
from skep.errors import ElfError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

R_BPF_64_64, R_BPF_64_32 = 1, 10


def test_header_and_sections(bpf_object: Path) -> None:
    elf = ElfFile.from_path(bpf_object)
    assert (elf.type, elf.machine) == (ET_REL, EM_BPF)
    assert elf.byteorder in {"little", "big"}
    names = [section.name for section in elf.sections]
    assert {"raw_tp/sched_process_exit", "license", ".maps", ".BTF", ".BTF.ext"} <= set(names)
    assert [section.index for section in elf.sections] == list(range(len(names)))
    assert elf.section("absent") is None
    assert elf.segments == []


def test_section_data(bpf_object: Path) -> None:
    elf = ElfFile.from_path(bpf_object)
    license_section, bss = elf.section("license"), elf.section(".bss")
    assert license_section is not None
    assert bytes(elf.data(license_section)) == b"GPL\0"
    assert bss is not None
    assert (bss.type, bss.size, len(elf.data(bss))) == (SHT_NOBITS, 4, 0)
    btf = elf.section(".BTF")
    assert btf is not None
    magic = struct.unpack("<H" if elf.byteorder == "little" else ">H", elf.data(btf)[:2])
    assert magic == (0xEB9F,)


def test_symbols(bpf_object: Path) -> None:
    elf = ElfFile.from_path(bpf_object)
    by_name = {symbol.name: symbol for symbol in elf.symbols}
    program = by_name["on_exit"]
    assert (program.type, program.binding, program.value) == (STT_FUNC, STB_GLOBAL, 0)
    home = elf.sections[program.section_index]
    assert (home.name, home.size) == ("raw_tp/sched_process_exit", program.size)
    assert (by_name["parent"].type, by_name["parent"].binding) == (STT_FUNC, STB_LOCAL)
    assert (by_name["seen"].type, by_name["seen"].size) == (STT_OBJECT, 4)
    assert elf.sections[by_name["events"].section_index].name == ".maps"


def test_relocations(bpf_object: Path) -> None:
    elf = ElfFile.from_path(bpf_object)
    program = elf.section("raw_tp/sched_process_exit")
    assert program is not None
    relocations = elf.relocations(program)
    targets = {elf.symbols[one.symbol_index].name: one.type for one in relocations}
    assert targets["events"] == targets["events_ledger"] == targets["seen"] == R_BPF_64_64
    assert R_BPF_64_32 in targets.values()  # the call of parent()
    assert all(one.addend is None and one.offset % 8 == 0 for one in relocations)
    maps = elf.section(".maps")
    assert maps is not None
    assert elf.relocations(maps) == []


def test_library_has_segments(library: Path) -> None:
    elf = ElfFile.from_path(library)
    assert any(part.type == 1 and part.flags & 1 for part in elf.segments)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no file"):
        ElfFile.from_path(tmp_path / "absent.o")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(ElfError, match="cannot be read: Is a directory"):
        ElfFile.from_path(tmp_path)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not an ELF file"),
        (b"#!/bin/sh\necho no elf here\n", "not an ELF file"),
        (b"\x7fELF\x01\x01\x01" + bytes(60), "not a 64-bit"),
        (b"\x7fELF\x02\x03\x01" + bytes(60), "byte order 3"),
        (b"\x7fELF\x02\x01\x01" + bytes(20), "truncated"),
        (b"\x7fELF\x02\x01\x01" + bytes(60), "ELF version 0"),
    ],
)
def test_not_elf(data: bytes, says: str) -> None:
    with pytest.raises(ElfError, match=says) as caught:
        ElfFile(data, "sample")
    assert caught.value.source == "sample"
    assert str(caught.value).startswith("sample ")


def test_truncated_names_what_is_missing(bpf_object: Path) -> None:
    data = bpf_object.read_bytes()
    with pytest.raises(ElfError, match="is truncated: the section header table takes bytes"):
        ElfFile(data[:-10], "cut.o")


def read_everything(data: bytes) -> None:
    elf = ElfFile(data, "fuzzed")
    for section in elf.sections:
        elf.data(section)
        elf.relocations(section)
        if section.type == SHT_SYMTAB:
            table = SymbolTable(elf, section)
            list(table)
            table.find("on_exit")
            table.find("e")
    assert elf.segments is not None
    assert elf.symbols is not None


FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZ
@given(st.data())
def test_truncated_anywhere_raises_only_elf_error(bpf_object: Path, data: st.DataObject) -> None:
    whole = bpf_object.read_bytes()
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(ElfError):
        read_everything(cut)
    with pytest.raises(ElfError):
        strip_debug(cut)


@FUZZ
@given(st.data())
def test_damaged_anywhere_raises_only_elf_error(bpf_object: Path, data: st.DataObject) -> None:
    whole = bytearray(bpf_object.read_bytes())
    # Most of a file is code and types, which the reader does not look at: aim at the tables.
    elf = ElfFile(bytes(whole))
    table = elf.section(".symtab")
    assert table is not None
    headers = len(whole) - 64 * len(elf.sections)
    places = st.one_of(
        st.integers(0, 63),
        st.integers(headers, len(whole) - 1),
        st.integers(table.offset, table.offset + table.size - 1),
        st.integers(0, len(whole) - 1),
    )
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(places)] = data.draw(st.integers(0, 255))
    for check in (read_everything, strip_debug):
        try:
            check(bytes(whole))
        except ElfError as error:
            assert str(error)  # noqa: PT017 - any other exception fails the test


@FUZZ
@given(st.binary(max_size=300))
def test_any_bytes_raise_only_elf_error(tail: bytes) -> None:
    for data in (tail, b"\x7fELF\x02\x01\x01" + tail, b"\x7fELF\x02\x02\x01" + tail):
        try:
            read_everything(data)
        except ElfError as error:
            assert str(error)  # noqa: PT017 - any other exception fails the test
