"""Kendall's tau and its bootstrap interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from search.insight.agreement import kendall_tau, tau_interval

RANKINGS = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=20)


@given(pairs=RANKINGS)
def test_tau_is_scipys_with_ties_too(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs, np.float64).T
    ours, theirs = kendall_tau(a, b), float(kendalltau(a, b).statistic)
    assert (ours is None) == bool(np.isnan(theirs))
    if ours is not None:
        assert ours == pytest.approx(theirs, abs=1e-12)


def test_tau_says_alike_reversed_and_nothing() -> None:
    a = np.arange(5.0)
    assert kendall_tau(a, a**3) == 1.0 and kendall_tau(a, -a) == -1.0
    assert kendall_tau(a, np.ones(5)) is None


def test_the_interval_is_that_of_samples_drawn_with_replacement() -> None:
    rng = np.random.default_rng(3)
    a = rng.normal(size=40)
    b = a + rng.normal(size=40)
    drawn = [float(kendalltau(a[each], b[each]).statistic) for each in rng.integers(40, size=(2000, 40))]
    found = tau_interval(a, b, level=0.95, draws=2000, seed=0)
    assert found == pytest.approx(np.quantile(drawn, (0.025, 0.975)), abs=0.03)


def test_the_interval_follows_from_the_seed_and_holds_tau() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 25))
    first, again, other = (tau_interval(a, b, level=0.95, draws=300, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    assert first is not None and first[0] < (kendall_tau(a, b) or 0) < first[1]


def test_without_an_order_there_is_no_interval() -> None:
    assert tau_interval(np.ones(4), np.arange(4.0), level=0.95, draws=50, seed=0) is None


def test_perfect_agreement_has_no_spread() -> None:
    assert tau_interval(np.arange(6.0), np.arange(6.0), level=0.95, draws=200, seed=0) == pytest.approx((1.0, 1.0))
