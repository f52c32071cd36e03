"""Labels and folds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from licap.errors import DataError
from licap.splits import Split, make_split, transform_labels


def parts(split: Split) -> list[np.ndarray]:
    return [split.train, split.val, split.test]


@settings(deadline=None, max_examples=40)
@given(valid=arrays(bool, st.integers(40, 400)), fold=st.integers(0, 4), seed=st.integers(0, 2**32 - 1))
def test_each_valid_node_is_in_exactly_one_part(valid: np.ndarray, fold: int, seed: int) -> None:
    valid[:30] = True
    split = make_split(valid, fold=fold, seed=seed)
    assert np.array_equal(np.sort(np.concatenate(parts(split))), np.flatnonzero(valid))
    for part in parts(split):
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()


@settings(deadline=None, max_examples=40)
@given(count=st.integers(30, 3000), seed=st.integers(0, 2**32 - 1))
def test_parts_have_the_published_shares_to_a_node_or_two(count: int, seed: int) -> None:
    for fold in range(5):
        split = make_split(np.ones(count, bool), fold=fold, seed=seed)
        for part, share in zip(parts(split), (0.7, 0.1, 0.2), strict=True):
            assert abs(part.size - share * count) <= 2


@settings(deadline=None, max_examples=40)
@given(count=st.integers(30, 500))
def test_the_five_folds_test_every_node(count: int) -> None:
    tested = [make_split(np.ones(count, bool), fold=fold, seed=0).test for fold in range(5)]
    assert np.array_equal(np.unique(np.concatenate(tested)), np.arange(count))


def test_a_node_on_a_bound_is_tested_by_both_folds_beside_it() -> None:
    # 101 nodes sit on 0.00, 0.01, ...: one of them on 0.2, where fold 0 ends and fold 1 begins.
    first, second = (make_split(np.ones(101, bool), fold=fold, seed=0).test for fold in (0, 1))
    assert np.intersect1d(first, second).size == 1


# Of 101 nodes, which sit on 0.00 to 1.00: the places that each fold tests and validates, ends included. The 70th sits a
# rounding error above 0.7, and trains.
HUNDREDTHS = {
    0: ((0, 20), (21, 30)),
    1: ((20, 40), (41, 50)),
    2: ((40, 60), (61, 69)),
    3: ((60, 80), (81, 90)),
    4: ((80, 100), (0, 10)),
}


@pytest.mark.parametrize("fold", HUNDREDTHS)
def test_a_node_on_a_bound_is_on_the_published_side_of_it(fold: int) -> None:
    places, split = np.random.RandomState(5).permutation(101), make_split(np.ones(101, bool), fold=fold, seed=5)
    for part, (first, last) in zip((split.test, split.val), HUNDREDTHS[fold], strict=True):
        assert sorted(places[part]) == list(range(first, last + 1))


def test_folds_depend_on_which_nodes_are_valid_by_order_only() -> None:
    spread = np.zeros(200, bool)
    spread[::2] = True
    dense = make_split(np.ones(100, bool), fold=2, seed=7)
    assert all(
        np.array_equal(2 * a, b) for a, b in zip(parts(dense), parts(make_split(spread, fold=2, seed=7)), strict=True)
    )


def test_another_seed_gives_other_folds() -> None:
    first, second = (make_split(np.ones(300, bool), fold=0, seed=seed).test for seed in (0, 1))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("fold", range(5))
@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_nodes_are_refused_with_their_number(count: int, fold: int) -> None:
    with pytest.raises(DataError, match=f"^{count} labelled nodes"):
        make_split(np.ones(count, bool), fold=fold, seed=0)


@pytest.mark.parametrize("fold", [-1, 5])
def test_there_are_five_folds(fold: int) -> None:
    with pytest.raises(ValueError, match="0 to 4"):
        make_split(np.ones(100, bool), fold=fold, seed=0)


@settings(deadline=None)
@given(raw=arrays(np.float32, st.integers(0, 60), elements=st.floats(0, 2.0**100, width=32)))
def test_labels_are_the_logarithm_of_one_plus_the_score(raw: np.ndarray) -> None:
    labels = transform_labels(raw)
    assert labels.dtype == np.float32
    np.testing.assert_allclose(labels, np.log1p(raw.astype(np.float64)), rtol=6e-8, atol=2e-45)
    assert (labels >= 0).all()


@pytest.mark.parametrize("unit", [1e-8, 3.7e-12, 1e-30, 1e-38, 0.25, 1000.0])
def test_scores_that_differ_have_labels_that_differ_however_small_they_are(unit: float) -> None:
    raw = (unit * np.arange(1, 121)).astype(np.float32)
    labels = transform_labels(raw)
    assert (np.diff(labels) > 0).all()
    if unit < 1e-7:
        np.testing.assert_allclose(labels, raw, rtol=1e-6)


def test_a_label_depends_on_the_score_and_not_on_its_place() -> None:
    rng = np.random.default_rng(0)
    raw = (rng.pareto(1.0, 20_000) * 100).astype(np.float32)
    order = rng.permutation(raw.size)
    assert np.array_equal(transform_labels(raw)[order], transform_labels(raw[order]))
    assert np.array_equal(transform_labels(raw)[3:], transform_labels(raw[3:].copy()))


@pytest.mark.parametrize("wrong", [-1.0, -1e-3, np.nan, np.inf, -np.inf, 1e39])
def test_scores_that_have_no_label_are_refused_with_their_node(wrong: float) -> None:
    with pytest.raises(DataError, match=r"importance of node 2 is .*1 such"):
        transform_labels(np.array([1.0, 0.0, wrong, 5.0]))
