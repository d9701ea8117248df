"""Records declared in Python: how they are made, what they refuse, and how they compare."""

from __future__ import annotations

import copy
import pickle
from typing import Any, ClassVar

import pytest

import skep
from skep.btf.hints import hints_of
from skep.btf.record import record_type
from skep.errors import TypeMismatchError


class Caller(skep.Record):
    calls: int
    comm: str = "?"
    limit: ClassVar[int] = 5

    @property
    def busy(self) -> bool:
        return self.calls > self.limit


class Wide(Caller, type_name="union wide"):
    more: int = 7


class Odd(skep.Record):
    class_: int
    __pad: int
    count_: int
    index: int
    bytes_: bytes


def test_made_by_name_or_in_order() -> None:
    one: Any = Caller(calls=7, comm="init")
    assert one == Caller(7, "init")
    assert one == Caller(7, comm="init")
    assert one == (7, "init")
    assert (one.calls, one.comm, one.busy, Caller(3).busy) == (7, "init", True, False)
    assert tuple(Caller(calls=1)) == (1, "?")
    calls, comm = one
    assert (calls, comm) == (7, "init")
    assert one.asdict() == {"calls": 7, "comm": "init"}
    assert repr(one) == "struct Caller {.calls = 7, .comm = 'init'}"
    assert len({one, Caller(7, "init"), Caller(8)}) == 2


def test_a_subclass_adds_members() -> None:
    wide: Any = Wide(1, more=2)
    assert wide == (1, "?", 2)
    assert repr(wide) == "union wide {.calls = 1, .comm = '?', .more = 2}"
    assert Wide(1).more == 7
    assert isinstance(wide, Caller)


def test_it_never_changes() -> None:
    one: Any = Caller(7)
    with pytest.raises(AttributeError):
        one.calls = 8
    with pytest.raises(AttributeError):
        one.other = 8
    assert one.replace(calls=8) == Caller(8)
    assert isinstance(one.replace(calls=8), Caller)
    with pytest.raises(TypeMismatchError, match="struct Caller has no member 'x'"):
        one.replace(x=1)


def test_names_that_python_keeps_or_changes() -> None:
    made: Any = Odd
    odd = made(class_=1, _Odd__pad=2, count_=3, index=4, bytes_=b"")
    assert Odd._fields == ("class", "__pad", "count", "index", "bytes")
    assert (odd.class_, getattr(odd, "class"), odd.count_, odd.index) == (1, 1, 3, 4)
    assert getattr(odd, "__pad") == 2
    assert odd == made(**{"class": 1, "__pad": 2, "count": 3, "index": 4, "bytes": b""})
    assert repr(odd) == (
        "struct Odd {.class = 1, .__pad = 2, .count = 3, .index = 4, .bytes = b''}"
    )


@pytest.mark.parametrize(
    ("values", "members", "message"),
    [
        ((), {}, "needs a value for its member 'calls'"),
        ((1, 2, 3), {}, "has 2 members, 3 values given"),
        ((1,), {"calls": 2}, "is given its member 'calls' twice"),
        ((), {"calls": 1, "cmm": "x"}, "has no member 'cmm'"),
        ((), {"cmm": 1, "x": 2}, "has no member 'cmm'"),
    ],
)
def test_wrong_members_are_named(
    values: tuple[Any, ...], members: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeMismatchError, match=f"struct Caller {message}") as caught:
        Caller(*values, **members)
    assert "its members are calls, comm" in caught.value.hint


@pytest.mark.parametrize(
    "record", [Caller(7, "a"), Wide(1, "b", 3), Odd(1, 2, 3, 4, b"")], ids=repr
)
def test_pickled_and_copied(record: skep.Record) -> None:
    for again in (pickle.loads(pickle.dumps(record)), copy.copy(record), copy.deepcopy(record)):
        assert again == record
        assert type(again) is type(record)


def test_generated_classes_are_as_they_were() -> None:
    made: Any = record_type("struct pair", ("low", "high"))
    pair = made((1, 2))
    assert (pair.low, pair.high, repr(pair)) == (1, 2, "struct pair {.low = 1, .high = 2}")
    assert pair.replace(high=3) == (1, 3)
    again = pickle.loads(pickle.dumps(pair))
    assert (again, repr(again)) == (pair, repr(pair))
    assert not hasattr(pair, "__dict__")


# What the file above cannot say: without ``from __future__ import annotations``.
LOOKED_UP = """
from typing import ClassVar
import skep

def made():
    class inner(skep.Record):
        low: int

    class outer(skep.Record):
        bytes: int
        comm: bytes = b"?"
        inside: inner = None
        limit: ClassVar[int] = 5
        quoted: "int" = 7

    return inner, outer
"""


def test_annotations_are_looked_up_where_the_class_stands() -> None:
    """Also where Python itself would look them up later, among the members (3.14)."""
    space: dict[str, Any] = {"__name__": __name__}
    exec(compile(LOOKED_UP, "<records>", "exec", dont_inherit=True), space)
    inner, outer = space["made"]()
    assert outer._fields == ("bytes", "comm", "inside", "quoted")
    assert outer(1) == (1, b"?", None, 7)
    assert outer.limit == 5
    assert hints_of(outer) == {"bytes": int, "comm": bytes, "inside": inner, "quoted": int}


class point(skep.Record):  # noqa: N801  C's name
    x: int
    class_: str


def test_patterns_take_members_in_order_and_by_name() -> None:
    other = record_type("struct other", ("x", "y"))
    generated: Any = tuple.__new__(other, (1, "a"))  # type: ignore[type-var]  # it is a tuple
    for made in (point(1, "a"), generated):
        match made:
            case point(1, "a") | other(1, "a"):
                pass
            case _:
                pytest.fail("no pattern matches")
    match point(1, "a"):
        case point(x=1, class_=found):
            assert found == "a"
