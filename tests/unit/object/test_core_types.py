"""The three relations between types, each case built as a pair of BTF blobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from skep.btf.btf import Btf
from skep.btf.writer import Builder
from skep.object.core_types import essential_name, fields_compatible, types_compatible, types_match

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[Builder], int]


def built(make: Make) -> tuple[Btf, int]:
    builder = Builder()
    type_id = make(builder)
    return Btf.from_bytes(builder.build()), type_id


def int_(b: Builder, size: int = 4, *, signed: bool = False, bit: int = 0) -> int:
    return b.int("int", size, signed=signed, bit_offset=bit, bits=size * 8 - bit)


def struct(b: Builder, name: str = "s", *members: str) -> int:
    inner = int_(b)
    rows = [(member, inner, 32 * i) for i, member in enumerate(members)]
    return b.struct(name, 4 * len(rows), rows)


def array(b: Builder, of: int, length: int) -> int:
    return b.array(of, length, int_(b))


def proto(b: Builder, *sizes: int, returns: int = 4) -> int:
    params = [(f"p{i}", int_(b, size)) for i, size in enumerate(sizes)]
    return b.func_proto(int_(b, returns), params)


@pytest.mark.parametrize(
    ("name", "essential"),
    [
        ("task_struct", "task_struct"),
        ("task_struct___old", "task_struct"),
        ("a___b___c", "a___b"),
        ("___x", "___x"),
        ("a____b", "a____b"),
        ("a___", "a___"),
        ("a___b_", "a"),
        ("", ""),
    ],
)
def test_flavours(name: str, essential: str) -> None:
    assert essential_name(name) == essential


FIELDS: list[tuple[str, Make, Make, bool]] = [
    ("any integers", lambda b: int_(b, 4), lambda b: int_(b, 8, signed=True), True),
    ("old bit-field", lambda b: int_(b, 4), lambda b: int_(b, 4, bit=3), False),
    ("any structs", lambda b: struct(b, "a", "x"), lambda b: struct(b, "b", "y"), True),
    ("struct and union", lambda b: struct(b, "a"), lambda b: b.union("b", 0, []), True),
    ("integer and struct", int_, struct, False),
    ("integer and enum", int_, lambda b: b.enum("e", [("A", 1)]), False),
    ("pointers", lambda b: b.pointer(int_(b)), lambda b: b.pointer(struct(b)), True),
    ("pointer and integer", lambda b: b.pointer(0), int_, False),
    ("floats", lambda b: b.float("f", 4), lambda b: b.float("d", 8), True),
    ("enums", lambda b: b.enum("e", []), lambda b: b.enum64("e___x", []), True),
    ("other enum", lambda b: b.enum("e", []), lambda b: b.enum("f", []), False),
    ("anonymous enum", lambda b: b.enum("", []), lambda b: b.enum("f", []), True),
    ("arrays", lambda b: array(b, int_(b), 3), lambda b: array(b, int_(b, 8), 5), True),
    ("array of others", lambda b: array(b, int_(b), 3), lambda b: array(b, struct(b), 3), False),
    ("through typedefs", lambda b: b.typedef("t", b.const(int_(b))), int_, True),
    ("function types", proto, proto, False),
]


@pytest.mark.parametrize(
    ("local", "target", "same"), [c[1:] for c in FIELDS], ids=[c[0] for c in FIELDS]
)
def test_fields_compatible(local: Make, target: Make, same: bool) -> None:
    assert fields_compatible(*built(local), *built(target)) is same


TYPES: list[tuple[str, Make, Make, bool]] = [
    ("structs by kind only", lambda b: struct(b, "a", "x"), lambda b: struct(b, "b"), True),
    ("struct and union", struct, lambda b: b.union("s", 0, []), False),
    ("enum and enum64", lambda b: b.enum("e", []), lambda b: b.enum64("e", []), True),
    ("pointers look behind", lambda b: b.pointer(int_(b)), lambda b: b.pointer(struct(b)), False),
    ("void pointers", lambda b: b.pointer(0), lambda b: b.pointer(0), True),
    ("array length", lambda b: array(b, int_(b), 3), lambda b: array(b, int_(b), 4), True),
    ("functions", lambda b: proto(b, 4, 8), lambda b: proto(b, 8, 8), True),
    ("other parameters", lambda b: proto(b, 4), lambda b: proto(b, 4, 4), False),
    ("forward", lambda b: b.forward("s"), lambda b: b.forward("t"), True),
    ("forward and struct", lambda b: b.forward("s"), struct, False),
    ("float", lambda b: b.float("f", 4), lambda b: b.float("f", 4), False),
    ("unions", lambda b: b.union("a", 4, []), lambda b: b.union("b", 8, []), True),
    ("any integers", int_, lambda b: int_(b, 8, signed=True), True),
    ("old bit-field", int_, lambda b: int_(b, bit=3), False),
    ("integer and enum", int_, lambda b: b.enum("int", []), False),
    ("elements", lambda b: array(b, int_(b), 3), lambda b: array(b, struct(b), 3), False),
    ("returned", lambda b: proto(b, 4), lambda b: b.func_proto(0, [("", int_(b))]), False),
    ("function", lambda b: b.func("f", proto(b)), lambda b: b.func("f", proto(b)), False),
    ("through typedefs", lambda b: b.typedef("t", b.pointer(0)), lambda b: b.pointer(0), True),
    ("qualified", lambda b: b.pointer(b.const(int_(b))), lambda b: b.pointer(int_(b)), True),
    ("void and integer", lambda b: b.pointer(0), lambda b: b.pointer(int_(b)), False),
]


@pytest.mark.parametrize(
    ("local", "target", "same"), [c[1:] for c in TYPES], ids=[c[0] for c in TYPES]
)
def test_types_compatible(local: Make, target: Make, same: bool) -> None:
    assert types_compatible(*built(local), *built(target)) is same


def holder(of: Make) -> Make:
    """A struct with one member m of another type."""
    return lambda b: b.struct("h", 8, [("m", of(b), 0)])


MATCHES: list[tuple[str, Make, Make, bool]] = [
    (
        "members may be missing here",
        lambda b: struct(b, "s___x", "x"),
        lambda b: struct(b, "s", "y", "x"),
        True,
    ),
    (
        "but not there",
        lambda b: struct(b, "s", "x", "z"),
        lambda b: struct(b, "s", "x", "y", "w"),
        False,
    ),
    ("other name", lambda b: struct(b, "s"), lambda b: struct(b, "t"), False),
    ("integer size", holder(int_), holder(lambda b: int_(b, 8)), False),
    ("integer sign", holder(int_), holder(lambda b: int_(b, signed=True)), False),
    ("same integer", holder(int_), holder(int_), True),
    (
        "array length",
        holder(lambda b: array(b, int_(b), 2)),
        holder(lambda b: array(b, int_(b), 3)),
        False,
    ),
    (
        "pointer to a declaration",
        holder(lambda b: b.pointer(b.forward("t"))),
        holder(lambda b: b.pointer(struct(b, "t", "x"))),
        True,
    ),
    (
        "pointer to another kind",
        holder(lambda b: b.pointer(b.forward("t"))),
        holder(lambda b: b.pointer(b.union("t", 4, []))),
        False,
    ),
    (
        "pointed-to members do not count",
        holder(lambda b: b.pointer(struct(b, "t", "q"))),
        holder(lambda b: b.pointer(struct(b, "t", "x"))),
        True,
    ),
    (
        "pointed-to names count",
        holder(lambda b: b.pointer(struct(b, "t"))),
        holder(lambda b: b.pointer(struct(b, "u"))),
        False,
    ),
    (
        "struct by value",
        holder(lambda b: struct(b, "t", "q")),
        holder(lambda b: struct(b, "t", "x")),
        False,
    ),
    (
        "enumerators",
        lambda b: b.enum("e", [("A___x", 1)]),
        lambda b: b.enum("e", [("B", 0), ("A", 7)]),
        True,
    ),
    (
        "missing enumerator",
        lambda b: b.enum("e", [("C", 1)]),
        lambda b: b.enum("e", [("B", 0), ("A", 7)]),
        False,
    ),
    ("enum size", lambda b: b.enum("e", []), lambda b: b.enum64("e", []), False),
    (
        "function",
        holder(lambda b: b.pointer(proto(b, 4))),
        holder(lambda b: b.pointer(proto(b, 4))),
        True,
    ),
    (
        "function's parameter",
        holder(lambda b: b.pointer(proto(b, 4))),
        holder(lambda b: b.pointer(proto(b, 8))),
        False,
    ),
    ("void", holder(lambda b: b.pointer(0)), holder(lambda b: b.pointer(0)), True),
    ("void and struct", holder(lambda b: b.pointer(0)), holder(lambda b: b.pointer(struct(b))),
     False),
    ("struct and union", struct, lambda b: b.union("s", 0, []), False),
    ("unions", lambda b: b.union("u", 4, [("a", int_(b), 0)]),
     lambda b: b.union("u", 8, [("b", int_(b), 0), ("a", int_(b), 0)]), True),
    ("declarations", lambda b: b.forward("s"), lambda b: b.forward("s"), True),
    ("of another kind", lambda b: b.forward("s"), lambda b: b.forward("s", union=True), False),
    ("declaration and definition", lambda b: b.forward("s"), struct, False),
    ("definition here, declaration there", holder(lambda b: b.pointer(struct(b, "t"))),
     holder(lambda b: b.pointer(b.forward("t"))), True),
    ("a union declared there", holder(lambda b: b.pointer(struct(b, "t"))),
     holder(lambda b: b.pointer(b.forward("t", union=True))), False),
    ("float", lambda b: b.float("f", 4), lambda b: b.float("f", 4), False),
    ("enum64s", lambda b: b.enum64("e", [("A", 1)]), lambda b: b.enum64("e", [("A", 2)]), True),
    ("both kinds of enum", lambda b: b.enum("e", [("A", 1)], size=8),
     lambda b: b.enum64("e", [("A", 2)]), True),
    ("more enumerators here", lambda b: b.enum("e", [("A", 1), ("A___x", 1)]),
     lambda b: b.enum("e", [("A", 1)]), False),
    ("number of parameters", proto, lambda b: proto(b, 4), False),
    ("returned", lambda b: proto(b, returns=4), lambda b: proto(b, returns=8), False),
    ("elements", holder(lambda b: array(b, int_(b), 2)),
     holder(lambda b: array(b, int_(b, 8), 2)), False),
    ("a typedef's name does not count", holder(lambda b: b.typedef("a", int_(b))),
     holder(lambda b: b.typedef("b", int_(b))), True),
    ("an integer's does", holder(int_), holder(lambda b: b.int("long", 4)), False),
    ("one of several of a name", holder(int_),
     lambda b: b.struct("h", 8, [("m", b.pointer(0), 0), ("m", int_(b), 0)]), True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("local", "target", "same"), [c[1:] for c in MATCHES], ids=[c[0] for c in MATCHES]
)
def test_types_match(local: Make, target: Make, same: bool) -> None:
    assert types_match(*built(local), *built(target)) is same


def test_a_type_that_contains_itself_ends() -> None:
    def circle(b: Builder) -> int:
        pointer = b.next_id
        return b.pointer(pointer)

    local, target = built(circle), built(circle)
    assert types_compatible(*local, *target) is False
    assert types_match(*local, *target) is False


def test_types_that_hold_each_other_twice_end() -> None:
    """Thirty of them would take a billion comparisons."""

    def nest(b: Builder) -> int:
        inner = int_(b)
        for level in range(30):
            inner = b.struct(f"s{level}", 8, [("a", inner, 0), ("b", inner, 32)])
        return inner

    def call(b: Builder) -> int:
        inner = int_(b)
        for _ in range(15):
            inner = b.pointer(b.func_proto(inner, [("a", inner), ("b", inner)]))
        return inner

    assert types_match(*built(nest), *built(nest))
    assert types_match(*built(call), *built(call))
    assert types_compatible(*built(call), *built(call))
