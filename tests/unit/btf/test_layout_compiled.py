"""Layouts against what compilers do: `offsetof`, `sizeof` and the bits of initialised bit-fields.

BTF is made once, for BPF; each architecture's own compiler then says how it lays the same types
out. `SKEP_STRUCT_TYPES=500` takes so many new types for each instead of the same few.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from struct_types import Composite, definition, definitions, natural, structs, without_gaps

from skep.btf.abi import abi
from skep.btf.btf import Btf
from skep.btf.layout import layout
from skep.btf.layout_check import paths

if TYPE_CHECKING:
    from pathlib import Path

    from compiling import CompileBpf, CompileC
    from struct_types import Leaf

    from skep.btf.layout import Layout

WANTED = int(os.environ.get("SKEP_STRUCT_TYPES", "0"))
BATCH = 20
# Where everything is where BTF of BPF says, whatever the attributes.
ALIKE = {
    "x86_64": "x86_64-linux-gnu",
    "arm64": "aarch64-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
    "loongarch64": "loongarch64-linux-gnu",
    "ppc64le": "powerpc64le-linux-gnu",
    "ppc64": "powerpc64-linux-gnu",
    "mips64el": "mips64el-linux-gnuabi64",
    "mips64": "mips64-linux-gnuabi64",
    "sparc64": "sparc64-linux-gnu",
}
OTHERS = {
    "s390x": "s390x-linux-gnu",
    "i386": "x86-linux-gnu",
    "arm": "arm-linux-gnueabihf",
    "riscv32": "riscv32-linux-gnu",
    "mipsel": "mipsel-linux-gnueabi",
    "mips": "mips-linux-gnueabi",
    "ppc": "powerpc-linux-gnueabi",
}
TYPEDEFS = """
typedef unsigned char __u8; typedef unsigned short __u16; typedef unsigned int __u32;
typedef unsigned long long __u64; typedef long long __s64;
typedef __u16 __be16; typedef __u32 __be32; typedef __u64 __be64;
typedef __u16 __le16; typedef __u32 __le32; typedef __u64 __le64;
"""


def source(types: list[Composite], *, tables: bool) -> str:
    """Return the types, and the variables that a test looks into."""
    parts = [TYPEDEFS, definitions()]
    for number, type_ in enumerate(types):
        name = f"struct s{number}"
        parts.append(definition(type_, f"s{number}"))
        if not tables:
            parts.append(f"{name} v{number};\n")
            continue
        words = [f"sizeof({name})", f"_Alignof({name})"]
        for place, leaf in enumerate(firsts(type_)):
            path = leaf.path[1:]
            if leaf.bits:
                section = f'__attribute__((section(".b{number}_{place}"), aligned(16)))'
                value = 1 if leaf.number.kind == "bool" else -1
                parts.append(f"const {name} b{number}_{place} {section} = {{.{path} = {value}}};\n")
            else:
                words += [f"__builtin_offsetof({name}, {path})", f"sizeof((({name} *)0)->{path})"]
        table = f'const unsigned t{number}[] __attribute__((section(".t{number}")))'
        parts.append(f"{table} = {{{', '.join(words)}}};\n")
    return "".join(parts)


def firsts(type_: Composite) -> list[Leaf]:
    """Return the leaves that a layout shows: of arrays those of the first element."""
    found = []
    for leaf in type_.leaves("", 0, active=False):
        indices = [part.partition("]")[0] for part in leaf.path.split("[")[1:]]
        if all(index == "0" for index in indices):
            found.append(leaf)
    return found


def places(found: Layout) -> dict[str, tuple[int, int]]:
    """Return first bit and width of every number, by its path in C."""
    out = {}
    for path, _, row in paths(found.rows):
        if row.kind != "member" or row.head:
            continue
        lengths = [int(part.rstrip("]")) for part in row.type_name.split("[")[1:]]
        width = row.bit_size
        for length in lengths:
            width //= length or 1
        out[path + "[0]" * len(lengths)] = row.bit_offset, width
    return out


def first_bits(data: bytes, byteorder: str) -> tuple[int, int]:
    """Return the first of the bits that are set and how many there are, counted as BTF does."""
    if byteorder == "little":
        number = int.from_bytes(data, "little")
        low = (number & -number).bit_length() - 1
        return low, number.bit_length() - low
    number = int.from_bytes(data, "big")
    return 8 * len(data) - number.bit_length(), number.bit_count()


def sections(data: bytes) -> dict[str, bytes]:
    """Return the sections of an ELF file of either width and order; skep reads 64 bits only."""
    order = "<" if data[5] == 1 else ">"
    wide = data[4] == 2
    at = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", data, 40 if wide else 32)[0]
    step, count, names = struct.unpack_from(f"{order}3H", data, 58 if wide else 46)
    form = f"{order}2I4Q" if wide else f"{order}6I"
    rows = [struct.unpack_from(form, data, at + step * index) for index in range(count)]
    found = {}
    for name, kind, _, _, offset, size in rows:
        start = rows[names][4] + name
        text = data[start : data.index(b"\0", start)].decode()
        found[text] = data[offset : offset + size] if kind != 8 else b""  # SHT_NOBITS
    return found


def compare(arch: str, types: list[Composite], bpf: Path, native: Path, *, exact: bool) -> None:
    btf = Btf.from_bytes(sections(bpf.read_bytes())[".BTF"], name="types")
    elf = sections(native.read_bytes())
    order = abi(arch).byteorder
    for number, type_ in enumerate(types):
        found = layout(btf, btf.find_type(f"s{number}", 4).id, arch)
        mine = places(found)
        data = elf[f".t{number}"]
        words = list(struct.unpack(f"{'<' if order == 'little' else '>'}{len(data) // 4}I", data))
        size, align = words[:2]
        text = definition(type_, "x")
        assert found.size == size, f"{arch}: size of {text}"
        if not exact:
            assert found.alignment == align, f"{arch}: alignment of {text}"
        rest = iter(words[2:])
        for place, leaf in enumerate(firsts(type_)):
            path = leaf.path[1:]
            if leaf.bits:
                there = first_bits(elf[f".b{number}_{place}"][:size], order)
            else:
                there = 8 * next(rest), 8 * next(rest)
            assert mine[path] == there, f"{arch}: {path} of {text}"
        assert len(mine) >= len(firsts(type_))  # empty structs are in a layout too


@pytest.mark.timeout(120 + 2 * WANTED)
@pytest.mark.parametrize("arch", [*ALIKE, *OTHERS])
def test_layouts_are_those_of_the_compiler(
    arch: str, compile_bpf: CompileBpf, compile_c: CompileC, tmp_path: Path
) -> None:
    exact = arch in ALIKE
    seen = 0

    def check(types: list[Composite]) -> None:
        nonlocal seen
        if arch == "arm64":  # aligns a struct to its unnamed bits, too, which BTF does not have
            types = [without_gaps(each) for each in types]
        if not exact:
            types = [natural(each) for each in types]
        mine, theirs = source(types, tables=False), source(types, tables=True)
        triple = (ALIKE | OTHERS)[arch]
        bpf = compile_bpf(mine) if not WANTED else compiled(mine, "bpfel-freestanding", "bpf")
        flags = ("-target", triple, "-c", "-w", "-Oz")
        native = compile_c(theirs, *flags) if not WANTED else compiled(theirs, triple, "native")
        compare(arch, types, bpf, native, exact=exact)
        seen += len(types)

    def compiled(text: str, triple: str, name: str) -> Path:
        (tmp_path / f"{name}.c").write_text(text)
        flags = ["-g", "-O2", "-w", "-fno-sanitize=all", "-target", triple, "-c", f"{name}.c"]
        command = [sys.executable, "-m", "ziglang", "cc", *flags, "-o", f"{name}.o"]
        subprocess.run(command, cwd=tmp_path, check=True)
        return tmp_path / f"{name}.o"

    settings(
        max_examples=-(-WANTED // BATCH) or 1,
        derandomize=not WANTED,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # a failure names the type
    )(given(st.lists(structs(), min_size=BATCH, max_size=BATCH))(check))()
    assert seen >= (WANTED or BATCH)
