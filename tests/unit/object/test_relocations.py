"""The rows that say what an object asks of a kernel: in words, with both values, or why not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from skep.asm.code import Code, CoreRecord
from skep.asm.instruction import Instruction
from skep.btf.btf import Btf
from skep.btf.target import Target
from skep.btf.writer import Builder
from skep.object.core_values import RelocationKind
from skep.object.relocations import KIND_NAMES, Row, explain
from skep.object.spec import ObjectSpec
from skep.programs.spec import ProgramSpec

if TYPE_CHECKING:
    from collections.abc import Iterable

K = RelocationKind

EXIT = Instruction(0x95)


def mov(register: int, value: int) -> Instruction:
    """Return `rN = value`, whose immediate a relocation replaces."""
    return Instruction(0xB7, register, imm=value)


class Local:
    """An object's types, and strings for its source lines."""

    def __init__(self) -> None:
        b = Builder()
        u32 = b.int("u32", 4)
        comm = b.array(b.int("char", 1), 16, u32)
        inner = b.struct("", 8, [("lo", u32, 0), ("hi", u32, 32)])
        self.task = b.struct(
            "task___old", 32, [("pid", u32, 0), ("comm", comm, 32), ("", inner, 160)]
        )
        self.bits = b.struct("bits", 4, [("f", u32, 3, 2)])
        self.enum = b.enum("e", [("A", 1), ("B___x", 7)])
        self.alias = b.typedef("alias_t", b.pointer(0))
        self.file, self.line = b.string("prog.c"), b.string("\tx = task->pid;")
        self.btf = Btf.from_bytes(b.build(), name="prog")


def target() -> Btf:
    b = Builder()
    u32 = b.int("u32", 4)
    comm = b.array(b.int("char", 1), 32, u32)
    b.struct("task", 64, [("comm", comm, 0), ("hi", u32, 256), ("pid", u32, 320)])
    b.struct("bits", 4, [("f", u32, 8, 2)])
    b.enum("e", [("A", 5), ("B", 9)])
    return Btf.from_bytes(b.build(), name="kernel")


def spec(local: Local, code: Code, records: Iterable[tuple[int, int, str, int]]) -> ObjectSpec:
    made = ObjectSpec("prog.bpf.o", byteorder=sys.byteorder, btf=local.btf)
    code.byteorder = sys.byteorder
    code.core = [CoreRecord(*record) for record in records]
    made.programs["run"] = ProgramSpec(name="run", section="raw_tp/x", code=code)
    return made


def one(local: Local, type_id: int, access: str, kind: int, against: Btf | Target | None) -> Row:
    """Return the row of a relocation on an instruction that has the value it must have."""
    (before,) = explain(spec(local, Code.of([mov(1, 0)]), [(0, type_id, access, kind)]), None)
    code = Code.of([mov(1, before.local or 0)])
    (row,) = explain(spec(local, code, [(0, type_id, access, kind)]), against)
    assert (row.kind, row.path, row.local) == (before.kind, before.path, before.local)
    return row


@pytest.mark.parametrize(
    ("type_name", "access", "kind", "path", "local", "theirs"),
    [
        ("task", "0:0", K.FIELD_BYTE_OFFSET, "task___old.pid", 0, 40),
        ("task", "0:1:3", K.FIELD_BYTE_OFFSET, "task___old.comm[3]", 7, 3),
        ("task", "0:2:1", K.FIELD_BYTE_OFFSET, "task___old.hi", 24, 32),
        ("task", "2:0", K.FIELD_BYTE_OFFSET, "task___old[2].pid", 64, 168),
        ("task", "0:1", K.FIELD_BYTE_SIZE, "task___old.comm", 16, 32),
        ("task", "0:2:0", K.FIELD_EXISTS, "task___old.lo", 1, 0),
        ("task", "0:0", K.FIELD_SIGNED, "task___old.pid", 0, 0),
        ("bits", "0:0", K.FIELD_LSHIFT_U64, "bits.f", 59, 54),
        ("bits", "0:0", K.FIELD_RSHIFT_U64, "bits.f", 62, 62),
        ("task", "0", K.TYPE_EXISTS, "task___old", 1, 1),
        ("task", "0", K.TYPE_SIZE, "task___old", 32, 64),
        ("task", "0", K.TYPE_MATCHES, "task___old", 1, 0),
        ("enum", "1", K.ENUMVAL_VALUE, "e::B___x", 7, 9),
        ("enum", "0", K.ENUMVAL_EXISTS, "e::A", 1, 1),
        ("alias", "0", K.TYPE_EXISTS, "alias_t", 1, 0),
    ],
)
def test_what_is_asked_and_answered(
    type_name: str, access: str, kind: K, path: str, local: int, theirs: int
) -> None:
    types = Local()
    row = one(types, getattr(types, type_name), access, kind, target())
    assert row.kind == KIND_NAMES[kind]
    assert (row.path, row.access) == (path, access)
    assert (row.local, row.target, row.reason) == (local, theirs, "")


def test_type_numbers() -> None:
    types = Local()
    row = one(types, types.task, "0", K.TYPE_ID_LOCAL, target())
    assert (row.local, row.target) == (types.task, types.task)
    row = one(types, types.task, "0", K.TYPE_ID_TARGET, target())
    assert (row.local, row.target) == (types.task, target().find("task")[0])
    assert {KIND_NAMES[kind] for kind in K} == set(KIND_NAMES.values())
    assert len(KIND_NAMES) == len(K) == 13


def test_a_row_has_all_there_is() -> None:
    types = Local()
    code = Code.of([mov(1, 0), mov(2, 4), EXIT])
    code.lines = [(0, types.file, types.line, 12 << 10 | 3), (2, types.file, 0, 13 << 10)]
    made = spec(
        types,
        code,
        [(1, types.task, "0:1", K.FIELD_BYTE_OFFSET), (0, types.task, "0:0", K.FIELD_BYTE_OFFSET)],
    )
    first, second = explain(made, Target.given(target()))
    assert first.as_dict() == {
        "program": "run",
        "section": "raw_tp/x",
        "instruction": 0,
        "kind": "byte_off",
        "type": "struct task___old",
        "path": "task___old.pid",
        "access": "0:0",
        "local": 0,
        "target": 40,
        "reason": "",
        "file": "prog.c",
        "line_number": 12,
        "line": "x = task->pid;",
    }
    assert (second.instruction, second.line_number, second.target) == (1, 12, 0)
    assert repr(second) == "<Row run+1 byte_off task___old.comm: 0>"
    assert made.programs["run"].code.at(0) == mov(1, 0)  # nothing was changed


@pytest.mark.parametrize(
    ("type_name", "access", "kind", "reason"),
    [
        ("task", "0:2:0", K.FIELD_BYTE_OFFSET, "in kernel's BTF it does not exist"),
        ("task", "0:9", K.FIELD_BYTE_OFFSET, "leads nowhere"),
        ("task", "x", K.FIELD_EXISTS, "access string 'x'"),
        ("task", "0", 99, "unknown kind 99"),
        ("task", "1", K.TYPE_SIZE, "has the access '1', not 0"),
        ("enum", "5", K.ENUMVAL_VALUE, "asks for enumerator [5]"),
    ],
)
def test_why_there_is_no_answer(type_name: str, access: str, kind: int, reason: str) -> None:
    types = Local()
    row = one(types, getattr(types, type_name), access, kind, target())
    assert row.target is None
    assert reason in row.reason


def test_an_answer_that_the_instruction_cannot_take() -> None:
    types = Local()
    made = spec(types, Code.of([EXIT]), [(0, types.task, "0:0", K.FIELD_BYTE_OFFSET)])
    (row,) = explain(made, target())
    assert (row.local, row.target) == (0, None)
    assert "an instruction with opcode 0x95 has no such field" in row.reason


def test_without_types_to_ask() -> None:
    types = Local()
    code = Code.of([mov(1, 0), mov(1, types.task)])
    records = [(0, types.task, "0:0", K.FIELD_BYTE_OFFSET), (1, types.task, "0", K.TYPE_ID_LOCAL)]
    made = spec(types, code, records)
    for nothing, why in ((None, "no kernel's BTF was given"), (Target(None, "none"), "no BTF of")):
        field, number = explain(made, nothing)
        assert (field.local, field.target) == (0, None)
        assert why in field.reason
        assert (number.target, number.reason) == (types.task, "")
    assert explain(ObjectSpec("x", byteorder="little"), None) == []
