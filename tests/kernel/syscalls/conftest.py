"""A child process without privileges, and a bpf file system."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

import pytest
from unprivileged import Dropped, in_child

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def dropped() -> Dropped:
    """Run code in a forked child that is nobody; what it raises is returned, not raised."""
    return in_child


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    """A bpf file system of the test's own."""
    library = ctypes.CDLL(None, use_errno=True)
    where = os.fsencode(tmp_path)
    if library.mount(b"skep-test", where, b"bpf", 0, None) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), tmp_path)
    yield tmp_path
    assert library.umount2(where, 0) == 0
