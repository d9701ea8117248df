"""Finds a C compiler that can make BPF objects: a clang, or the one in the ziglang package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import lru_cache

from skep.errors import NotFoundError, require

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: The oldest clang that emits everything the headers use (BTF type tags, enum64, CO-RE matches).
OLDEST_CLANG = 15

_INSTALL = "apt install clang, or pip install 'skep[build]'"


class Toolchain:
    """A compiler: `name` is ``"clang"`` or ``"ziglang"``, `prefix` the command that starts it."""

    __slots__ = ("name", "prefix")

    def __init__(self, name: str, prefix: Sequence[str]) -> None:
        self.name = name
        self.prefix = tuple(prefix)

    def command(self, target: str) -> list[str]:
        """Return the command and its options for *target*, ``"bpfel"`` or ``"bpfeb"``."""
        if self.name == "ziglang":
            return [*self.prefix, "-target", f"{target}-freestanding", "-fno-sanitize=all"]
        return [*self.prefix, "-target", target]

    def environment(self, scratch: str) -> dict[str, str]:
        """Make the environment to run it in; *scratch* is a folder that lives as long as it."""
        environment = dict(os.environ)
        # Messages are shown to the user and looked at for hints: one language, whatever the locale.
        environment["LC_ALL"] = "C.UTF-8"
        # These add include folders or change options behind our back.
        for name in ("CPATH", "C_INCLUDE_PATH", "SOURCE_DATE_EPOCH", "CCC_OVERRIDE_OPTIONS"):
            environment.pop(name, None)
        if self.name == "ziglang":
            # Zig keeps a cache in the home folder, which services and containers may not have.
            home = os.path.expanduser("~")
            if "ZIG_GLOBAL_CACHE_DIR" not in environment and not os.access(home, os.W_OK):
                environment["ZIG_GLOBAL_CACHE_DIR"] = scratch
            environment.setdefault("ZIG_LOCAL_CACHE_DIR", scratch)
        return environment

    def __repr__(self) -> str:
        return f"<Toolchain {self.name}: {' '.join(self.prefix)}>"


def find_toolchain(compiler: str = "auto") -> Toolchain:
    """Find the *compiler*: ``"auto"``, ``"clang"``, ``"ziglang"``, or the path or name of a clang.

    ``"auto"`` takes a clang on the PATH, the newest of those with a version in their name, and
    else ziglang. Raises NotFoundError when there is none, MissingExtraError when ziglang was
    asked for by name and is not installed.
    """
    if compiler == "ziglang":
        require("ziglang", extra="build", purpose="compiling with ziglang")
        return Toolchain("ziglang", _zig_command())
    if compiler in ("auto", "clang"):
        for candidate in _clangs():
            if _major_version(candidate) >= OLDEST_CLANG:
                return Toolchain("clang", [candidate])
        if compiler == "auto" and _has_zig():
            return Toolchain("ziglang", _zig_command())
        what = f"no clang {OLDEST_CLANG} or newer" + (", nor ziglang" if compiler == "auto" else "")
        message = f"there is {what}, to compile BPF programs with"
        raise NotFoundError(message, name=compiler, hint=_INSTALL)
    path = shutil.which(compiler)
    if path is None:
        raise NotFoundError(f"there is no compiler {compiler}", name=compiler, hint=_INSTALL)
    return Toolchain("clang", [os.path.abspath(path)])


def _clangs() -> Iterator[str]:
    """Every clang on the PATH: `clang` itself, then versioned ones, newest first."""
    plain = shutil.which("clang")
    if plain is not None:
        yield plain
    for version in range(40, OLDEST_CLANG - 1, -1):
        path = shutil.which(f"clang-{version}")
        if path is not None:
            yield path


@lru_cache
def _major_version(clang: str) -> int:
    """Ask *clang* for its major version; 0 when it does not say."""
    try:
        said = subprocess.run(
            [clang, "-dumpversion"], stdin=subprocess.DEVNULL, capture_output=True, check=False
        ).stdout
    except OSError:
        return 0
    major = said.partition(b".")[0]
    return int(major) if major.isdigit() else 0


def _has_zig() -> bool:
    import importlib.util

    return importlib.util.find_spec("ziglang") is not None


def _zig_command() -> list[str]:
    return [sys.executable, "-m", "ziglang", "cc"]
