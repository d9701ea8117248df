"""System call numbers, against the headers of this machine's C library where there are any."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from skep.errors import RangeError, UnsupportedError
from skep.tools.syscalls import Syscalls

HEADERS = (
    Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    Path("/usr/include/asm/unistd_64.h"),
)


def test_well_known_numbers() -> None:
    """The numbers that never change, on both machines."""
    x86, arm = Syscalls("x86_64"), Syscalls("aarch64")
    assert [x86.number(name) for name in ("read", "execve", "exit_group")] == [0, 59, 231]
    assert [arm.number(name) for name in ("read", "execve", "exit_group")] == [63, 221, 94]
    # Since Linux 5.1 every new call has the same number everywhere.
    for name in ("pidfd_open", "clone3", "openat2", "cachestat", "mseal"):
        assert x86.number(name) == arm.number(name) >= 424


def test_names() -> None:
    """Native, 32-bit, newer than the table, and neither."""
    calls = Syscalls("x86_64")
    assert calls.name(0) == "read"
    assert calls.name(512 + 3) == "32-bit read"
    assert calls.name(500) == "syscall_500"
    assert calls.name(1023) == "other"
    assert calls.names() == sorted(calls.names())
    with pytest.raises(RangeError):
        calls.number("nothing_of_this_name")


def test_unknown_machine() -> None:
    """A machine without a table is named."""
    with pytest.raises(UnsupportedError, match="system call numbers of vax are not known"):
        Syscalls("vax")


@pytest.mark.skipif(
    os.uname().machine != "x86_64" or not any(path.exists() for path in HEADERS),
    reason="needs the kernel headers of an x86-64 C library",
)
def test_numbers_are_those_of_the_headers() -> None:
    """Every call in the C library's copy of the kernel's headers has the same number here."""
    path = next(path for path in HEADERS if path.exists())
    defined = re.findall(r"#define __NR_(\w+) (\d+)", path.read_text())
    calls = Syscalls("x86_64")
    assert len(defined) > 300
    assert {name: calls.number(name) for name, _ in defined} == {
        name: int(number) for name, number in defined
    }


def test_errno_table_is_pythons() -> None:
    """`-e` takes the names that Python knows."""
    assert errno.errorcode[2] == "ENOENT"
