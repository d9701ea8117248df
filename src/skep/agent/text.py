"""Numbers and small graphs as text, for the terminal."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SPARKS = "▁▂▃▄▅▆▇█"
EIGHTHS = " ▏▎▍▌▋▊▉"


def duration(seconds: float) -> str:
    """Write *seconds* with two or three digits and the unit that fits: ``1.02ms``, ``4us``."""
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= unit * 0.9999:
            return f"{seconds / unit:.3g}{name}" if seconds < 1000 else f"{seconds:.0f}s"
    return f"{seconds / 1e-9:.3g}ns" if seconds else "0"


def number(value: float) -> str:
    """Write *value* in at most six characters: ``0.25``, ``12.3``, ``4096``, ``1.25M``."""
    if value < 100:
        return f"{value:.2f}".rstrip("0").rstrip(".") if value < 10 else f"{value:.1f}"
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= unit:
            scaled = value / (1e3 if name == "k" else unit)
            return f"{scaled:.2f}{name}" if scaled < 10 else f"{scaled:.1f}{name}"
    return f"{value:.0f}"


def bar(share: float, width: int) -> str:
    """Draw *share* (0..1) of *width* columns, to an eighth of a column."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    if share > 0 and eighths == 0:
        eighths = 1  # something is not nothing
    full, rest = divmod(eighths, 8)
    return "█" * full + (EIGHTHS[rest] if rest else "")


def sparkline(values: Sequence[float], width: int) -> str:
    """Draw the last *width* of *values*, scaled to the largest of them."""
    shown = list(values)[-width:]
    top = max(shown, default=0.0)
    if top <= 0:
        return SPARKS[0] * len(shown)
    return "".join(SPARKS[min(7, int(value / top * 7.999))] for value in shown)


def clean(text: str) -> str:
    """Return *text* with control characters and undecodable bytes shown, not sent to a terminal."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
