"""Means, pairs and the signed-rank test, against definitions and by their properties."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from search.insight.statistics import (
    differences,
    improvement_percent,
    least_pairs,
    mean_interval,
    mean_std,
    smallest_p,
    wilcoxon_p,
)

STEPS = st.integers(-4, 4).map(float)


def signed_rank_p(values: list[float]) -> float:
    """The test by its definition: the rank sum under every choice of signs, equal sizes sharing their ranks."""
    sizes = [abs(value) for value in values if value != 0]
    ranks = [sum(s < size for s in sizes) + (sum(s == size for s in sizes) + 1) / 2 for size in sizes]
    observed = sum(rank for rank, value in zip(ranks, (v for v in values if v != 0), strict=True) if value > 0)
    sums = [
        sum(r for r, up in zip(ranks, signs, strict=True) if up)
        for signs in itertools.product([0, 1], repeat=len(ranks))
    ]
    tails = (sum(each >= observed for each in sums), sum(each <= observed for each in sums))
    return min(1.0, 2 * min(tails) / len(sums))


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=8))
def test_p_is_exact_also_with_ties_and_zeros(values: list[float]) -> None:
    assert wilcoxon_p(values) == pytest.approx(signed_rank_p(values), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1, 1).filter(bool), min_size=2, max_size=40, unique_by=abs))
def test_p_is_scipys_where_all_sizes_differ(values: list[float]) -> None:
    assert wilcoxon_p(values) == pytest.approx(wilcoxon(values, method="exact").pvalue, abs=1e-12)


def test_p_of_many_pairs_is_near_the_normal_approximation() -> None:
    values = np.random.default_rng(0).normal(0.1, 1.0, size=300)
    assert wilcoxon_p(list(values)) == pytest.approx(wilcoxon(values, method="approx").pvalue, rel=0.02)


@settings(max_examples=40, deadline=None)
@given(st.lists(STEPS, max_size=8), st.integers(0, 3))
def test_p_knows_no_side_no_order_and_no_zeros(values: list[float], zeros: int) -> None:
    p = wilcoxon_p(values)
    assert 0 < p <= 1
    assert wilcoxon_p([-value for value in values]) == p
    assert wilcoxon_p([0.0] * zeros + values[::-1]) == pytest.approx(p, abs=1e-12)


@pytest.mark.parametrize("count", [0, 1, 5, 60])
def test_pairs_that_never_differ_show_nothing(count: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert wilcoxon_p([0.0] * count) == 1.0


@pytest.mark.parametrize("pairs", [1, 2, 5, 6, 12])
def test_no_result_of_so_many_pairs_has_a_smaller_p(pairs: int) -> None:
    assert wilcoxon_p([0.1 * (k + 1) for k in range(pairs)]) == pytest.approx(smallest_p(pairs))
    assert wilcoxon_p([0.1] * pairs) == pytest.approx(smallest_p(pairs))
    assert smallest_p(0) == smallest_p(1) == 1.0


def test_five_pairs_cannot_reach_five_percent_and_six_can() -> None:
    assert least_pairs(0.05) == 6
    assert smallest_p(5) == 0.0625 and smallest_p(6) == 0.03125
    assert (least_pairs(0.0625), least_pairs(1.0), least_pairs(0.001)) == (5, 1, 11)


@pytest.mark.parametrize("alpha", [0.0, -0.1, 1.5, math.nan])
def test_what_is_no_level_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="a level lies above 0"):
        least_pairs(alpha)


@given(st.floats(1e-300, 1.0))
def test_least_pairs_is_the_first_that_will_do(alpha: float) -> None:
    pairs = least_pairs(alpha)
    assert smallest_p(pairs) <= alpha and (pairs == 1 or smallest_p(pairs - 1) > alpha)


def test_equal_steps_are_equal_differences_whatever_the_rounding() -> None:
    first, second = [0.35, 0.4, 1.0, 35.0, 0.05], [0.3, 0.35, 0.95, 34.95, 0.1]
    assert len({a - b for a, b in zip(first, second, strict=True)}) > 2
    assert differences(first, second) == (0.05, 0.05, 0.05, 0.05, -0.05)


def test_pairs_are_whole() -> None:
    with pytest.raises(ValueError, match="shorter"):
        differences([1.0, 2.0], [1.0])


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0 + 4e-11), (123.0, 123.0 + 3e-9), (1e-7, 1e-7 + 3e-18)])
def test_a_difference_beyond_rounding_is_kept(a: float, b: float) -> None:
    (apart,) = differences([a], [b])
    assert apart == pytest.approx(a - b, rel=0.1)


@given(st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.floats(-1e9, 1e9)), max_size=6))
def test_differences_are_those_of_floats_but_for_their_last_digits(pairs: list[tuple[float, float]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    for a, b, apart in zip(first, second, differences(first, second), strict=True):
        assert apart == pytest.approx(a - b, rel=0, abs=1e-11 * max(abs(a), abs(b)))
        assert (apart == 0) <= (abs(a - b) <= 1e-11 * max(abs(a), abs(b)))


def test_mean_and_deviation_of_a_sample() -> None:
    assert mean_std([1.0, 2.0, 4.0]) == (pytest.approx(7 / 3), pytest.approx(math.sqrt(7 / 3)))
    assert mean_std([0.25]) == (0.25, None)
    with pytest.raises(ValueError, match="no value"):
        mean_std([])


def test_values_near_the_largest_float_end_no_comparison() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mean_std([1e308, 1.7e308])[0] > 1e308
        assert wilcoxon_p(differences([1e308, 1.0, 2.0], [-1e308, 0.0, 0.0])) == 0.25


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12))
def test_a_mean_lies_among_its_values(values: list[float]) -> None:
    mean, std = mean_std(values)
    room = 1e-9 * max(map(abs, values))
    assert min(values) - room <= mean <= max(values) + room
    assert (std is None) == (len(values) == 1) and (std is None or std >= 0)


@pytest.mark.parametrize(
    ("value", "baseline", "larger", "percent"),
    [
        (0.75, 0.5, True, 50.0),
        (0.25, 0.5, True, -50.0),
        (0.25, 0.5, False, 50.0),
        (0.1, -0.2, True, 150.0),
        (0.5, 0.0, True, None),
        (-0.3, -0.2, True, -50.0),
        (0.3, -0.2, False, -250.0),
    ],
)
def test_improvement_is_positive_where_better(
    value: float, baseline: float, larger: bool, percent: float | None
) -> None:
    found = improvement_percent(value, baseline, larger_is_better=larger)
    assert found == (None if percent is None else pytest.approx(percent))


def test_the_interval_is_students() -> None:
    low, high = mean_interval([1.0, 2.0, 3.0], 0.95) or (0, 0)
    # t of two degrees of freedom, 97.5 %
    assert (low + high) / 2 == pytest.approx(2.0) and (high - low) / 2 == pytest.approx(
        4.302652729696142 / math.sqrt(3)
    )
    assert mean_interval([0.5], 0.95) is None and mean_interval([], 0.95) is None
    assert mean_interval([0.25, 0.25], 0.95) == (0.25, 0.25)


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    drawn = [mean_interval(list(rng.normal(0.3, 1.0, size=5)), 0.95) or (1, 1) for _ in range(1000)]
    assert 0.93 < sum(low <= 0.3 <= high for low, high in drawn) / 1000 < 0.97
