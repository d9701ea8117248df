"""The index of the running kernel's BTF: used across processes, never trusted blindly."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from skep.btf import index
from skep.btf.btf import Btf
from skep.btf.index import Index
from skep.btf.kernel import VMLINUX, kernel_btf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from compiling import CompileBpf

# Prints how many records were walked over to answer, and the answers.
LOOKUPS = """
from skep.btf import kernel
from skep.btf.types import Kind
btf = kernel.kernel_btf()
print([btf.find(name, Kind.STRUCT) for name in ("task_struct", "file", "no_such_struct")],
      [(m.name, m.bit_offset) for m in btf.find_type("file", Kind.STRUCT).members][:5])
print(len(btf._infos))
kernel.remember()
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the index in a directory of the test's own."""
    monkeypatch.setenv(index.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / index.FILE


def ask(code: str = LOOKUPS, *before: str) -> tuple[str, int]:
    """Run *code* in a process of its own; return its answers and how far it had to walk."""
    command = [*before, sys.executable, "-I", "-c", code]
    answers, walked = subprocess.run(
        command, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    return answers, int(walked)


def test_the_second_process_walks_nothing(cache: Path) -> None:
    first, walked = ask()
    assert walked > 100
    assert cache.exists()
    assert ask() == (first, 0)


def test_switched_off_it_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(index.VARIABLE, "off")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ask()[1] > 100
    assert os.listdir(tmp_path) == []


def test_loading_an_object_keeps_what_it_asked(cache: Path, compile_bpf: CompileBpf) -> None:
    path = compile_bpf(
        """
        #include <skep/bpf.h>
        struct task_struct { int tgid; } __attribute__((preserve_access_index));
        SEC("raw_tp/sys_enter")
        int look(void *context)
        {
            struct task_struct *task = (void *)bpf_get_current_task();
            return BPF_CORE_READ(task, tgid) == 1;
        }
        char LICENSE[] SEC("license") = "GPL";
        """
    )
    load = f"import skep; skep.ObjectSpec.from_file({str(path)!r}).load().close()"
    code = (
        f"{load}; from skep.btf.kernel import kernel_btf; print(); print(len(kernel_btf()._infos))"
    )
    assert ask(code)[1] > 0
    assert " task_struct" in cache.read_text()
    assert ask(code)[1] == 0


def test_a_foreign_file_is_ignored_and_replaced(cache: Path) -> None:
    first, walked = ask()
    os.chown(cache, 65534, 65534)
    assert ask() == (first, walked)
    assert cache.stat().st_uid == os.geteuid()
    assert ask() == (first, 0)


def test_a_foreign_directory_is_neither_read_nor_written(cache: Path) -> None:
    first, walked = ask()
    written = cache.read_bytes()
    os.chown(cache.parent, 65534, 65534)
    cache.write_bytes(written.replace(b" file", b" life"))
    before = cache.read_bytes()
    assert ask() == (first, walked)
    assert cache.read_bytes() == before


def test_an_index_of_another_boot_is_checked_by_its_hash(cache: Path) -> None:
    first, walked = ask()
    lines = cache.read_bytes().split(b"\n")
    lines[1] = b"an earlier boot"
    content = b"\n".join(lines[:-1])
    cache.write_bytes(content + b"\n" + index._checksum(content))
    assert ask() == (first, 0)
    assert b"an earlier boot" not in cache.read_bytes()
    lines[2] = b"4711 deadbeef"
    content = b"\n".join(lines[:-1])
    cache.write_bytes(content + b"\n" + index._checksum(content))
    assert ask() == (first, walked)


def test_a_file_mounted_over_the_kernels_has_no_index(cache: Path, tmp_path: Path) -> None:
    """Its content may change while the boot is the same, and it may be cut while it is mapped."""
    with open(VMLINUX, "rb") as source:
        (tmp_path / "copy").write_bytes(source.read())
    first, _ = ask()
    before = cache.read_bytes()
    hide = f'mount --bind {tmp_path / "copy"} {VMLINUX} && exec "$0" "$@"'
    answers, walked = ask(LOOKUPS, "unshare", "--mount", "/bin/sh", "-c", hide)
    assert (answers, walked > 100) == (first, True)
    assert cache.read_bytes() == before


def sample(btf: Btf) -> Iterator[tuple[str, int | None]]:
    """Choose a few hundred questions from all over *btf*."""
    for place, id_ in enumerate(range(1, len(btf), len(btf) // 400)):
        name = btf.type(id_).name or "no_such_name"
        yield name, None if place % 2 else int(btf.type(id_).kind)


def test_every_answer_is_the_same_with_and_without(cache: Path) -> None:
    whole = Btf.from_bytes(kernel_btf().raw, trusted=True)
    questions = list(sample(whole))
    expected = [whole.find(*question) for question in questions]
    first = Btf.from_bytes(whole.raw, trusted=True)
    for question, ids in zip(questions, expected, strict=True):
        assert first.find(*question) == ids
    Index(first, "this boot").save()
    second = Btf.from_bytes(whole.raw, trusted=True)
    Index(second, "this boot").load()
    assert second.learned() == first.learned()
    for question, ids in zip(questions, expected, strict=True):
        assert second.find(*question) == ids
        for id_ in ids:
            assert second.record_offset(id_) == whole.record_offset(id_)
            assert second.kind_of(id_) == whole.kind_of(id_)
            assert repr(second.type(id_)) == repr(whole.type(id_))
    assert second._infos == []
    # And what nobody asked before.
    for name in ("super_block", "bpf_prog", "no_such_type"):
        assert second.find(name) == whole.find(name)
