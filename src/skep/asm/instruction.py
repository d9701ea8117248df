"""One BPF instruction: its fields and its eight bytes.

Encoding: RFC 9669, "BPF Instruction Set Architecture", section 3. The two register numbers
share a byte whose halves change places with the byte order. `ld_imm64` takes two instruction
slots; offsets of jumps and calls count slots, from the one after the jump. This module is on the
way of every load and stays small; functions that make instructions are in `skep.asm.builders`.
"""

from __future__ import annotations

from struct import Struct

from skep.errors import FormatError, RangeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    ByteOrder = Literal["little", "big"]

SIZE = 8
"""Bytes of one instruction slot."""

# Instruction classes: the low three bits of the opcode.
LD, LDX, ST, STX, ALU, JMP, JMP32, ALU64 = range(8)
CLASS_MASK = 0x07
# Operand sizes of loads and stores (bits 3 and 4), by number of bytes.
SIZE_MASK = 0x18
SIZE_BITS = {4: 0x00, 2: 0x08, 1: 0x10, 8: 0x18}
SIZE_BYTES = {bits: size for size, bits in SIZE_BITS.items()}
# Modes of loads and stores (bits 5 to 7).
MODE_MASK = 0xE0
ABS, IND, MEM, MEMSX, ATOMIC = 0x20, 0x40, 0x60, 0x80, 0xC0
# Whether the second operand is the immediate or a register (bit 3 of ALU and JMP).
SOURCE_MASK, K, X = 0x08, 0x00, 0x08

LD_IMM64 = 0x18
"""BPF_LD | BPF_DW | BPF_IMM: a 64-bit constant, or a reference (see the pseudo registers)."""
CALL, EXIT, JA = 0x85, 0x95, 0x05
MOV64_REG, ADD64_IMM = 0xBF, 0x07

# What `src` of a ld_imm64 says about its immediate (include/uapi/linux/bpf.h).
PSEUDO_MAP_FD, PSEUDO_MAP_VALUE, PSEUDO_BTF_ID, PSEUDO_FUNC = 1, 2, 3, 4
PSEUDO_MAP_IDX, PSEUDO_MAP_IDX_VALUE = 5, 6
# What `src` of a call says: a function of the same program, or a kernel function.
PSEUDO_CALL, PSEUDO_KFUNC_CALL = 1, 2

FORMATS = {"little": Struct("<BBhi"), "big": Struct(">BBhi")}


class Instruction:
    """One instruction slot: `opcode`, `dst`, `src`, `offset` (signed 16), `imm` (signed 32)."""

    __slots__ = ("dst", "imm", "offset", "opcode", "src")

    def __init__(
        self, opcode: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0
    ) -> None:
        self.opcode = opcode
        self.dst = dst
        self.src = src
        self.offset = offset
        self.imm = imm

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Instruction):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())

    def __repr__(self) -> str:
        return (
            f"Instruction({self.opcode:#04x}, dst={self.dst}, src={self.src},"
            f" offset={self.offset}, imm={self.imm})"
        )

    def _fields(self) -> tuple[int, int, int, int, int]:
        return self.opcode, self.dst, self.src, self.offset, self.imm

    def encode(self, byteorder: ByteOrder = "little") -> bytes:
        """Return the eight bytes; `RangeError` naming the field that does not fit."""
        for name, value, low, high in (
            ("opcode", self.opcode, 0, 255),
            ("dst", self.dst, 0, 15),
            ("src", self.src, 0, 15),
            ("offset", self.offset, -(1 << 15), (1 << 15) - 1),
            ("imm", self.imm, -(1 << 31), (1 << 32) - 1),
        ):
            if not low <= value <= high:
                raise RangeError(f"{name} {value} of {self!r} is not within {low}..{high}")
        first, second = (self.src, self.dst) if byteorder == "little" else (self.dst, self.src)
        imm = self.imm - (1 << 32) if self.imm >> 31 == 1 else self.imm
        return FORMATS[byteorder].pack(self.opcode, first << 4 | second, self.offset, imm)


def decode(
    data: bytes | bytearray | memoryview, byteorder: ByteOrder = "little"
) -> list[Instruction]:
    """Split *data* into instruction slots; a ld_imm64 gives two.

    Raises `FormatError` when the length is no multiple of 8.
    """
    if len(data) % SIZE:
        raise FormatError(f"{len(data)} bytes are no whole number of 8-byte instructions")
    found = []
    for opcode, registers, offset, imm in FORMATS[byteorder].iter_unpack(data):
        high, low = registers >> 4, registers & 15
        dst, src = (low, high) if byteorder == "little" else (high, low)
        found.append(Instruction(opcode, dst, src, offset, imm))
    return found


def encode(instructions: Iterable[Instruction], byteorder: ByteOrder = "little") -> bytes:
    """Return the bytes of *instructions*; `RangeError` when a field does not fit."""
    return b"".join(instruction.encode(byteorder) for instruction in instructions)
