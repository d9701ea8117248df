"""`skep.kernel.enums` against the standard library's enums, which type checkers take them for."""

from __future__ import annotations

import copy
import enum
import json
import pickle
from typing import Any

import pytest

from skep.kernel import constants, enums
from skep.kernel.constants import AttachType, MapFlags, MapType

NUMBERS = {"X": 0, "Y": 1, "Z": 1, "W": 40}
BITS = {"NONE": 0, "A": 1, "B": 2, "C": 4, "AB": 3}


def pair(base: str, members: dict[str, int]) -> tuple[Any, Any]:
    """Make the same class with skep's and the standard library's base."""
    made: list[Any] = []
    for module in (enums, enum):
        space: dict[str, Any] = {"Base": getattr(module, base), "__name__": __name__}
        body = "".join(f"\n    {name} = {value}" for name, value in members.items())
        exec(f"class E(Base):{body}", space)
        made.append(space["E"])
    return made[0], made[1]


def outcome(text: str, kind: Any) -> str:
    """Return what the expression *text* about the class E gives, or raises."""
    try:
        return repr(eval(text, {"E": kind, "copy": copy, "json": json}))
    except Exception as error:  # noqa: BLE001  compared
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize(
    "text",
    [
        "E.X", "E.Z", "str(E.Y)", "E.Z.name", "E.Z.value", "type(E.X.value)", "list(E)", "len(E)",
        "f'{E.W:>5}|{E.W}|{E.W!r}'", "'%d %s' % (E.W, E.W)", "E(1)", "E(1.0)", "E(True)", "E['Z']",
        "E.Y is E.Z", "E(40) is E.W", "E['W'] is E.W", "E.W == 40", "hash(E.W) == hash(40)",
        "isinstance(E.W, E)", "issubclass(E, int)", "E.W in E", "E", "sorted(E.__members__)",
        "copy.copy(E.W) is E.W", "copy.deepcopy([E.W])[0] is E.W", "E.W + 1", "type(E.W | 1)",
        "E.W < 41", "{E.W: 3}[40]", "E('x')", "E(99)", "E(-1)", "E['Q']",
        "[each.name for each in E]",
        "json.dumps([E.W])", "bool(E.X)", "range(50)[E.W]", "E.X.X", "E.W.real", "int(E.W)",
    ],
)  # fmt: skip
def test_numbers(text: str) -> None:
    ours, theirs = pair("IntEnum", NUMBERS)
    assert outcome(text, ours) == outcome(text, theirs)


@pytest.mark.parametrize(
    "text",
    [
        "E.A | E.C", "E(0)", "E.NONE", "E(0).name", "(E.A | E.C).name", "E.A | 8", "(E.A | 8).name",
        "(E.A | E.C | 8).name", "E(8)", "E(8).name", "list(E)", "list(E.A | E.C)", "len(E.A | E.B)",
        "E.A in (E.A | E.B)", "E.C in (E.A | E.B)", "E.AB.name", "E.A | E.B", "E(3) is E.AB",
        "E.A & ~E.B", "(E.A | E.B) & ~E.B", "str(E.A | E.B)", "f'{E.A | E.C}'", "8 | E.A",
        "8 & E.A",
        "E.A ^ E.AB", "len(E)", "bool(E(0))", "bool(E.A & E.B)", "E('q')", "sum(E)", "E.A & E.B",
        "copy.deepcopy(E.A | E.C)", "E['AB']", "E.C == 4", "E.A | 'x'",
    ],
)  # fmt: skip
def test_flags(text: str) -> None:
    ours, theirs = pair("IntFlag", BITS)
    assert outcome(text, ours) == outcome(text, theirs)


def test_a_missing_member_is_an_attribute_error() -> None:
    ours, theirs = pair("IntEnum", NUMBERS)
    for kind in (ours, theirs):
        with pytest.raises(AttributeError, match="Q"):
            kind.Q  # noqa: B018


@pytest.mark.parametrize(
    "name", [name for name in constants.__all__ if isinstance(getattr(constants, name), type)]
)
def test_the_kernels_numbers_are_what_an_enum_of_them_is(name: str) -> None:
    kind: Any = getattr(constants, name)
    base: Any = enum.IntFlag if issubclass(kind, enums.IntFlag) else enum.IntEnum
    theirs: Any = base(name, {each: int(value) for each, value in kind.__members__.items()})
    assert list(map(repr, kind)) == list(map(repr, theirs))
    assert [each.name for each in kind] == [each.name for each in theirs]
    assert len(kind) == len(theirs) > 0
    for each in kind:
        assert kind(int(each)) is each
        assert pickle.loads(pickle.dumps(each)) is each


def test_match_statements_compare_by_number() -> None:
    match MapType(1):
        case MapType.ARRAY:
            found = "array"
        case MapType.HASH:
            found = "hash"
    assert found == "hash"


def test_a_combination_survives_pickling() -> None:
    flags = MapFlags.MMAPABLE | MapFlags.RDONLY_PROG
    again = pickle.loads(pickle.dumps(flags))
    assert again == flags == 1 << 10 | 1 << 7
    assert repr(again) == repr(flags) == "<MapFlags.RDONLY_PROG|MMAPABLE: 1152>"


def test_members_are_listed_for_completion() -> None:
    assert {"TRACE_FENTRY", "XDP"} <= set(dir(AttachType))


def test_a_member_is_one_object_though_another_thread_makes_it_meanwhile() -> None:
    """The race in slow motion: the other thread is faster, right after the look at what is made."""

    class Kind(enums.IntEnum):
        HASH = 1

    made: Any = Kind

    others: list[Any] = []

    class Overtaken(dict[int, Any]):
        def get(self, number: int, default: Any = None) -> Any:
            found = super().get(number, default)
            if found is None:  # the other thread
                others.append(self.setdefault(number, int.__new__(made, number)))
            return found

    made._members = Overtaken()
    assert made.HASH is others[0]
    assert made(1) is others[0]
    assert len(others) == 1
