"""Blobs that several tests need: ELF files and archives, a kernel's types and its module's."""

from __future__ import annotations

import io
import struct
import sys
import tarfile
from typing import TYPE_CHECKING

from skep.btf.btf import Btf
from skep.btf.writer import Builder
from skep.elf.reader import ElfFile

if TYPE_CHECKING:
    from collections.abc import Callable

ORDER = "<" if sys.byteorder == "little" else ">"


def archive(content: bytes, name: str) -> bytes:
    """Return a .tar.xz with one file."""
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:xz") as made:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        made.addfile(entry, io.BytesIO(content))
    return memory.getvalue()


def elf(sections: dict[str, bytes]) -> ElfFile:
    """Return an ELF file of this machine with just these sections."""
    names = b"\0.shstrtab\0" + b"".join(name.encode() + b"\0" for name in sections)
    contents = [names, *sections.values()]
    places, at = [], 64
    for content in contents:
        places.append((at, len(content)))
        at += len(content)
    labels = [names.index(f"\0{name}\0".encode()) + 1 for name in (".shstrtab", *sections)]
    rows = [struct.pack(f"{ORDER}IIQQQQIIQQ", *[0] * 10)] + [
        struct.pack(f"{ORDER}IIQQQQIIQQ", label, 1, 0, 0, *place, 0, 0, 1, 0)
        for label, place in zip(labels, places, strict=True)
    ]
    rest = (1, 62, 1, 0, 0, at, 0, 64, 56, 0, 64, len(rows), 1)
    ident = b"\x7fELF" + bytes([2, 1 if ORDER == "<" else 2, 1]) + bytes(9)
    header = ident + struct.pack(f"{ORDER}HHIQQQIHHHHHH", *rest)
    return ElfFile(header + b"".join(contents) + b"".join(rows), "mod.ko")


def kernel(*, shifted: bool = False, byteorder: str = "little") -> Btf:
    """Types of a kernel; *shifted* is another build of it, with other numbers."""
    b = Builder(byteorder)
    if shifted:
        b.float("something_new", 8)
    u32, u64 = b.int("u32", 4), b.int("u64", 8)
    if not shifted:
        b.int("old", 2)
    b.enum("mode", [("ON", 1), ("OFF", 0)])
    b.struct("embedded", 16, [("a", u64, 0), ("b", u32, 64)])
    b.struct("pointed", 400, [("list", b.pointer(b.next_id + 1), 0)])
    b.union("joint", 8, [("x", u64, 0)])
    b.struct("embedded" if shifted else "unrelated", 999, [])
    b.float("double", 8)
    b.enum64("wide", [("HUGE", 1 << 40)])
    return Btf.from_bytes(b.build(), name="vmlinux")


NAMES = ("u32", "mode", "embedded", "pointed", "joint", "double", "wide")


def distilled(
    byteorder: str = "little", changed: dict[str, Callable[[Builder], int]] | None = None
) -> Btf:
    """What is left of the kernel in a module: names, kinds, sizes."""
    b = Builder(byteorder)
    makers: dict[str, Callable[[Builder], int]] = {
        "u32": lambda b: b.int("u32", 4),
        "mode": lambda b: b.enum("mode", []),
        "embedded": lambda b: b.struct("embedded", 16, []),
        "pointed": lambda b: b.forward("pointed"),
        "joint": lambda b: b.forward("joint", union=True),
        "double": lambda b: b.float("double", 8),
        "wide": lambda b: b.enum("wide", [], size=8),
    }
    for make in (makers | (changed or {})).values():
        make(b)
    return Btf.from_bytes(b.build(), name="mod.ko's .BTF.base")


def module(base: Btf) -> Btf:
    """A module's types, that use all of the base's."""
    b = Builder(base.byteorder, base=base)
    ids = {found.name: found.id for found in base.types()}
    pointer = b.pointer(ids["pointed"])
    joint = b.pointer(ids["joint"])
    rows = [
        ("number", ids["u32"], 0), ("mode", ids["mode"], 32), ("inner", ids["embedded"], 64),
        ("to", pointer, 192), ("joint", joint, 256), ("real", ids["double"], 320),
        ("wide", ids["wide"], 384),
    ]  # fmt: skip
    priv = b.struct("mod_priv", 56, rows)
    proto = b.func_proto(ids["u32"], [("p", b.pointer(priv))])
    b.func("mod_function", proto)
    return Btf.from_bytes(b.build(), base=base, name="mod.ko")
