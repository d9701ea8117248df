"""A child process for which folders of this machine are empty: a private mount namespace."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

BTF = "/sys/kernel/btf"

# CLONE_NEWNS; MS_REC | MS_PRIVATE, so that nothing here is seen outside (mount(2)).
_PRELUDE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    if getattr(libc, name)(*arguments):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)
call("unshare", 0x20000)
call("mount", None, b"/", None, ctypes.c_ulong(0x4000 | 0x40000), None)
for folder in filter(None, sys.argv.pop(1).split(":")):
    call("mount", b"none", os.fsencode(folder), b"tmpfs", ctypes.c_ulong(0), None)
"""


def python(
    script: str,
    *arguments: str,
    empty: str = BTF,
    variables: Mapping[str, str] | None = None,
    stdin: str = os.devnull,
) -> subprocess.CompletedProcess[str]:
    """Run Python code where the folders *empty* (joined by ":") are; wait for its end.

    In the code, `sys.argv[1:]` are *arguments*, and standard input is the file *stdin*. Needs
    root.
    """
    environment = {name: value for name, value in os.environ.items() if name != "SKEP_BTF"}
    with open(stdin, "rb") as file:
        return subprocess.run(
            [sys.executable, "-c", _PRELUDE + script, empty, *arguments],
            stdin=file,
            capture_output=True,
            text=True,
            check=False,
            env={**environment, **(variables or {})},
        )
