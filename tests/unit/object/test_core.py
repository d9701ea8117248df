"""What a CO-RE question's answer is: local and target types are built by hand."""

from __future__ import annotations

import pytest

from skep import asm
from skep.asm.code import Code, CoreRecord
from skep.asm.instruction import CALL
from skep.btf.btf import Btf
from skep.btf.writer import Builder
from skep.errors import BtfError, RelocationError
from skep.object.core import Answer, Resolver
from skep.object.core_patch import POISON, relocate
from skep.object.core_values import RelocationKind

K = RelocationKind


class Types:
    """A blob in the making, with the usual integers."""

    def __init__(self, byteorder: str = "little") -> None:
        self.b = Builder(byteorder)
        self.u8, self.u16 = self.b.int("u8", 1), self.b.int("u16", 2)
        self.u32, self.u64 = self.b.int("u32", 4), self.b.int("u64", 8)
        self.s32, self.s64 = self.b.int("int", 4, signed=True), self.b.int("long", 8, signed=True)

    def btf(self, name: str = "") -> Btf:
        return Btf.from_bytes(self.b.build(), name=name)


def ask(local: Types, target: Types, type_id: int, access: str, kind: int) -> Answer:
    return Resolver(local.btf("prog"), lambda: target.btf("kernel")).resolve(type_id, access, kind)


def task(t: Types, name: str = "task") -> int:
    """`struct task { int pid; char comm[4]; union { u64 a; struct { u32 lo, hi; }; }; u8 f:3 }`."""
    b = t.b
    comm = b.array(t.u8, 4, t.u32)
    inner = b.struct("", 8, [("lo", t.u32, 0), ("hi", t.u32, 32)])
    union = b.union("", 8, [("a", t.u64, 0), ("", inner, 0)])
    return b.struct(
        name,
        24,
        [("pid", t.s32, 0, 0), ("comm", comm, 32, 0), ("", union, 64, 0), ("f", t.u8, 130, 3)],
    )


def moved(t: Types, name: str = "task") -> int:
    """The same fields elsewhere, the union's flattened, and comm twice as long."""
    b = t.b
    comm = b.array(t.u8, 8, t.u32)
    return b.struct(
        name,
        64,
        [("new", t.u64, 0, 0), ("hi", t.u32, 64, 0), ("f", t.u8, 100, 3), ("lo", t.u32, 128, 0),
         ("comm", comm, 160, 0), ("pid", t.s32, 256, 0)],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("access", "kind", "before", "after"),
    [
        ("0:0", K.FIELD_BYTE_OFFSET, 0, 32),
        ("0:1", K.FIELD_BYTE_OFFSET, 4, 20),
        ("0:1:3", K.FIELD_BYTE_OFFSET, 7, 23),
        ("0:1", K.FIELD_BYTE_SIZE, 4, 8),
        ("0:1:3", K.FIELD_BYTE_SIZE, 1, 1),
        ("0:2:1:1", K.FIELD_BYTE_OFFSET, 12, 8),
        ("0:2:1:0", K.FIELD_BYTE_OFFSET, 8, 16),
        ("1:0", K.FIELD_BYTE_OFFSET, 24, 96),
        ("2", K.FIELD_BYTE_OFFSET, 48, 128),
        ("0:0", K.FIELD_SIGNED, 1, 1),
        ("0:1:0", K.FIELD_SIGNED, 0, 0),
        ("0:0", K.FIELD_EXISTS, 1, 1),
        ("0:0", K.FIELD_LSHIFT_U64, 32, 32),
        ("0:0", K.FIELD_RSHIFT_U64, 32, 32),
        ("0", K.TYPE_SIZE, 24, 64),
        ("0", K.TYPE_EXISTS, 1, 1),
    ],
)
def test_values(access: str, kind: int, before: int, after: int) -> None:
    local, target = Types(), Types()
    mine = task(local, "task___mine")
    moved(target)
    answer = ask(local, target, mine, access, kind)
    assert (answer.reason, answer.local, answer.value) == ("", before, after)


@pytest.mark.parametrize(
    ("order", "left"),
    # Three bits from bit 100 on: byte 12, bits 4 to 6 from the end that the order counts from.
    [("little", 64 - 4 - 3), ("big", 7 * 8 + 4)],
)
def test_bit_fields(order: str, left: int) -> None:
    local, target = Types(order), Types(order)
    mine = task(local)
    moved(target)
    expected = {
        K.FIELD_BYTE_OFFSET: 12,
        K.FIELD_BYTE_SIZE: 1,
        K.FIELD_LSHIFT_U64: left,
        K.FIELD_RSHIFT_U64: 61,
    }
    for kind, value in expected.items():
        answer = ask(local, target, mine, "0:3", kind)
        assert (answer.reason, answer.value) == ("", value), kind


def test_a_bit_field_across_bytes_is_read_from_a_larger_unit() -> None:
    local, target = Types(), Types()
    mine = local.b.struct("s", 8, [("f", local.u8, 0, 3)])
    target.b.struct("s", 8, [("f", target.u8, 14, 4)])  # bits 14..17: bytes 1 and 2
    assert ask(local, target, mine, "0:0", K.FIELD_BYTE_SIZE).value == 4
    assert ask(local, target, mine, "0:0", K.FIELD_BYTE_OFFSET).value == 0
    assert ask(local, target, mine, "0:0", K.FIELD_LSHIFT_U64).value == 64 - 18


@pytest.mark.parametrize(
    ("access", "reason"),
    [("0:0", "it does not exist"), ("0:1", "another kind of type"), ("0:2:5", "only 2 elements")],
)
def test_what_is_missing_is_named(access: str, reason: str) -> None:
    local, target = Types(), Types()
    row = local.b.array(local.u32, 8, local.u32)
    mine = local.b.struct("s", 48, [("gone", local.u32, 0), ("x", local.u32, 32), ("row", row, 64)])
    other = target.b.struct("y", 4, [])
    row = target.b.array(target.u32, 2, target.u32)
    target.b.struct("s", 16, [("x", other, 0), ("row", row, 32)])
    answer = ask(local, target, mine, access, K.FIELD_BYTE_OFFSET)
    assert reason in answer.reason
    assert "kernel" in answer.reason
    assert answer.type == "struct s"
    exists = ask(local, target, mine, access, K.FIELD_EXISTS)
    assert (exists.reason, exists.value) == ("", 0)


def test_a_type_that_is_missing() -> None:
    local, target = Types(), Types()
    mine = local.b.struct("s___x", 4, [("a", local.u32, 0)])
    target.b.union("s", 4, [("a", target.u32, 0)])  # of another kind: not the same type
    for kind in (K.TYPE_EXISTS, K.TYPE_SIZE, K.TYPE_ID_TARGET, K.TYPE_MATCHES):
        answer = ask(local, target, mine, "0", kind)
        assert (answer.reason, answer.value) == ("", 0), kind
    answer = ask(local, target, mine, "0:0", K.FIELD_BYTE_OFFSET)
    assert "has no such type" in answer.reason
    assert answer.subject == "field a of struct s"
    assert answer.field == "a"


def test_type_ids() -> None:
    local, target = Types(), Types()
    mine = local.b.struct("s", 4, [])
    theirs = target.b.struct("s", 4, [])
    assert ask(local, target, mine, "0", K.TYPE_ID_LOCAL).value == mine
    target.b.int("later", 4)
    assert ask(local, target, mine, "0", K.TYPE_ID_TARGET).value == theirs


@pytest.mark.parametrize("wide", [False, True])
def test_enumerators(wide: bool) -> None:
    local, target = Types(), Types()
    mine = local.b.enum("e___x", [("A___x", 1), ("GONE", 2)])
    make = target.b.enum64 if wide else target.b.enum
    make("e", [("B", 3), ("A", -5)])
    value = ask(local, target, mine, "0", K.ENUMVAL_VALUE)
    assert (value.reason, value.local, value.value) == ("", 1, -5)
    assert ask(local, target, mine, "0", K.ENUMVAL_EXISTS).value == 1
    assert ask(local, target, mine, "1", K.ENUMVAL_EXISTS).value == 0
    gone = ask(local, target, mine, "1", K.ENUMVAL_VALUE)
    assert "it does not exist" in gone.reason
    assert gone.subject == "GONE of enum e"


def test_several_types_of_one_name_must_agree() -> None:
    local, target = Types(), Types()
    mine = local.b.struct("s", 8, [("a", local.u32, 0), ("b", local.u32, 32)])
    target.b.struct("s", 8, [("a", target.u32, 0), ("b", target.u32, 32)])
    target.b.struct("s", 12, [("a", target.u32, 0), ("b", target.u32, 64)])
    target.b.struct("s", 4, [("other", target.u32, 0)])  # has neither, so has no say
    assert ask(local, target, mine, "0:0", K.FIELD_BYTE_OFFSET).reason == ""
    assert "do not agree" in ask(local, target, mine, "0:1", K.FIELD_BYTE_OFFSET).reason


def test_flexible_arrays_have_no_end() -> None:
    local, target = Types(), Types()
    rows = local.b.array(local.u32, 0, local.u32)
    mine = local.b.struct("s", 4, [("n", local.u32, 0), ("rows", rows, 32)])
    rows = target.b.array(target.u32, 0, target.u32)
    target.b.struct("s", 8, [("n", target.u32, 0), ("x", target.u32, 32), ("rows", rows, 64)])
    assert ask(local, target, mine, "0:1:9", K.FIELD_BYTE_OFFSET).value == 8 + 36


@pytest.mark.parametrize(
    "access", ["", "x", "0:", "0:9", "0:0:0", "-1", "0:" * 80 + "0", "9999999999"]
)
def test_an_access_that_leads_nowhere_is_malformed(access: str) -> None:
    types = Types()
    mine = types.b.struct("s", 4, [("a", types.u32, 0)])
    with pytest.raises(BtfError):
        ask(types, types, mine, access, K.FIELD_BYTE_OFFSET)


@pytest.mark.parametrize(
    ("access", "kind"), [("0", 13), ("1", K.TYPE_EXISTS), ("0", K.ENUMVAL_VALUE)]
)
def test_other_malformed_records(access: str, kind: int) -> None:
    types = Types()
    mine = types.b.struct("s", 4, [("a", types.u32, 0)])
    with pytest.raises(BtfError):
        ask(types, types, mine, access, kind)


def patched(
    code: list[asm.Instruction],
    kind: int,
    *,
    access: str = "0:0",
    size: int = 4,
    signed: bool = False,
) -> tuple[Code, str]:
    """Relocate the first instruction for a field that went from 4 bytes at 8 to *size* at 16."""
    local, target = Types(), Types()
    mine = local.b.struct("s", 16, [("a", local.s32 if signed else local.u32, 64)])
    sizes = {1: target.u8, 2: target.u16, 4: target.u32, 8: target.u64, 16: target.b.int("x", 16)}
    theirs = {4: target.s32, 8: target.s64} if signed else sizes
    target.b.struct("s", 64, [("a", theirs[size], 128)])
    made = Code.of(code)
    made.core = [CoreRecord(0, mine, access, kind)]
    resolver = Resolver(local.btf("prog"), lambda: target.btf("kernel"))
    poisoned = relocate(made, resolver, "p")
    return made, poisoned[0].sentence if poisoned else ""


def test_immediates_are_replaced() -> None:
    code, _ = patched([asm.mov(1, 8)], K.FIELD_BYTE_OFFSET)
    assert code.at(0) == asm.mov(1, 16)
    code, _ = patched([asm.Instruction(0x67, 1, imm=32)], K.FIELD_LSHIFT_U64, size=8)
    assert code.at(0).imm == 0
    code, _ = patched(asm.ld_imm64(2, 8), K.FIELD_BYTE_OFFSET)
    assert code.instructions() == asm.ld_imm64(2, 16)


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_loads_and_stores_follow_the_size_of_unsigned_fields(size: int) -> None:
    code, _ = patched([asm.load(4, 1, 2, 8)], K.FIELD_BYTE_OFFSET, size=size)
    assert code.at(0) == asm.load(size, 1, 2, 16)
    code, _ = patched([asm.store(4, 1, 8, asm.R2)], K.FIELD_BYTE_OFFSET, size=size)
    assert code.at(0) == asm.store(size, 1, 16, asm.R2)


def test_a_signed_field_of_another_size_is_poison_only_where_it_is_loaded() -> None:
    code, reason = patched([asm.load(4, 1, 2, 8)], K.FIELD_BYTE_OFFSET, size=8, signed=True)
    assert code.at(0) == asm.Instruction(CALL, imm=POISON)
    assert "field a of struct s" in reason
    assert "8 bytes in kernel's BTF and 4 in the object" in reason
    code, reason = patched([asm.mov(1, 8)], K.FIELD_BYTE_OFFSET, size=8, signed=True)
    assert (code.at(0).imm, reason) == (16, "")
    code, reason = patched([asm.load(4, 1, 2, 8)], K.FIELD_BYTE_OFFSET, size=16)
    assert "no instruction moves its 16 bytes" in reason


def test_both_halves_of_a_constant_are_poisoned() -> None:
    local, target = Types(), Types()
    mine = local.b.enum64("e", [("A", 1 << 40)])
    code = Code.of([*asm.ld_imm64(2, 1 << 40), asm.exit_()])
    code.core = [CoreRecord(0, mine, "0", K.ENUMVAL_VALUE)]
    poisoned = relocate(code, Resolver(local.btf(), lambda: target.btf("kernel")), "p")
    bad = asm.Instruction(CALL, imm=POISON)
    assert code.instructions() == [bad, bad, asm.exit_()]
    assert poisoned[0].sentence == "needs A of enum e, but kernel's BTF has no such type"


@pytest.mark.parametrize(
    "code",
    [
        [asm.mov(1, 9)],  # another value than the record implies
        [asm.load(4, 1, 2, 9)],
        [asm.load(8, 1, 2, 8)],  # another width
        [asm.mov(1, asm.R2)],  # no immediate
        [asm.exit_()],
        asm.ld_imm64(1, 8)[:1],  # cut in half
    ],
)
def test_code_that_does_not_fit_its_record_is_refused(code: list[asm.Instruction]) -> None:
    with pytest.raises(RelocationError, match="does not fit instruction 0") as caught:
        patched(code, K.FIELD_BYTE_OFFSET, size=8)
    assert caught.value.type == "struct s"


def test_answers_are_asked_for_once() -> None:
    types = Types()
    mine = types.b.struct("s", 4, [("a", types.u32, 0)])
    calls: list[int] = []

    def target() -> Btf:
        calls.append(1)
        return types.btf("kernel")

    resolver = Resolver(types.btf(), target)
    first = resolver.resolve(mine, "0:0", K.FIELD_BYTE_OFFSET)
    assert resolver.resolve(mine, "0:0", K.FIELD_BYTE_OFFSET) is first
    resolver.resolve(mine, "0", K.TYPE_SIZE)
    assert len(calls) == 1
