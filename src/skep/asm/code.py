"""`Code`: instructions as bytes, with what is known about them in tables beside them.

A loader touches few of a program's instructions: those that refer to maps, variables and
functions, and those with a CO-RE record. So the code stays one `bytearray`, and each fact is an
entry of a table that says at which instruction it holds. Indexes count 8-byte slots from the
start of `data`.
"""

from __future__ import annotations

from skep.asm.instruction import FORMATS, SIZE, Instruction, decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal, Self

    from skep.asm.instruction import ByteOrder

    Refers = Literal["map", "data", "function", "extern", "kfunc"]


class Reference:
    """The instruction at `index` refers to `name`; the loader fills the reference in.

    `kind` says what it is: "map" (a map's descriptor), "data" (byte `offset` of the data section
    `name`), "function" (the address of the subprogram `name`, for a callback), "extern" (a symbol
    that the object only declares) or "kfunc" (a call of the kernel function `name`, in a program
    written in Python).
    """

    __slots__ = ("index", "kind", "name", "offset")

    def __init__(self, index: int, kind: Refers, name: str, offset: int = 0) -> None:
        self.index = index
        self.kind: Refers = kind
        self.name = name
        self.offset = offset

    def shifted(self, by: int) -> Reference:
        """Return the same reference *by* instructions further on."""
        return Reference(self.index + by, self.kind, self.name, self.offset)

    def __repr__(self) -> str:
        return f"<Reference at {self.index} to {self.kind} {self.name}+{self.offset}>"


class CoreRecord:
    """The instruction at `index` depends on a kernel type, as a CO-RE relocation says.

    `type_id` is the root type in the object's own BTF, `access` the path from it ("0:1:2"),
    `kind` an `enum bpf_core_relo_kind`.
    """

    __slots__ = ("access", "index", "kind", "type_id")

    def __init__(self, index: int, type_id: int, access: str, kind: int) -> None:
        self.index = index
        self.type_id = type_id
        self.access = access
        self.kind = kind

    def shifted(self, by: int) -> CoreRecord:
        """Return the same record *by* instructions further on."""
        return CoreRecord(self.index + by, self.type_id, self.access, self.kind)

    def __repr__(self) -> str:
        return f"<CoreRecord at {self.index}: kind {self.kind}, type {self.type_id} {self.access}>"


class Code:
    """Instructions with their tables, each sorted by instruction index.

    `data`: the bytes. `references` and `core`: what the loader has to fill in. `functions`:
    (index, id of the BTF Func) of every function, the entry first; `lines`: (index, file name
    offset, source line offset, line << 10 | column) with offsets into the BTF strings.
    """

    __slots__ = ("byteorder", "core", "data", "functions", "lines", "references")

    def __init__(self, data: bytes | bytearray = b"", byteorder: ByteOrder = "little") -> None:
        self.byteorder: ByteOrder = byteorder
        self.data = bytearray(data)
        self.references: list[Reference] = []
        self.core: list[CoreRecord] = []
        self.functions: list[tuple[int, int]] = []
        self.lines: list[tuple[int, int, int, int]] = []

    @classmethod
    def of(cls, instructions: Iterable[Instruction], byteorder: ByteOrder = "little") -> Self:
        """Make code without tables from single instructions."""
        return cls(encode(instructions, byteorder), byteorder)

    def __len__(self) -> int:
        """Return the number of instruction slots."""
        return len(self.data) // SIZE

    def instructions(self) -> list[Instruction]:
        """Decode all of it: one `Instruction` a slot."""
        return decode(self.data, self.byteorder)

    def at(self, index: int) -> Instruction:
        """Decode the slot at *index*; IndexError outside."""
        start = index * SIZE
        return decode(self.data[start : start + SIZE], self.byteorder)[0]

    def put(self, index: int, instruction: Instruction) -> None:
        """Overwrite the slot at *index*."""
        start = index * SIZE
        self.data[start : start + SIZE] = instruction.encode(self.byteorder)

    def set_imm(self, index: int, imm: int) -> None:
        """Overwrite the immediate of the slot at *index*, 32 bits, signed or unsigned."""
        start = index * SIZE
        self.data[start + 4 : start + SIZE] = (imm & 0xFFFFFFFF).to_bytes(4, self.byteorder)

    def imm(self, index: int) -> int:
        """Return the immediate of the slot at *index*, signed."""
        return int(FORMATS[self.byteorder].unpack_from(self.data, index * SIZE)[3])

    def append(self, other: Code) -> int:
        """Append *other* with its tables; return the index at which it starts now."""
        start = len(self)
        self.data += other.data
        self.references += [reference.shifted(start) for reference in other.references]
        self.core += [record.shifted(start) for record in other.core]
        self.functions += [(index + start, func) for index, func in other.functions]
        self.lines += [(index + start, *rest) for index, *rest in other.lines]  # type: ignore[misc]
        return start

    def copy(self) -> Code:
        """Return code whose bytes and tables can be changed without touching these."""
        made = Code(self.data, self.byteorder)
        made.references = list(self.references)
        made.core = list(self.core)
        made.functions = list(self.functions)
        made.lines = list(self.lines)
        return made
