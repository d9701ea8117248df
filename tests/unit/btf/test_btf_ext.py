"""The .BTF.ext parser, on sections written byte by byte and on a real compiler's."""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.btf.btf import Btf
from skep.btf.ext import BtfExt
from skep.btf.writer import Builder
from skep.elf.reader import ElfFile
from skep.errors import BtfError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def build(order: str) -> tuple[Btf, int, int]:
    builder = Builder(order)
    section = builder.string("tracepoint/a/b")
    access = builder.string("0:1:2")
    builder.int("int", 4)
    return Btf.from_bytes(builder.build(), name="test"), section, access


def part(sign: str, size: int, groups: list[tuple[int, int, bytes]]) -> bytes:
    body = pack(f"{sign}I", size)
    for name, count, records in groups:
        body += pack(f"{sign}II", name, count) + records
    return body


def ext(sign: str, *parts: bytes, header: int = 32, **changes: int) -> bytes:
    at = 0
    places: list[int] = []
    for body in parts:
        places += [at, len(body)]
        at += len(body)
    fields = {"magic": 0xEB9F, "version": 1, "flags": 0, "header": header} | changes
    start = pack(f"{sign}HBBI", *fields.values())
    return start + pack(f"{sign}{len(places)}I", *places) + b"".join(parts)


@pytest.mark.parametrize("order", ["little", "big"])
def test_every_part(order: str) -> None:
    btf, section, access = build(order)
    sign = "<" if order == "little" else ">"
    funcs = part(sign, 12, [(section, 2, pack(f"{sign}6I", 0, 1, 99, 16, 2, 99))])
    lines = part(sign, 16, [(section, 1, pack(f"{sign}4I", 8, 1, 2, 5 << 10 | 3))])
    cores = part(sign, 16, [(section, 1, pack(f"{sign}4I", 24, 1, access, 2))])
    made = BtfExt.from_bytes(ext(sign, funcs, lines, cores), btf)
    name = "tracepoint/a/b"
    assert made.func_info == {name: [(0, 1), (16, 2)]}
    assert made.line_info == {name: [(8, 1, 2, 5 << 10 | 3)]}
    (core,) = made.core_relocations[name]
    assert (core.insn_off, core.type_id, core.access, core.kind) == (24, 1, "0:1:2", 2)
    short = BtfExt.from_bytes(ext(sign, funcs, lines, header=24), btf)
    assert short.core_relocations == {}
    assert BtfExt.from_bytes(ext(sign, b"", b"", b""), btf).func_info == {}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "truncated"),
        (ext("<", b"", b"", b"", magic=1), "magic"),
        (ext(">", b"", b"", b""), "magic number of its byte order"),
        (ext("<", b"", b"", b"", version=3), "version 3"),
        (ext("<", b"", b"", b"", header=20), "header of 20"),
        (ext("<", b"", b"", b"", header=99), "header of 99"),
        (ext("<", part("<", 4, []), b"", b""), "records of 4 bytes"),
        (ext("<", part("<", 10, []), b"", b""), "records of 10 bytes"),
        (ext("<", part("<", 8, [(1, 5, bytes(8))]), b"", b""), "claims 5 records"),
        (ext("<", part("<", 8, [(1, 0, b"")]), b"", b""), "claims 0 records"),
        (ext("<", part("<", 8, []) + bytes(4), b"", b""), "inside a section header"),
        (ext("<", part("<", 8, [(9999, 1, bytes(8))]), b"", b""), "string at offset 9999"),
        (ext("<", part("<", 8, [(1, 1, bytes(8))]), b"", b"")[:-1], "lies outside"),
        (ext("<", b"\0\0", b"", b""), "lies outside"),
    ],
)
def test_malformed_sections(data: bytes, message: str) -> None:
    btf, _, _ = build("little")
    with pytest.raises(BtfError, match=message):
        BtfExt.from_bytes(data, btf)


@given(st.binary(max_size=120), st.booleans())
def test_noise_raises_only_btf_errors(noise: bytes, headed: bool) -> None:
    btf, _, _ = build("little")
    data = b"\x9f\xeb\x01\0\x20\0\0\0" + noise if headed else noise
    try:
        made = BtfExt.from_bytes(data, btf)
    except BtfError:
        return
    assert sum(map(len, made.func_info.values())) <= len(data)


SOURCE = """
typedef unsigned int u32;
struct task { int pid; u32 flags[4]; } __attribute__((preserve_access_index));
static __attribute__((noinline)) int other(struct task *t) { return t->flags[2]; }
__attribute__((section("raw_tp/one"), used)) int one(struct task *t)
{
    return t->pid + other(t);
}
char _license[] __attribute__((section("license"))) = "GPL";
"""


@pytest.mark.parametrize("target", ["bpfel", "bpfeb"])
def test_a_compiler_s_section(compile_bpf: Callable[..., Path], target: str) -> None:
    elf: Any = ElfFile.from_path(str(compile_bpf(SOURCE, target=target)))
    btf = Btf.from_bytes(elf.data(elf.section(".BTF")), name="source")
    made = BtfExt.from_bytes(elf.data(elf.section(".BTF.ext")), btf)
    ((offset, id_),) = made.func_info["raw_tp/one"]
    assert (offset, btf.type(id_).name) == (0, "one")
    lines = [word >> 10 for _, _, _, word in made.line_info["raw_tp/one"]]
    texts = [btf.string(text) for _, _, text, _ in made.line_info["raw_tp/one"]]
    assert SOURCE.split("\n")[lines[-1] - 1] == texts[-1]
    task = btf.find_type("task").id
    accesses = {
        name: [(r.type_id, r.access, r.kind) for r in relocations]
        for name, relocations in made.core_relocations.items()
    }
    assert accesses == {"raw_tp/one": [(task, "0:0", 0)], ".text": [(task, "0:1:2", 0)]}
