"""What a program written in Python consists of: registers, labels, instructions to be completed.

An `Item` is an instruction that knows where in the Python source it was made, and what the
assembler has to fill in: the distance to a label, a map, a function.
"""

from __future__ import annotations

import sys

from skep.asm.instruction import Instruction
from skep.errors import RangeError, TypeMismatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal, Protocol, Self, TypeAlias

    class LiveMap(Protocol):
        """A map with a descriptor, such as `skep.Map`."""

        @property
        def name(self) -> str:
            """What listings call it."""

        def fileno(self) -> int:
            """Return its descriptor's number."""

    # What the assembler fills in.
    Needs = Literal["", "jump", "long jump", "call", "function", "map", "map value", "kfunc"]


class Register(int):
    """A register: its number, and `bits`, how much of it an instruction works with.

    The destination decides the width of arithmetic and comparisons: ``add(R1, 5)`` adds in 64
    bits, ``add(W1, 5)`` in 32 bits and clears the upper half.
    """

    bits: int

    def __new__(cls, number: int, bits: int = 64) -> Self:
        """Make register *number*, 0 to 10, of 64 or 32 bits."""
        made = super().__new__(cls, number)
        made.bits = bits
        return made

    def __repr__(self) -> str:
        return f"{'r' if self.bits == 64 else 'w'}{int(self)}"

    __str__ = __repr__


R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 = (Register(number) for number in range(11))
W0, W1, W2, W3, W4, W5, W6, W7, W8, W9 = (Register(number, 32) for number in range(10))


class Label:
    """A place in a program. Put it among the instructions, and jump to it by itself.

    It does the same as its name does as text, and needs none: ``out = Label()`` is a label of its
    own in each program generator that makes one.
    """

    __slots__ = ("name",)

    def __init__(self, name: str = "") -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Label({self.name!r})"


Target: TypeAlias = "str | Label | int"
"""Where a jump or call goes: a label, its name, or a distance in slots."""
MapLike: TypeAlias = "str | LiveMap | int"
"""A map: its name, itself, or its descriptor."""
Source: TypeAlias = "Instruction | Label | str | Iterable[Source]"
"""A part of a program: an instruction, a label, a comment, or several of these."""


class Item(Instruction):
    """An instruction as the builders make it.

    *needs* says what the assembler fills in, *target* from what. `place` is (file name, line) of
    the Python that made it.
    """

    __slots__ = ("needs", "place", "target")

    def __init__(
        self,
        opcode: int,
        dst: int = 0,
        src: int = 0,
        offset: int = 0,
        imm: int = 0,
        *,
        needs: Needs = "",
        target: Target | MapLike = 0,
    ) -> None:
        super().__init__(opcode, int(dst), int(src), offset, imm)
        self.needs: Needs = needs
        self.target = target
        self.place = _place()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Item) and (self.needs, self.target) != (other.needs, other.target):
            return False
        return super().__eq__(other)

    __hash__ = Instruction.__hash__


def _place() -> tuple[str, int]:
    """Return file and line of the innermost Python code outside of this package."""
    frame = sys._getframe(2)  # noqa: SLF001 - the only way to learn who calls
    while frame.f_globals.get("__name__", "").startswith("skep.asm."):
        if frame.f_back is None:
            return "", 0
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def register(value: int, role: str = "destination") -> Register:
    """Return *value* as a register; plain numbers 0 to 10 are 64-bit ones."""
    if isinstance(value, Register):
        return value
    if not isinstance(value, int) or isinstance(value, bool):
        message = f"the {role} is a register (R0 to R10), not {type(value).__name__} {value!r}"
        raise TypeMismatchError(message, expected="a register", given=value)
    if not 0 <= value <= 10:
        raise RangeError(f"there is no register {value}; they are 0 to 10", given=value)
    return Register(value)


def immediate(value: int, bits: int, what: str) -> int:
    """Check an immediate operand: 32 bits, which 64-bit instructions sign-extend."""
    if not isinstance(value, int) or isinstance(value, bool):
        message = f"{what} takes a register or a number, not {type(value).__name__} {value!r}"
        raise TypeMismatchError(message, expected="a register or a number", given=value)
    high = 1 << 31 if bits == 64 else 1 << 32
    if not -(1 << 31) <= value < high:
        hint = ""
        if bits == 64:
            hint = "immediates of 64-bit instructions are signed: load it with ld_imm64() first"
        message = f"{what}: {value} does not fit the immediate ({-(1 << 31)} to {high - 1})"
        raise RangeError(message, hint=hint, given=value)
    return value


def distance(offset: int, what: str) -> int:
    """Check the 16-bit offset of a memory access or jump."""
    if not -(1 << 15) <= offset < 1 << 15:
        raise RangeError(f"{what}: offset {offset} is not within -32768..32767", given=offset)
    return offset
