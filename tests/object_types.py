"""The types of an object file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skep.btf.btf import Btf
from skep.elf.reader import ElfFile

if TYPE_CHECKING:
    from pathlib import Path


def types_of(path: Path) -> Btf:
    """Return the BTF of the object at *path*."""
    elf = ElfFile(path.read_bytes(), path.name)
    section = elf.section(".BTF")
    assert section is not None
    return Btf.from_bytes(elf.data(section), name=path.name)
