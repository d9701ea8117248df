"""Histograms: slots, quantiles, differences."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from skep.tools.histogram import Histogram

VALUES = st.lists(st.integers(0, 2**40), min_size=1, max_size=60)


def counted(values: list[int], unit: str = "us") -> Histogram:
    """What `struct skep_hist` would hold after *values*."""
    counts = [0] * 64
    for value in values:
        counts[max(value, 1).bit_length() - 1] += 1
    return Histogram(counts, unit=unit, sum_ns=sum(values) * 1000)


def test_buckets_hold_their_bounds() -> None:
    """0 and 1 share the first slot; each further one doubles; the list ends with the last used."""
    histogram = counted([0, 1, 2, 3, 4, 7, 8])
    assert histogram.buckets() == [(0, 1, 2), (2, 3, 2), (4, 7, 2), (8, 15, 1)]
    assert histogram.total == 7
    assert Histogram([0] * 64, unit="us").buckets() == []


def test_records_of_all_cpus_are_added() -> None:
    """One record for each CPU makes one histogram."""
    one = SimpleNamespace(sum=1500, slots=(1, 2, 0) + (0,) * 61)
    other = SimpleNamespace(sum=500, slots=(0, 1, 1) + (0,) * 61)
    histogram = Histogram.from_records([one, other], unit="us", labels={"pid": 1})
    assert histogram.counts[:4] == (1, 3, 1, 0)
    assert histogram.sum_ns == 2000
    assert histogram.labels == {"pid": 1}


@given(VALUES)
def test_mean_is_exact(values: list[int]) -> None:
    """The mean comes from the sum, not from the slots."""
    expected = sum(values) / len(values)
    assert abs(counted(values).mean - expected) <= expected * 1e-9


@given(VALUES, st.floats(0.01, 1))
def test_quantile_lies_in_the_right_slot(values: list[int], share: float) -> None:
    """An estimate is within the slot in which the true quantile is."""
    histogram = counted(values)
    ordered = sorted(values)
    true = ordered[max(0, min(len(values) - 1, -(-int(share * len(values) * 1e9) // 10**9) - 1))]
    low = 0 if true < 2 else 1 << true.bit_length() - 1
    estimate = histogram.quantile(share)
    # One rank to either side, for the rounding of share * count.
    place = ordered.index(true)
    below, above = ordered[max(0, place - 1)], ordered[min(len(values) - 1, place + 1)]
    floor = min(low, 0 if below < 2 else 1 << below.bit_length() - 1)
    assert floor <= estimate <= 2 << max(above, 1).bit_length() - 1


@given(VALUES, VALUES)
def test_since_undoes_adding(first: list[int], second: list[int]) -> None:
    """What was added after a read is what a difference shows."""
    assert counted(first + second).since(counted(first)) == counted(second)


def test_since_takes_a_restart_for_new() -> None:
    """Counts that fell were counted anew."""
    now, before = counted([1, 1]), counted([1, 1, 1])
    assert now.since(before) == now
    assert now.since(None) == now


def test_key_leaves_the_name_out() -> None:
    """A process that changes its name by exec keeps its histogram."""
    one = Histogram([1], unit="us", labels={"pid": 7, "comm": "sh"})
    other = Histogram([1], unit="us", labels={"pid": 7, "comm": "ls"})
    assert one.key == other.key


def test_json_form() -> None:
    """Empty slots before the first value are left out, numbers keep their unit."""
    document = counted([4, 4, 9]).asdict()
    assert document["buckets"] == [
        {"low": 4, "high": 7, "count": 2},
        {"low": 8, "high": 15, "count": 1},
    ]
    assert (document["unit"], document["count"], document["sum_ns"]) == ("us", 3, 17_000)
