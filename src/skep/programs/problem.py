"""`Problem`: one thing that the check before a load found."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from skep.programs.verifier import SourceLine

    What = Literal[
        "length", "instruction", "jump", "end", "unreachable", "loop", "division", "frame",
        "stack", "register", "depth", "helper", "unavailable",
    ]  # fmt: skip


class Problem:
    """One thing that the verifier would refuse.

    `index` is the instruction and `instruction` its text, `message` what is wrong with it and
    `kind` of what sort it is; `line` is its source line, None when that is unknown.
    """

    __slots__ = ("index", "instruction", "kind", "line", "message")

    def __init__(self, index: int, instruction: str, kind: What, message: str) -> None:
        self.index = index
        self.instruction = instruction
        self.kind: What = kind
        self.message = message
        self.line: SourceLine | None = None

    def __str__(self) -> str:
        if self.kind == "length":
            return self.message
        shown = f"instruction {self.index} ({self.instruction}) {self.message}"
        return f"{shown}, at {self.line}" if self.line is not None else shown

    def __repr__(self) -> str:
        return f"<Problem {self.kind}: {self}>"
