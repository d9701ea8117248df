"""`import skep`: every public name is there, and costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys

import skep


def run(code: str) -> str:
    """Return what *code* prints in a fresh interpreter."""
    command = [sys.executable, "-I", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_importing_skep_imports_nothing_else() -> None:
    code = "import sys; old = set(sys.modules); import skep; print(sorted(set(sys.modules) - old))"
    assert run(code) == "['__future__', 'skep']"


def test_every_public_name_exists() -> None:
    missing = [name for name in skep.__all__ if not hasattr(skep, name)]
    assert missing == []
    assert dir(skep) == sorted(skep.__all__)


def test_rooms_are_public_without_an_import_of_their_own() -> None:
    code = (
        "import skep; print(skep.build.compile.__module__, skep.tools.find('runqlat').name,"
        " skep.links.uprobe.__name__, skep.errors.SkepError is"
        " skep.SkepError)"
    )
    assert run(code) == "skep.build.compiler runqlat uprobe True"
