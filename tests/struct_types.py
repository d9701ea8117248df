# ruff: noqa: ARG002  one interface for all kinds of types
"""Random C types: as C text, as the list of all numbers in them, and values for them.

A type is drawn by Hypothesis. The numbers in it are its *leaves*: each has a C expression that
reaches it, and an integer for every value. So a BPF program (which sees the type as the compiler
laid it out) and skep (which sees BTF) can be compared number by number.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

MASK = (1 << 64) - 1
MAX_LEAVES = 96

# C's name, bytes, signed
INTEGERS = [
    ("char", 1, True),
    ("signed char", 1, True),
    ("unsigned char", 1, False),
    ("__u8", 1, False),
    ("short", 2, True),
    ("__u16", 2, False),
    ("int", 4, True),
    ("__u32", 4, False),
    ("long", 8, True),
    ("unsigned long", 8, False),
    ("__u64", 8, False),
    ("__s64", 8, True),
]
ENUMS = [
    # enumerators, attribute, bytes, signed
    ((0, 1, 7), "", 4, False),
    ((-1, 0, 5), "", 4, True),
    ((0, 200), "__attribute__((packed))", 1, False),
    ((-2, 300), "__attribute__((packed))", 2, True),
    ((0, 1 << 40), "", 8, False),
    ((-1, 1 << 40), "", 8, True),
]
ORDERED = [(f"__{order}{8 * size}", size) for order in ("be", "le") for size in (2, 4, 8)]


class Number:
    """A number: `kind` is "integer", "bool", "float", "pointer", "enum", "be" or "le"."""

    def __init__(self, name: str, size: int, signed: bool = False, kind: str = "integer") -> None:
        self.name = name
        self.size = size
        self.signed = signed
        self.kind = kind

    def declare(self, name: str) -> str:
        return f"{self.name} {name}"

    def leaves(self, path: str, bits: int, active: bool) -> Iterator[Leaf]:
        yield Leaf(path, self, bits)

    def value(self, random: Random, bits: int) -> Any:
        bits = bits or 8 * self.size
        if self.kind == "bool":
            return random.random() < 0.5
        if self.kind == "float":
            # Numbers that both widths hold exactly, so that equal means equal.
            return random.choice([0.0, -0.0, 1.5, -2.25, float(random.getrandbits(20)) / 64])
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if self.signed else (0, (1 << bits) - 1)
        edges = [low, high, 0, 1 if high else 0, high >> 1]
        return random.choice(edges) if random.random() < 0.4 else random.randint(low, high)

    def numbers(self, value: Any, active: bool) -> Iterator[int | None]:
        if self.kind == "float":
            data = struct.pack("<f" if self.size == 4 else "<d", value)
            yield int.from_bytes(data, "little")
            return
        if self.size == 16 and not isinstance(value, int):  # NumPy has no such integer
            value = int.from_bytes(value.tobytes(), "little", signed=self.signed)
        number = int(value)
        yield number & MASK
        if self.size == 16:
            yield number >> 64 & MASK


class Array:
    """An array of any other type."""

    def __init__(self, element: Any, length: int) -> None:
        self.element = element
        self.length = length

    def declare(self, name: str) -> str:
        return str(self.element.declare(f"{name}[{self.length}]"))

    @property
    def text(self) -> str:
        """What skep makes of it: "str", "bytes" or ""."""
        plain = isinstance(self.element, Number) and self.element.kind == "integer"
        names = {"char": "str", "unsigned char": "bytes", "__u8": "bytes"}
        return names.get(self.element.name, "") if plain else ""

    def leaves(self, path: str, bits: int, active: bool) -> Iterator[Leaf]:
        for index in range(self.length):
            yield from self.element.leaves(f"{path}[{index}]", 0, active)

    def value(self, random: Random, bits: int) -> Any:
        if self.text == "bytes":
            return random.randbytes(self.length)
        if self.text == "str":  # nothing follows the first NUL
            count = random.randint(0, self.length)
            data = bytes(random.randint(1, 255) for _ in range(count))
            return data.decode("utf-8", "surrogateescape")
        return tuple(self.element.value(random, 0) for _ in range(self.length))

    def numbers(self, value: Any, active: bool) -> Iterator[int | None]:
        if self.text:
            data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
            for byte in bytes(data):
                signed = byte - 256 if self.text == "str" and byte > 127 else byte
                yield signed & MASK
            # What follows the NUL of a str is 0 when it is written, and not seen when it is read.
            yield from [0 if active else None] * (self.length - len(data))
            return
        assert len(value) == self.length
        for one in value:
            yield from self.element.numbers(one, active)


class Member:
    """A member; `name` is "" for an anonymous one (a struct, a union, or unnamed bits)."""

    def __init__(self, name: str, type_: Any, bits: int | None = None, attribute: str = "") -> None:
        self.name = name
        self.type = type_
        self.bits = bits
        self.attribute = attribute

    @property
    def is_gap(self) -> bool:
        return not self.name and self.bits is not None

    def __str__(self) -> str:
        text = self.type.declare(self.name).rstrip()
        if self.bits is not None:
            text += f":{self.bits}"
        return f"{text}{self.attribute};"


class Composite:
    """A struct or union. Values set one alternative of a union: the one numbered `chosen`."""

    def __init__(self, tag: str, attribute: str, members: list[Member], chosen: int = 0) -> None:
        self.tag = tag
        self.attribute = attribute
        self.members = members
        self.chosen = chosen

    def declare(self, name: str) -> str:
        body = "".join(f"\t{line}\n" for member in self.members for line in str(member).split("\n"))
        return f"{self.tag} {{\n{body}}}{self.attribute} {name}"

    def used(self, active: bool) -> Iterator[Member]:
        """Yield the members that have leaves: of a union, with *active*, one."""
        real = [member for member in self.members if not member.is_gap]
        if active and self.tag.startswith("union") and real:
            real = [real[self.chosen % len(real)]]
        yield from real

    def leaves(self, path: str, bits: int, active: bool) -> Iterator[Leaf]:
        for member in self.used(active):
            inner = f"{path}.{member.name}" if member.name else path
            yield from member.type.leaves(inner, member.bits or 0, active)

    def value(self, random: Random, bits: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for member in self.used(active=True):
            value = member.type.value(random, member.bits or 0)
            if member.name:
                found[member.name] = value
            else:
                found |= value
        return found

    def numbers(self, value: Any, active: bool) -> Iterator[int | None]:
        for member in self.used(active):
            inner = value
            if member.name:
                named = isinstance(value, dict) or hasattr(value, "dtype")
                inner = value[member.name] if named else getattr(value, member.name)
            yield from member.type.numbers(inner, active)

    def __repr__(self) -> str:  # what Hypothesis shows of a failure
        return self.declare("x")


def without_gaps(type_: Any) -> Any:
    """Return *type_* without unnamed bits."""
    if isinstance(type_, Array):
        return Array(without_gaps(type_.element), type_.length)
    if isinstance(type_, Composite):
        members = [
            Member(each.name, without_gaps(each.type), each.bits, each.attribute)
            for each in type_.members
            if not each.is_gap
        ]
        return Composite(type_.tag, type_.attribute, members, type_.chosen)
    return type_


def natural(type_: Any) -> Any:
    """Return *type_* without attributes and unnamed bits, and fit for 32 bits.

    What BTF of a 64-bit machine does not show is then not there: where it would show elsewhere.
    """
    if isinstance(type_, Array):
        return Array(natural(type_.element), type_.length)
    if isinstance(type_, Composite):
        members = [
            Member(each.name, _narrow(each), each.bits and min(each.bits, 64))
            for each in type_.members
            if not each.is_gap
        ]
        return Composite(type_.tag, "", members, type_.chosen)
    return Number("__u64", 8) if type_.size == 16 else type_


def _narrow(member: Member) -> Any:
    """Return the type of a member; one that takes its number of bits on 32 bits too."""
    made = natural(member.type)
    wide = (member.bits or 0) > 32 and made.name in {"long", "unsigned long"}
    return Number("__u64", 8) if wide or (member.bits or 0) > 64 else made


class Leaf:
    """One number in a type: C's expression for it below the type's own."""

    def __init__(self, path: str, number: Number, bits: int) -> None:
        self.path = path
        self.number = number
        self.bits = bits

    @property
    def words(self) -> int:
        return 2 if self.number.size == 16 else 1


def _numbers() -> st.SearchStrategy[Number]:
    integers = st.sampled_from([Number(*each) for each in INTEGERS])
    enums = st.sampled_from(
        [Number(f"enum e{i}", size, signed, "enum") for i, (_, _, size, signed) in enumerate(ENUMS)]
    )
    others = st.sampled_from(
        [
            Number("_Bool", 1, False, "bool"),
            Number("float", 4, True, "float"),
            Number("double", 8, True, "float"),
            Number("void *", 8, False, "pointer"),
            Number("__int128", 16, True),
            Number("unsigned __int128", 16, False),
            Number("plain_alias", 2, True),
            Number("port", 2, False, "be"),
            Number("volatile unsigned", 4, False),
            *[Number(name, size, False, name[2:4]) for name, size in ORDERED],
        ]
    )
    return st.one_of(integers, integers, enums, others)


NUMBERS = _numbers()
BIT_FIELDS = st.sampled_from(
    [
        *[Number(*each) for each in INTEGERS],
        *[Number(f"enum e{i}", ENUMS[i][2], ENUMS[i][3], "enum") for i in (0, 1, 4)],
        Number("_Bool", 1, False, "bool"),
        Number("plain_alias", 2, True),
        Number("__int128", 16, True),
        Number("unsigned __int128", 16, False),
    ]
)
LENGTHS = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 16])
ALIGNED = st.sampled_from(["", "", "", "", "", " __attribute__((aligned(8)))",
                           " __attribute__((aligned(16)))", " __attribute__((packed))",
                           " __attribute__((aligned(4)))"])  # fmt: skip
COMPOSITE = st.sampled_from(["", "", "", " __attribute__((packed))", " __attribute__((packed))",
                             " __attribute__((packed, aligned(4)))",
                             " __attribute__((aligned(16)))"])  # fmt: skip
KINDS = st.sampled_from(["number"] * 5 + ["bits"] * 4 + ["array"] * 2 + ["text", "matrix"]
                        + ["nested"] * 2 + ["anonymous", "structs", "gap"])  # fmt: skip


@st.composite
def structs(draw: st.DrawFn) -> Composite:
    """Draw a struct of at least one leaf and at most `MAX_LEAVES`."""
    names = iter(range(10_000))
    made = _composite(draw, names, [MAX_LEAVES], 3, "struct")
    if not any(True for _ in made.leaves("", 0, active=True)):
        made.members.append(Member(f"m{next(names)}", draw(NUMBERS)))
    return made


def _composite(
    draw: st.DrawFn, names: Iterator[int], left: list[int], depth: int, tag: str
) -> Composite:
    members = []
    for _ in range(draw(st.integers(1, 6))):
        member = _member(draw, names, left, depth)
        if member is not None:
            members.append(member)
    return Composite(tag, draw(COMPOSITE), members, draw(st.integers(0, 5)))


def _member(draw: st.DrawFn, names: Iterator[int], left: list[int], depth: int) -> Member | None:
    kind = draw(KINDS)
    name = f"m{next(names)}"
    number = draw(BIT_FIELDS if kind in ("bits", "gap") else NUMBERS)
    if kind in ("bits", "gap"):
        most = 1 if number.kind == "bool" else 8 * number.size
        bits = draw(st.integers(0 if kind == "gap" else 1, most))
        left[0] -= 1
        return Member("" if kind == "gap" else name, number, bits)
    inner: Any = number
    if kind == "text":
        inner = Array(draw(st.sampled_from([Number(*INTEGERS[0]), Number(*INTEGERS[3])])), 1)
        inner.length = draw(LENGTHS)
    elif kind in ("array", "matrix"):
        inner = Array(number, draw(LENGTHS))
        if kind == "matrix":
            inner = Array(Array(number, draw(st.integers(1, 3))), draw(st.integers(1, 3)))
    elif kind in ("nested", "anonymous", "structs") and depth:
        tag = draw(st.sampled_from(["struct", "struct", "union"]))
        inner = _composite(draw, names, left, depth - 1, tag)
        if kind != "nested" and not any(True for _ in inner.leaves("", 0, active=True)):
            return None  # how many empty structs there are is not in the value
        if kind == "structs":
            inner = Array(inner, draw(st.integers(1, 3)))
        if kind == "anonymous":
            name = ""
    count = sum(1 for _ in inner.leaves("", 0, active=False))
    if count > left[0]:
        return None
    left[0] -= count
    # An attribute behind an anonymous struct's brace would be the struct's.
    return Member(name, inner, None, draw(ALIGNED) if name else "")


def definitions() -> str:
    """Return C's definitions of what the types mention."""
    lines = ["typedef short alias;", "typedef alias plain_alias;"]
    lines += ["typedef __be16 port_or_none;", "typedef port_or_none port;"]
    for number, (values, attribute, _, _) in enumerate(ENUMS):
        body = ", ".join(f"E{number}_{i} = {value}LL" for i, value in enumerate(values))
        lines.append(f"enum e{number} {{ {body} }} {attribute};")
    return "\n".join(lines) + "\n"


def definition(type_: Composite, name: str) -> str:
    """Return the C definition of *type_* as ``struct name``."""
    text = type_.declare("").rstrip()
    return f"struct {name}{text.removeprefix('struct')};\n"
