"""How many processors the machine has, and which.

Source: /sys/devices/system/cpu (Documentation/admin-guide/cputopology.rst).
"""

from __future__ import annotations

from skep.errors import FormatError, UnsupportedError

_ROOT = "/sys/devices/system/cpu/"
_possible: list[int] = []


def parse_cpu_list(text: str) -> list[int]:
    """Parse the kernel's list format, "0-3,8,10-11", into ascending numbers."""
    numbers: list[int] = []
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        try:
            low = int(first)
            high = int(last) if dash else low
        except ValueError:
            raise FormatError(f"{text.strip()!r} is not a list of processors") from None
        if high < low or high > 1 << 16:
            raise FormatError(f"{text.strip()!r} is not a list of processors")
        numbers.extend(range(low, high + 1))
    return numbers


def _read(name: str) -> list[int]:
    try:
        with open(_ROOT + name, encoding="utf-8") as file:
            return parse_cpu_list(file.read())
    except OSError as error:
        message = f"the list of {name} processors cannot be read: {_ROOT}{name}: {error.strerror}"
        raise UnsupportedError(message, hint="is /sys mounted?", feature="sysfs") from error


def possible_cpu_numbers() -> list[int]:
    """Return the numbers of all processors that can ever appear; fixed at boot, cached.

    A per-CPU value holds one slot for each, in this order.
    """
    if not _possible:
        _possible[:] = _read("possible")
    return list(_possible)


def possible_cpus() -> int:
    """Return how many processors can ever appear: the slots of a per-CPU value.

    The kernel copies one slot per set bit of cpu_possible_mask (num_possible_cpus), so a hole in
    the numbering takes no slot. A map indexed by processor number (perf event array) needs
    `highest_cpu() + 1` entries.
    """
    if not _possible:
        _possible[:] = _read("possible")
    return len(_possible)


def highest_cpu() -> int:
    """Return the highest possible processor number."""
    return possible_cpu_numbers()[-1]


def online_cpus() -> list[int]:
    """Return the numbers of the processors that are on now; read anew each time."""
    return _read("online")
