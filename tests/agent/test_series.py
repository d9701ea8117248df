"""Totals: monotonic, bounded, and nothing is dropped between the kernel and the counter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skep.agent.series import OTHER, Totals


def test_growth_is_added_and_a_fall_counts_from_nothing() -> None:
    totals = Totals(10)
    totals.update({"a": 5, "b": 1}, 0.0)
    totals.update({"a": 7, "b": 1}, 1.0)
    assert totals.read() == {"a": 7, "b": 1}
    totals.update({"a": 3}, 2.0)  # the kernel forgot both, and has seen "a" again
    totals.update({"a": 3, "b": 4}, 3.0)
    assert totals.read() == {"a": 10, "b": 5}


def test_a_name_that_never_grew_takes_no_place() -> None:
    totals = Totals(10)
    totals.update({"a": 0}, 0.0)
    assert totals.read() == {}


def test_newcomers_count_under_other_when_all_places_are_taken() -> None:
    totals = Totals(2, idle=100)
    totals.update({"a": 1, "b": 1, "c": 4}, 0.0)
    totals.update({"a": 2, "b": 1, "c": 5}, 1.0)
    assert totals.read() == {"a": 2, "b": 1, OTHER: 5}


def test_an_idle_name_gives_its_place_and_its_total_to_others() -> None:
    totals = Totals(2, idle=100)
    totals.update({"a": 1, "b": 10}, 0.0)
    totals.update({"a": 2, "b": 10}, 99.0)
    totals.update({"a": 2, "b": 10, "c": 3}, 100.0)  # b has been idle for 100 s, a for 1
    assert totals.read() == {"a": 2, "c": 3, OTHER: 10}


def test_a_loaded_again_probe_starts_from_nothing() -> None:
    totals = Totals(2)
    totals.update({"a": 5}, 0.0)
    totals.forget_baseline()
    totals.update({"a": 6}, 1.0)
    assert totals.read() == {"a": 11}


@given(st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 50)), max_size=30))
def test_bounded_and_the_sum_is_what_the_kernel_counted(growths: list[dict[str, int]]) -> None:
    totals = Totals(3, idle=4)
    kernel: dict[str, int] = {}
    counted = 0
    seen = 0
    for now, growth in enumerate(growths):
        for name, amount in growth.items():
            kernel[name] = kernel.get(name, 0) + amount
            counted += amount
        totals.update(kernel, float(now))
        assert totals.sum == counted
        assert len(totals.read()) <= 4  # three names and "other"
        assert totals.read().get(OTHER, 0) >= seen  # which never falls
        seen = totals.read().get(OTHER, 0)
