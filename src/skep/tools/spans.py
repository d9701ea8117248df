"""Durations for people."""

from __future__ import annotations

SCALES = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns"))


def span(ns: float) -> str:
    """Return *ns* nanoseconds with three digits and a unit: ``512 µs``, ``1.02 ms``, ``75.0 s``."""
    for size, unit in SCALES:
        scaled = ns / size
        # What rounds up to 1000 of one unit is 1.00 of the next.
        if scaled >= 0.9995 or size == 1:
            if unit == "ns":
                return f"{ns:.0f} ns"
            return f"{scaled:.2f} {unit}" if scaled < 9.995 else (
                f"{scaled:.1f} {unit}" if scaled < 99.95 else f"{scaled:.0f} {unit}"
            )  # fmt: skip
    return "0 ns"
