"""Executables made to cost as much as possible: never more than 256 MiB, nor more than seconds."""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING

import pytest
from fuzz.elf_writer import ElfWriter
from fuzz.targets import binary_target
from measured import bounded

from skep.elf.reader import (
    SHT_DYNSYM,
    SHT_GNU_VERDEF,
    SHT_GNU_VERSYM,
    SHT_NOTE,
    SHT_STRTAB,
    STT_FUNC,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NOBODY = STT_FUNC | 1 << 4


def executable(file: ElfWriter, *, segments: int = 1) -> bytes:
    """Make an executable of *file*, with so many segments that show all of it."""
    at = file.put(pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 1 << 30, 1 << 30, 4096) * segments)
    data = bytearray(file.build())
    data[16:18] = pack("<H", 2)
    data[32:40] = pack("<Q", at)
    data[54:58] = pack("<HH", 56, segments)
    return bytes(data)


def symbols(file: ElfWriter, rows: list[tuple[int, int]], strings: bytes) -> int:
    names = file.section(".dynstr", strings, type=SHT_STRTAB)
    code = file.code(".text", b"\xc3")
    table = b"".join(pack("<IBBHQQ", at, NOBODY, 0, code, value, 1) for at, value in rows)
    return file.section(".dynsym", table, type=SHT_DYNSYM, link=names)


def names_that_are_tails() -> bytes:
    file = ElfWriter()
    symbols(file, [(1 + n, n) for n in range(20_000)], b"\0" + b"main" * 120_000 + b"\0")
    return executable(file)


def one_name_everywhere() -> bytes:
    file = ElfWriter()
    symbols(file, [(1, n) for n in range(40_000)], b"\0main\0")
    return executable(file)


def a_name_in_many_places() -> bytes:
    file = ElfWriter()
    rows = [(1 + 5 * n, n) for n in range(20_000)]
    symbols(file, rows, b"\0" + b"main\0" * 80_000)
    return executable(file)


def tables_shown_again_and_again() -> bytes:
    file = ElfWriter()
    table = symbols(file, [(1, 0)] * 20_000, b"\0main\0")
    row = file.sections[table]
    name = file.name(".dynsym")
    for _ in range(7000):
        file.section(name, type=SHT_DYNSYM, offset=row[4], size=row[5], link=row[6])
    return executable(file)


def very_many_segments() -> bytes:
    file = ElfWriter()
    symbols(file, [(1, 1 << 40)] * 20_000, b"\0main\0")
    return executable(file, segments=9000)


def notes_shown_again_and_again() -> bytes:
    file = ElfWriter()
    at = file.put(pack("<III", 0, 0, 1) * 40_000)
    name = file.name(".note")
    for _ in range(7000):
        file.section(name, type=SHT_NOTE, offset=at, size=12 * 40_000)
    return executable(file)


def versions_with_long_names() -> bytes:
    file = ElfWriter()
    table = symbols(file, [(1, 0)] * 2000, b"\0main\0" + b"v" * 500_000 + b"\0")
    file.section(".gnu.version", pack("<2000H", *range(2000)), type=SHT_GNU_VERSYM, link=table)
    rows = b"".join(
        pack("<HHHHIII", 1, 0, n, 1, 0, 20, 28) + pack("<II", 6 + n, 0) for n in range(12_000)
    )
    file.section(".gnu.version_d", rows, type=SHT_GNU_VERDEF, link=file.sections[table][6])
    return executable(file)


HOSTILE = [
    names_that_are_tails,
    one_name_everywhere,
    a_name_in_many_places,
    tables_shown_again_and_again,
    very_many_segments,
    notes_shown_again_and_again,
    versions_with_long_names,
]


@pytest.mark.parametrize("make", HOSTILE)
def test_no_binary_costs_much(make: Callable[[], bytes]) -> None:
    bounded(binary_target, make())
