"""System call numbers to names and back, for the machine skep runs on.

`syscount.bpf.c` counts in two tables: 64-bit calls at their number, calls of 32-bit programs at
512 plus their number, and at 1023 what is in neither.
"""

from __future__ import annotations

import os

from skep.errors import RangeError, UnsupportedError
from skep.tools import syscall_numbers

TABLE = 512
UNKNOWN = 1023

MACHINES = {
    "x86_64": (syscall_numbers.X86_64, syscall_numbers.I386),
    "aarch64": (syscall_numbers.ARM64, syscall_numbers.ARM),
}


class Syscalls:
    """The system calls of one *machine* (``os.uname().machine``; this one by default)."""

    __slots__ = ("_by_name", "compat", "machine", "native")

    def __init__(self, machine: str = "") -> None:
        self.machine = machine or os.uname().machine
        try:
            self.native, self.compat = MACHINES[self.machine]
        except KeyError:
            raise UnsupportedError(
                f"the system call numbers of {self.machine} are not known",
                hint=f"skep knows {' and '.join(MACHINES)}",
                feature="system call names",
            ) from None
        self._by_name = {name: number for number, name in self.native.items()}

    def name(self, index: int) -> str:
        """Return the name at an *index* of the counters, ``"32-bit NAME"`` for a 32-bit call.

        A call newer than the table is ``"syscall_NUMBER"``, one outside both tables ``"other"``.
        """
        if index >= UNKNOWN:
            return "other"
        if index >= TABLE:
            number = index - TABLE
            return f"32-bit {self.compat.get(number, f'syscall_{number}')}"
        return self.native.get(index, f"syscall_{index}")

    def number(self, name: str) -> int:
        """Return the number of the 64-bit call *name*. Raises `RangeError`."""
        try:
            return self._by_name[name]
        except KeyError:
            from difflib import get_close_matches

            close = get_close_matches(name, self._by_name, 3, 0.6)
            raise RangeError(
                f"there is no system call {name!r} on {self.machine}",
                hint=f"did you mean {', '.join(close)}?" if close else "list them with -l",
                name=name,
            ) from None

    def names(self) -> list[str]:
        """Return every 64-bit call's name, sorted."""
        return sorted(self._by_name)
