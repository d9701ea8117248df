"""The kernel's clocks, and how to go from one to another.

bpf_ktime_get_ns() counts CLOCK_MONOTONIC (stands still in suspend), bpf_ktime_get_boot_ns()
CLOCK_BOOTTIME, bpf_ktime_get_tai_ns() CLOCK_TAI. People want CLOCK_REALTIME.
"""

from __future__ import annotations

import time

from skep.errors import RangeError

# Plain numbers of clock_gettime(2): the module is importable where these clocks do not exist.
MONOTONIC = 1
REALTIME = 0
BOOTTIME = 7
TAI = 11

_NAMES = {"monotonic": MONOTONIC, "boottime": BOOTTIME, "tai": TAI}


def offset_to_realtime(clock: str = "monotonic") -> int:
    """Return the nanoseconds to add to a time of *clock* to get nanoseconds since 1970 (UTC).

    *clock* is "monotonic", "boottime" or "tai" (`RangeError` otherwise). The tightest of five
    readings, exact to about 0.1 us. It changes when the wall clock is stepped, and for
    "monotonic" over a suspend: take it anew for long runs.
    """
    try:
        number = _NAMES[clock]
    except KeyError:
        message = f"{clock!r} is not a clock that BPF programs read"
        raise RangeError(message, hint=f"one of {', '.join(_NAMES)}") from None
    best, result = 1 << 63, 0
    for _ in range(5):
        before = time.clock_gettime_ns(number)
        real = time.clock_gettime_ns(REALTIME)
        after = time.clock_gettime_ns(number)
        if after - before < best:
            best = after - before
            result = real - (before + after) // 2
    return result


def suspended() -> int:
    """Return the nanoseconds the machine has spent in suspend: boot time minus monotonic."""
    monotonic = time.clock_gettime_ns(MONOTONIC)  # first, so that the result is never negative
    return time.clock_gettime_ns(BOOTTIME) - monotonic
