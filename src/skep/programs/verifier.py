"""Reading a verifier log: which instruction it stopped at, and the line that says why.

Format: kernel/bpf/verifier.c and kernel/bpf/log.c; it is meant for people and changes with every
release, so everything here is a best guess that may come back empty. The log itself always
travels with the error.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.asm.code import Code
    from skep.btf.btf import Btf

# Lines that say how, not why: statistics at the end, and state dumps after the message.
_NOISE = (
    "processed ", "verification time ", "stack depth ", "max_states", "peak_states",
    "cur state:", "old state:", "-- ", "mark_precise:", "parent ", "func#", "from ", ";",
)  # fmt: skip


_SHOWN = 100  # characters of a source line in a message; macros make them long


class Verdict:
    """What a log says: `reason` ("" if nothing clear), `instruction` (None if unknown)."""

    __slots__ = ("instruction", "reason")

    def __init__(self, reason: str, instruction: int | None) -> None:
        self.reason = reason
        self.instruction = instruction


class SourceLine:
    """A line of the C source: `file`, `number`, `text`."""

    __slots__ = ("file", "number", "text")

    def __init__(self, file: str, number: int, text: str) -> None:
        self.file = file
        self.number = number
        self.text = text

    def __str__(self) -> str:
        text = self.text if len(self.text) <= _SHOWN else f"{self.text[:_SHOWN]}..."
        return f"{self.file}:{self.number}: {text}" if text else f"{self.file}:{self.number}"


def read_log(log: str) -> Verdict:
    """Find the last meaningful line of *log*, and the last instruction before it."""
    reason = ""
    fallback = ""
    for line in reversed(log.splitlines()):
        text = line.strip()
        if not text or text.startswith(_NOISE):
            continue
        index = _instruction(text)
        if index is not None:
            # "12: (85) call ..." is an instruction; "12: R1=ctx() ..." is the state before one.
            if "(" in text.split(":", 1)[1][:2]:
                return Verdict(reason or text, _named(reason, index))
            fallback = fallback or text
            continue
        if _is_state(text):
            continue
        reason = reason or text
    return Verdict(reason or fallback, _named(reason, None))


def source_line(code: Code, btf: Btf | None, index: int) -> SourceLine | None:
    """Return the C line that instruction *index* comes from; None without line info."""
    if btf is None:
        return None
    from bisect import bisect_left

    after = bisect_left(code.lines, (index + 1,))
    if not after:
        return None
    _, file, text, place = code.lines[after - 1]
    name = btf.string(file)
    return SourceLine(name.rpartition("/")[2] or name, place >> 10, btf.string(text).strip())


def _instruction(text: str) -> int | None:
    """Return N of a line "N: ...", None for other lines."""
    head, colon, _ = text.partition(": ")
    return int(head) if colon and head.isascii() and head.isdigit() and len(head) < 8 else None


def _is_state(text: str) -> bool:
    """Whether *text* is a dump of registers, "R1=ctx() R10=fp0" or " frame1: R1=...".

    A complaint about a register, "R0 !read_ok", is none.
    """
    if text.startswith("frame") and ": R" in text:
        return True
    first = text.split(" ", 1)[0]
    return first[:1] == "R" and "=" in first and first.partition("=")[0].rstrip("_rw")[1:].isdigit()


def _named(reason: str, index: int | None) -> int | None:
    """Return the instruction that the *reason* itself names ("... insn 7 ..."), else *index*."""
    words = reason.replace(",", " ").split()
    if "insn" in words[:-1]:
        word = words[words.index("insn") + 1]
        if word.isascii() and word.isdigit() and len(word) < 8:
            return int(word)
    return index
