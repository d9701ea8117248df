"""The types of other kernels (BTF), brought from a guest and worked on here, where it is fast."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import compiling

from skep.vm import guest

if TYPE_CHECKING:
    from skep.vm.kernels import Kernel

# Those that look at the kernel's types whatever kernel it is.
CHOSEN = "well_known or every_struct or dump"


def test_types_of_every_kernel(every_kernel: Kernel, root: str, cache: str) -> None:
    """Every struct decodes, and the dump compiles to the same layout."""
    path = os.path.join(cache, f"{every_kernel.release}.btf")
    if not os.path.exists(path):
        result = guest.run(every_kernel, root, ["cp", "/sys/kernel/btf/vmlinux", "/results/"])
        assert result.status == 0, result.output
        with open(path, "wb") as file:
            file.write(result.files["vmlinux"])
    command = [sys.executable, "-m", "pytest", "-q", "tests/kernel/btf", "-k", CHOSEN]
    done = subprocess.run(
        command,
        cwd=compiling.ROOT,
        env={**os.environ, "SKEP_BTF": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
