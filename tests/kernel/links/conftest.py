"""The program that the link tests probe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from links_support import TARGET

from skep.kernel.syscall import machine

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import CompileC


# As distributions compile: optimised, and with endbr64 where functions start.
FLAGS = ["-O2", "-fomit-frame-pointer"]
if machine == "x86_64":
    FLAGS.append("-fcf-protection=full")


@pytest.fixture(scope="session")
def target_path(compile_c: CompileC) -> Path:
    return compile_c(TARGET, *FLAGS)


@pytest.fixture(scope="session")
def stripped_path(compile_c: CompileC) -> Path:
    """The same program without its symbols."""
    return compile_c(TARGET, *FLAGS, "-s")
