"""The fixture that compiles programs for the tools to look at."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tools_support import CompileC


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> CompileC:
    """Compile C given as text with ziglang's compiler; each text once a session."""
    made: dict[tuple[str, ...], Path] = {}

    def compile_c(source: str, *flags: str) -> Path:
        key = (source, *flags)
        if key not in made:
            folder = tmp_path_factory.mktemp("target")
            (folder / "target.c").write_text(source)
            # No undefined-behaviour traps, and frames that a debugger would understand.
            options = ["-O1", "-fno-sanitize=all", "-pthread", *flags]
            command = [sys.executable, "-m", "ziglang", "cc", *options, "target.c", "-o", "target"]
            subprocess.run(command, cwd=folder, check=True)
            made[key] = folder / "target"
        return made[key]

    return compile_c
