"""Histograms: bounds, differences, quantiles."""

from __future__ import annotations

import pytest

from skep.agent.families import Distribution, log2_bounds
from skep.agent.trend import merged


def test_log2_bounds_are_the_first_value_above_each_slot_in_seconds() -> None:
    assert log2_bounds(1e-6, 4) == (2e-6, 4e-6, 8e-6, 16e-6)
    assert log2_bounds(1e-9, 31)[9::10] == (1.024e-6, 0.001048576, 1.073741824)
    assert repr(log2_bounds(1e-6, 10)[-1]) == "0.001024"


def test_counts_must_fit_the_bounds() -> None:
    with pytest.raises(ValueError, match="3 bounds need 4 counts, not 3"):
        Distribution((1, 2, 3), (1, 2, 3), 0.0)


def test_since_subtracts_and_never_goes_below_zero() -> None:
    old = Distribution((1, 2), (1, 5, 0), 3.0)
    new = Distribution((1, 2), (4, 5, 2), 9.0)
    assert new.since(None) is new
    added = new.since(old)
    assert (added.counts, added.sum) == ((3, 0, 2), 6.0)
    assert old.since(new).counts == (0, 0, 0)


def test_quantiles_are_the_upper_bound_of_the_bucket() -> None:
    values = Distribution((1, 2, 4), (50, 49, 0, 1), 0.0)
    assert values.quantile(0.5) == 1
    assert values.quantile(0.51) == 2
    assert values.quantile(0.99) == 2
    assert values.quantile(1.0) == 4  # above every bound: at least that
    assert Distribution((1,), (0, 0), 0.0).quantile(0.5) is None


def test_merged_adds_bucket_by_bucket() -> None:
    both = merged([Distribution((1,), (1, 2), 3.0), Distribution((1,), (10, 20), 30.0)])
    assert both is not None
    assert (both.counts, both.sum) == ((11, 22), 33.0)
    assert merged([]) is None
