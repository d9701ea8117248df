"""Searching memory: the C library's way and Python's give the same."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.btf import search
from skep.btf.search import Memory, Words, bisect_right, position

HAYSTACKS = st.binary(max_size=60) | st.text("ab\0", max_size=60).map(str.encode)


@pytest.fixture(scope="module", params=["C", "Python"], autouse=True)
def way(request: pytest.FixtureRequest) -> object:
    """Search with the C library, and without."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "Python":
            patch.setattr(search, "_function", lambda *_: None)
        yield request.param


@given(HAYSTACKS, st.binary(min_size=1, max_size=3) | st.just(b"ab"), st.integers(0, 70))
def test_find_is_that_of_bytes(data: bytes, needle: bytes, start: int) -> None:
    assert Memory.of(data).find(needle, start) == data.find(needle, start)


@given(HAYSTACKS, st.integers(0, 60), st.integers(0, 60))
def test_a_part_ends_where_it_should(data: bytes, one: int, other: int) -> None:
    start, stop = sorted((min(one, len(data)), min(other, len(data))))
    part = Memory.of(data).part(start, stop)
    assert bytes(part.data) == data[start:stop]
    assert len(part) == stop - start
    assert part.find(b"a") == data[start:stop].find(b"a")
    assert part.find(b"\0b") == data[start:stop].find(b"\0b")


@given(st.integers(0, 5000), st.integers(0, 40))
def test_text_ends_at_the_first_nul(length: int, start: int) -> None:
    data = b"x" * length + b"\0tail"
    expected = b"x" * (length - start) if start <= length else None
    assert Memory.of(data).text(start) == expected
    assert Memory.of(data).text(len(data) + start) is None


@given(st.lists(st.sampled_from([0, 1, 255, 256, 65536, 1 << 31, (1 << 32) - 1]), max_size=50))
def test_words_are_found_at_every_index(values: list[int]) -> None:
    words = Words(Memory.of(array("I", values).tobytes()))
    for value in (0, 1, 256, (1 << 32) - 1):
        assert list(words.indices(value)) == [i for i, word in enumerate(values) if word == value]


def test_words_that_are_not_aligned() -> None:
    data = b"x" + array("I", [7, 8, 7]).tobytes()
    assert list(Words(Memory.of(data).part(1, 13)).indices(7)) == [0, 2]


@given(st.lists(st.integers(0, 20), max_size=30), st.integers(-1, 21))
def test_bisection(numbers: list[int], value: int) -> None:
    import bisect

    numbers.sort()
    assert bisect_right(numbers, value) == bisect.bisect_right(numbers, value)
    numbers = sorted(set(numbers))
    assert position(numbers, value) == (numbers.index(value) if value in numbers else -1)
