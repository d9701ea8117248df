"""Which files `skep btf dump` reads: raw, ELF, split, distilled, compressed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from btf_blobs import archive, distilled, elf, kernel, module

from skep.btf.distilled import relocate

if TYPE_CHECKING:
    from pathlib import Path


def dump(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "skep", "btf", "dump", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The same module as kernels show it, as an ELF file, and with a distilled base; its kernel."""
    base, small = kernel(), distilled()
    (tmp_path / "vmlinux").write_bytes(base.raw)
    split = relocate(module(small), base).raw
    (tmp_path / "mod").write_bytes(split)
    (tmp_path / "plain.ko").write_bytes(elf({".BTF": split}).raw)
    made = elf({".BTF": module(small).raw, ".BTF.base": small.raw})
    (tmp_path / "distilled.ko").write_bytes(made.raw)
    (tmp_path / "6.1.btf.tar.xz").write_bytes(archive(base.raw, "6.1.btf"))
    return tmp_path


@pytest.mark.parametrize("name", ["mod", "plain.ko", "distilled.ko"])
def test_modules(files: Path, name: str) -> None:
    done = dump(files / name, "--base", files / "vmlinux", "--format", "raw")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert rows[0].startswith(f"[{len(kernel())}] ")  # its own types, numbered after the kernel's
    assert "STRUCT 'mod_priv' size=56 vlen=7" in done.stdout
    assert "'u32'" not in done.stdout
    header = dump(files / name, "--base", files / "vmlinux").stdout
    assert "struct mod_priv {" in header
    assert "struct embedded {" in header  # what it needs of the kernel's


def test_a_compressed_kernel(files: Path) -> None:
    done = dump(files / "6.1.btf.tar.xz", "--format", "raw")
    assert done.stdout == dump(files / "vmlinux", "--format", "raw").stdout != ""


def test_a_module_of_another_kernel(files: Path) -> None:
    done = dump(files / "distilled.ko", "--base", files / "mod")
    assert done.returncode == 1
    assert done.stderr.startswith("skep: BTF of ")
    (files / "empty").write_bytes(b"")
    done = dump(files / "distilled.ko", "--base", files / "empty")
    assert (done.returncode, done.stdout) == (1, "")
    assert "empty is truncated" in done.stderr
