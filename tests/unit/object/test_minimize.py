"""A minimised BTF gives the answers of the whole: every kind of question, found or not."""

from __future__ import annotations

import sys
from random import Random
from typing import TYPE_CHECKING

import pytest

from skep.asm.code import Code, CoreRecord
from skep.btf import types as t
from skep.btf.btf import Btf
from skep.btf.places import MADE_FOR
from skep.btf.target import Target
from skep.btf.writer import Builder
from skep.errors import BtfError, NoBtfError
from skep.object.core import Resolver
from skep.object.core_values import RelocationKind
from skep.object.minimize import minimize
from skep.object.relocations import explain
from skep.object.spec import ObjectSpec
from skep.programs.spec import ProgramSpec

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    Question = tuple[int, str, int]

K = RelocationKind
FIELD_KINDS = [K(number) for number in range(6)]
TYPE_KINDS = [K.TYPE_ID_LOCAL, K.TYPE_ID_TARGET, K.TYPE_EXISTS, K.TYPE_SIZE, K.TYPE_MATCHES]
ENUM_KINDS = [K.ENUMVAL_EXISTS, K.ENUMVAL_VALUE]
ORDERS = ("little", "big")


def object_of(
    btf: Btf, questions: Iterable[Question], byteorder: Literal["little", "big"] = sys.byteorder
) -> ObjectSpec:
    """Return an object with a program that asks *questions*."""
    spec = ObjectSpec("test.bpf.o", byteorder=byteorder, btf=btf)
    code = Code(bytes(8), byteorder)
    code.core = [CoreRecord(0, *question) for question in questions]
    spec.programs["ask"] = ProgramSpec(name="ask", section="socket", code=code)
    return spec


def same(local: Btf, target: Btf, questions: list[Question]) -> Btf:
    """Minimise for *questions*, compare every answer word for word, return the small BTF."""
    small = Btf.from_bytes(minimize([object_of(local, questions)], target), name=target.name)
    whole, cut = Resolver(local, lambda: target), Resolver(local, lambda: small)
    for question in questions:
        before, after = whole.resolve(*question), cut.resolve(*question)
        assert after.outcome() == before.outcome(), question
        assert (after.subject, after.local) == (before.subject, before.local)
    return small


def rich(b: Builder, *, target: bool) -> dict[str, int]:
    """Types of every kind; the target's are larger, in another order, and lack some."""
    u8, u32, u64 = b.int("u8", 1), b.int("u32", 4), b.int("u64", 8)
    s32, f64 = b.int("int", 4, signed=True), b.float("double", 8)
    ids = {"u32": b.typedef("u32_t", b.typedef("__u32", u32))}
    deep = b.struct("", 8, [("lo", u32, 0), ("hi", u32, 32)])
    union = b.union("", 8, [("whole", u64, 0), ("", deep, 0)])
    inner = b.struct("inner", 24, [("x", s32, 0), ("", union, 64), ("tail", u64, 128)])
    colour = b.enum("colour", [("RED", 1), ("BLUE", 5 if target else 2)], signed=target)
    wide = b.enum64("wide", [("A", 1 << 40), ("B", 3), *([] if target else [("GONE", 4)])])
    ids |= {"colour": colour, "wide": wide}
    name = b.array(u8, 16 if target else 8, u32)
    grid = b.array(b.array(b.const(inner), 2, u32), 2 if target else 3, u32)
    none = b.array(u32, 0, u32)
    call = b.func_proto(s32, [("i", b.pointer(inner)), ("n", ids["u32"])])
    ids["call"] = b.typedef("call", b.pointer(call))
    ids["only_declared"] = b.forward("only_declared")
    rows: list[tuple[str, int, int, int]] = [
        ("id", s32, 0, 0), ("name", name, 32, 0), ("inner", inner, 192, 0),
        ("grid", grid, 384, 0), ("flag", u32, 1537, 3), ("far", u64, 1600, 40),
        ("next", b.pointer(b.next_id + 1), 1664, 0), ("colour", colour, 1728, 0),
        ("real", u64 if target else f64, 1792, 0), ("call", ids["call"], 1856, 0),
        ("empty", none, 1920, 0), ("last", none, 1920, 0),
    ]  # fmt: skip
    if target:
        moved = [(n, i, at + 128, bits) for n, i, at, bits in rows if n not in ("last", "far")]
        rows = [("new", u64, 0, 0), *moved, ("far", u32, 64, 0), ("last", none, 2048, 0)]
    ids["big"] = b.struct("big", 300, rows)
    ids["inner"] = inner
    ids["u"] = b.union("u", 8, [("a", u64, 0), ("b", u32, 0)])
    if target:
        b.struct("twice", 8, [("a", u32, 0), ("b", u32, 32)])
        b.struct("twice", 16, [("a", u32, 0), ("b", u32, 64)])
        b.func("function", call)
    else:
        ids["twice"] = b.struct("twice", 8, [("a", u32, 0), ("b", u32, 32)])
        ids["nowhere"] = b.struct("nowhere", 4, [("a", u32, 0)])
        ids["other_kind"] = b.union("inner", 4, [("x", u32, 0)])
        ids["function"] = b.func("function", call)
        ids["inner_now"] = b.struct("inner___now", 8, [("x", s32, 0), ("gone", u32, 32)])
    return ids


ACCESSES = {
    "big": [
        "0", "1", "0:0", "0:1", "0:1:3", "0:1:7", "0:2", "0:2:0", "0:2:1:0", "0:2:1:1:1", "2:2:2",
        "0:3", "0:3:2:1:2", "0:3:1", "0:4", "0:5", "0:6", "0:7", "0:8", "0:9", "0:10", "0:11",
        "0:11:7",
    ],
    "inner": ["0:0", "0:1:1:0", "3:2"],
    "inner_now": ["0:0", "0:1"],
    "u": ["0:0", "0:1"],
    "twice": ["0:0", "0:1"],
    "nowhere": ["0:0"],
    "other_kind": ["0:0"],
}  # fmt: skip


def every_question(ids: dict[str, int]) -> list[Question]:
    found: list[Question] = [
        (ids[name], access, kind)
        for name, accesses in ACCESSES.items()
        for access in accesses
        for kind in FIELD_KINDS
    ]
    sized = [name for name in ids if name not in ("only_declared", "function")]
    found += [
        (ids[name], "0", kind)
        for name in ids
        for kind in TYPE_KINDS
        if name in sized or kind != K.TYPE_SIZE
    ]
    found += [(ids["colour"], f"{i}", kind) for i in range(2) for kind in ENUM_KINDS]
    found += [(ids["wide"], f"{i}", kind) for i in range(3) for kind in ENUM_KINDS]
    return found


@pytest.mark.parametrize("order", ORDERS)
def test_every_kind_of_question(order: Literal["little", "big"]) -> None:
    ours, theirs = Builder(order), Builder(order)
    ids = rich(ours, target=False)
    rich(theirs, target=True)
    local = Btf.from_bytes(ours.build(), name="prog")
    target = Btf.from_bytes(theirs.build(), name="kernel")
    questions = every_question(ids)
    assert {kind for _, _, kind in questions} == set(K)
    answers = [Resolver(local, lambda: target).resolve(*question) for question in questions]
    reasons = {answer.reason for answer in answers}
    assert len(reasons) >= 6, reasons  # found, missing, ambiguous, another kind, too short...
    all_at_once = same(local, target, questions)
    assert all_at_once.byteorder == order
    for question in questions:
        alone = same(local, target, [question])
        assert len(alone) <= len(all_at_once)


def test_nothing_else_is_kept() -> None:
    ours, theirs = Builder(), Builder()
    ids = rich(ours, target=False)
    rich(theirs, target=True)
    local = Btf.from_bytes(ours.build())
    target = Btf.from_bytes(theirs.build(), name="kernel")
    small = same(local, target, [(ids["big"], "0:0", K.FIELD_BYTE_OFFSET)])
    (big, number) = sorted(small.types(), key=lambda each: each.name)
    assert isinstance(big, t.Struct)
    assert (big.size, [m.name for m in big.members]) == (300, ["id"])
    assert number.name == "int"
    small = same(local, target, [(ids["colour"], "1", K.ENUMVAL_VALUE)])
    (colour,) = small.types()
    assert isinstance(colour, t.Enum)
    assert (colour.name, colour.values) == ("colour", (("BLUE", 5),))
    small = same(local, target, [(ids["big"], "0", K.TYPE_EXISTS)])
    (big,) = small.types()
    assert isinstance(big, t.Struct)
    assert (big.size, big.members) == (300, ())
    assert len(same(local, target, [(ids["nowhere"], "0:0", K.FIELD_BYTE_OFFSET)])) == 1
    assert len(same(local, target, [(ids["big"], "0", K.TYPE_ID_LOCAL)])) == 1


def test_a_zero_length_array_does_not_become_the_last_member() -> None:
    """Only the last member of a struct may be read beyond its length."""
    ours, theirs = Builder(), Builder()
    for b in (ours, theirs):
        u32 = b.int("u32", 4)
        row = b.array(u32, 0 if b is theirs else 4, u32)
        b.struct("s", 8, [("row", row, 0), ("after", u32, 32)])
    local, target = Btf.from_bytes(ours.build()), Btf.from_bytes(theirs.build(), name="kernel")
    question = (3, "0:0:2", K.FIELD_BYTE_OFFSET)
    assert "has only 0 elements" in Resolver(local, lambda: target).resolve(*question).reason
    small = same(local, target, [question])
    assert [m.name for m in small.find_type("s").members] == ["row", "after"]  # type: ignore[attr-defined]


def test_ids_in_the_kernel_are_kept() -> None:
    ours, theirs = Builder(), Builder()
    mine = ours.struct("s", 4, [])
    for number in range(50):
        theirs.int(f"filler{number}", 4)
    its = theirs.struct("s", 4, [])
    local, target = Btf.from_bytes(ours.build()), Btf.from_bytes(theirs.build(), name="kernel")
    small = same(local, target, [(mine, "0", K.TYPE_ID_TARGET)])
    assert small.find("s") == [1]
    assert Resolver(local, lambda: small).resolve(mine, "0", K.TYPE_ID_TARGET).value == its == 51


def test_several_objects_in_one() -> None:
    theirs = Builder()
    rich(theirs, target=True)
    target = Btf.from_bytes(theirs.build(), name="kernel")
    specs = []
    for name, field in (("big", "id"), ("big", "colour"), ("inner", "tail")):
        b = Builder()
        u32 = b.int("u32", 4)
        if field == "colour":
            u32 = b.enum("colour", [])
        mine = b.struct(name, 4, [(field, u32, 0)])
        btf = Btf.from_bytes(b.build())
        specs.append(object_of(btf, [(mine, "0:0", K.FIELD_BYTE_OFFSET)]))
    small = Btf.from_bytes(minimize(specs, target), name="kernel")
    big, inner = small.find_type("big"), small.find_type("inner")
    assert isinstance(big, t.Struct)
    assert isinstance(inner, t.Struct)
    assert [m.name for m in big.members] == ["id", "colour"]
    assert [m.name for m in inner.members] == ["tail"]
    for spec in specs:
        (before,), (after,) = explain(spec, target), explain(spec, small)
        assert after.as_dict() == before.as_dict()


def test_the_kernels_release_is_noted() -> None:
    b = Builder()
    b.struct("s", 4, [])
    target = Target.given(Btf.from_bytes(b.build(), name="kernel"))
    spec = object_of(target.require(), [(1, "0", K.TYPE_EXISTS)])
    small = Btf.from_bytes(minimize([spec], target, release="6.1.0-49-amd64"))
    assert small.strings_starting(MADE_FOR) == [f"{MADE_FOR}6.1.0-49-amd64"]
    assert minimize([spec], target) == minimize([spec, spec], target)


def test_refusals() -> None:
    b = Builder()
    mine = b.struct("s", 4, [])
    btf = Btf.from_bytes(b.build(), name="prog")
    with pytest.raises(NoBtfError):
        minimize([object_of(btf, [])], Target(None, "none"))
    for question in ((mine, "0:7", K.FIELD_EXISTS), (99, "0", K.TYPE_SIZE), (mine, "0", 77)):
        with pytest.raises(BtfError):
            minimize([object_of(btf, [question])], btf)
    assert len(Btf.from_bytes(minimize([ObjectSpec("x", byteorder="little")], btf))) == 1


class Maker:
    """Types at random, out of a few names, so that two of them have much in common."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.b = Builder()
        self.roots: list[int] = []
        pick = self.random
        self.made = [self.b.int("u32", 4), self.b.int("int", 4, signed=True), self.b.int("u8", 1)]
        for _ in range(30):
            self.made.append(self.one(pick.randrange(9)))

    def name(self, prefix: str) -> str:
        return f"{prefix}{self.random.randrange(4)}"

    def one(self, kind: int) -> int:
        pick, b = self.random, self.b
        of = pick.choice(self.made)
        if kind == 0:
            return b.pointer(pick.choice([0, of]))
        if kind == 1:
            return b.array(of, pick.randrange(4), 1)
        if kind == 2:
            made = b.typedef(self.name("t"), of)
        elif kind == 3:
            made = b.enum(self.name("e"), [(self.name("V"), pick.randrange(5)) for _ in range(3)])
        elif kind == 4:
            return b.const(of)
        elif kind == 5:
            return b.func_proto(
                of, [("", pick.choice(self.made)) for _ in range(pick.randrange(3))]
            )
        else:
            rows = []
            for _ in range(pick.randrange(5)):
                bits = pick.choice([0, 0, 0, 3])
                member = (self.name("m"), pick.choice(self.made), 32 * pick.randrange(40), bits)
                rows.append((member[0], 1, member[2], 3) if bits else member)
            if pick.randrange(3) == 0:
                rows.append(("", pick.choice(self.made), 32 * pick.randrange(40), 0))
            add = b.union if kind == 6 else b.struct
            made = add(self.name("s") if pick.randrange(4) else "", pick.randrange(200), rows)
        self.roots.append(made)
        return made

    def questions(self, btf: Btf) -> list[Question]:
        """Return the well-formed ones: access paths of up to three steps, at random."""
        found: list[Question] = []
        for id_ in self.roots:
            root = btf.type(id_)
            if not root.name:
                continue
            found += [(id_, "0", kind) for kind in TYPE_KINDS]
            kinds = ENUM_KINDS if isinstance(root, t.Enum) else FIELD_KINDS
            for _ in range(6):
                access = ":".join(str(self.random.randrange(4)) for _ in range(3))
                cut = access if kinds is FIELD_KINDS else access[0]
                found += [(id_, cut, kind) for kind in kinds]
        return found


@pytest.mark.parametrize("seed", range(60))
def test_types_at_random(seed: int) -> None:
    mine, its = Maker(seed), Maker(seed + 1000)
    local = Btf.from_bytes(mine.b.build(), name="prog")
    target = Btf.from_bytes(its.b.build(), name="kernel")
    resolver = Resolver(local, lambda: target)
    asked = []
    for question in mine.questions(local):
        try:
            resolver.resolve(*question)
        except BtfError:
            continue  # this way leads nowhere in the object itself
        asked.append(question)
    assert len(asked) > 10
    small = same(local, target, asked)
    assert len(small) <= len(target) + len(asked)
    for question in asked[::7]:
        same(local, target, [question])
