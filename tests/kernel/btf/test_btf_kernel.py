"""The running kernel's own BTF."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from skep.btf import kernel, types
from skep.btf.btf import Btf
from skep.btf.codec import codec
from skep.btf.format_c import dump_c
from skep.btf.kernel import VMLINUX, kernel_btf
from skep.btf.types import Composite, Kind, Struct
from skep.btf.writer import Builder
from skep.elf.reader import ElfFile
from skep.errors import BtfError, NoBtfError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def afresh(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Forget the opened BTF, before and after."""
    monkeypatch.setattr(kernel, "_kernel", None)
    monkeypatch.setattr(kernel, "_sysfs", None)
    return monkeypatch


def test_it_is_opened_once_and_is_the_file() -> None:
    btf = kernel_btf()
    assert kernel_btf() is btf
    with open(VMLINUX, "rb") as file:
        assert btf.raw == file.read()


def test_a_lazy_and_an_eager_walk_find_the_same(afresh: pytest.MonkeyPatch) -> None:
    lazy = kernel_btf()
    found = [lazy.find(name) for name in ("task_struct", "file", "pid_t", "int", "no_such_type")]
    with open(VMLINUX, "rb") as file:
        eager = Btf.from_bytes(file.read())
    names = ("task_struct", "file", "pid_t", "int", "no_such_type")
    assert found == [eager.find(name) for name in names]
    assert found[-1] == []
    by_name: dict[str, list[int]] = {}
    for known in eager.types():
        by_name.setdefault(known.name, []).append(known.id)
    assert found[:-1] == [by_name[name] for name in names[:-1]]
    assert len(lazy) == len(eager)


def test_well_known_types() -> None:
    btf = kernel_btf()
    task = btf.find_type("task_struct", Kind.STRUCT)
    assert isinstance(task, Struct)
    members = {member.name: member for member in task.members}
    comm = btf.strip(members["comm"].type_id)
    assert isinstance(comm, types.Array)
    assert comm.length == 16
    assert btf.size_of(btf.find_type("pid_t").id) == 4
    assert btf.align_of(task.id) >= 8
    key = btf.find_type("bpf_attr", Kind.UNION)
    assert btf.size_of(key.id) % 8 == 0


def test_every_struct_can_be_decoded() -> None:
    btf = kernel_btf()
    for found in btf.types():
        if isinstance(found, Composite) and found.size < 1 << 16:
            made = codec(btf, found.id)
            empty = made.unpack(bytes(found.size))
            assert made.pack(empty) == bytes(found.size), found


def test_a_file_named_by_the_user(afresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    builder = Builder()
    builder.int("only", 4)
    path = tmp_path / "other.btf"
    path.write_bytes(builder.build())
    afresh.setenv("SKEP_BTF", str(path))
    assert kernel_btf().find("only") == [1]
    assert kernel_btf().name == str(path)


def test_files_that_are_not_there_or_not_btf(afresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    afresh.setenv("SKEP_BTF", str(tmp_path / "missing"))
    with pytest.raises(NoBtfError, match="named by SKEP_BTF cannot be opened: No such file"):
        kernel_btf()
    for content in (b"", b"not BTF, but long enough for a header"):
        (tmp_path / "bad").write_bytes(content)
        afresh.setenv("SKEP_BTF", str(tmp_path / "bad"))
        with pytest.raises(BtfError, match=r"BTF of .*bad"):
            kernel_btf()
    afresh.delenv("SKEP_BTF")
    afresh.setattr(kernel, "VMLINUX", str(tmp_path / "missing"))
    with pytest.raises(NoBtfError, match="there is no BTF of this kernel") as caught:
        kernel_btf()
    assert caught.value.tried[0] == (str(tmp_path / "missing"), "No such file or directory")
    assert "CONFIG_DEBUG_INFO_BTF" in caught.value.hint


def test_reading_where_mapping_is_refused(afresh: pytest.MonkeyPatch) -> None:
    import mmap

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(22, os.strerror(22))

    whole = len(kernel_btf())
    afresh.setattr(kernel, "_kernel", None)
    afresh.setattr(kernel, "_sysfs", None)
    afresh.setattr(mmap, "mmap", refuse)
    assert len(kernel_btf()) == whole


def same(btf: Btf, theirs: Btf, left: Composite, right: Any) -> int:
    """Compare a struct with the compiler's, anonymous members included; count the members."""
    assert isinstance(right, Composite)
    assert (left.kind, left.size) == (right.kind, right.size), left
    kept = [m for m in right.members if not m.name.startswith("__skep_pad")]
    count = len(kept)
    for mine, its in zip(left.members, kept, strict=True):
        expected = (mine.name, mine.bit_offset, mine.bit_size)
        assert expected == (its.name, its.bit_offset, its.bit_size), left
        inner = btf.strip(mine.type_id)
        if isinstance(inner, Composite) and not inner.name:
            count += same(btf, theirs, inner, theirs.strip(its.type_id))
    return count


@pytest.mark.timeout(300)
def test_the_whole_dump_compiles_to_the_same_layout(compile_bpf: Callable[..., Path]) -> None:
    """Every named struct and union: size, and name, bit offset and width of every member."""
    btf = kernel_btf()
    text = dump_c(btf)
    wanted: dict[tuple[str, Kind], Composite] = {}
    uses = []
    seen: dict[str, int] = {}
    for found in btf.types():
        if not isinstance(found, (Composite, types.Enum)) or not found.name:
            continue
        number = seen[found.name] = seen.get(found.name, 0) + 1
        if isinstance(found, Composite):
            name = found.name if number == 1 else f"{found.name}___{number}"
            wanted[name, found.kind] = found
            uses.append(f"{'union' if found.kind == Kind.UNION else 'struct'} {name} *u{found.id};")
    elf: Any = ElfFile.from_path(str(compile_bpf("\n".join([text, *uses, ""]))))
    theirs = Btf.from_bytes(elf.data(elf.section(".BTF")), name="recompiled")
    compiled = {(found.name, found.kind): found for found in theirs.types()}
    members = 0
    for key, found in wanted.items():
        members += same(btf, theirs, found, compiled[key])
    assert len(wanted) > 1000
    assert members > 5 * len(wanted)
    assert text == dump_c(btf)


@pytest.mark.parametrize("header", ['#include "skep/bpf.h"', ""])
def test_a_program_with_the_dump_compiles(compile_bpf: Callable[..., Path], header: str) -> None:
    source = f"""
{dump_c(kernel_btf())}
{header}
__attribute__((section("raw_tp/sched_switch"), used)) int on_switch(void *context)
{{
    struct task_struct *task = ((struct task_struct **)context)[1];
    return __builtin_preserve_access_index(&task->pid) != 0;
}}
char _license[] __attribute__((section("license"), used)) = "GPL";
"""
    elf: Any = ElfFile.from_path(str(compile_bpf(source)))
    btf = Btf.from_bytes(elf.data(elf.section(".BTF")), name="program")
    task = btf.find_type("task_struct", Kind.STRUCT)
    theirs = kernel_btf().find_type("task_struct", Kind.STRUCT)
    assert isinstance(task, Struct)
    assert isinstance(theirs, Struct)
    assert task.size == theirs.size
