"""What tests of several rooms use: the program that is probed, and bpf file systems."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from skep.kernel.syscall import machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from compiling import CompileC

# As distributions compile: optimised, loaded anywhere, with endbr64 where functions start.
FLAGS = ["-O2", "-fomit-frame-pointer", "-fPIE", "-pie"]
if machine == "x86_64":
    FLAGS.append("-fcf-protection=full")


@pytest.fixture(scope="session")
def target_path(compile_c: CompileC) -> Path:
    from links_support import TARGET

    return compile_c(TARGET, *FLAGS)


@pytest.fixture(scope="session")
def stripped_path(compile_c: CompileC) -> Path:
    """The same program without its symbols."""
    from links_support import TARGET

    return compile_c(TARGET, *FLAGS, "-s")


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    """A bpf file system of the test's own."""
    folder = tmp_path / "bpf"
    folder.mkdir()
    subprocess.run(["mount", "-t", "bpf", "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def system_bpffs() -> Iterator[str]:
    """The usual /sys/fs/bpf, mounted for the test where the machine has not mounted it."""
    folder = "/sys/fs/bpf"
    mounted = os.path.ismount(folder)
    if not mounted:
        subprocess.run(["mount", "-t", "bpf", "none", folder], check=True)
    yield folder
    if not mounted:
        subprocess.run(["umount", folder], check=True)
