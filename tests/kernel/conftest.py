"""The program that the link tests probe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from skep.kernel.syscall import machine

if TYPE_CHECKING:
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
