"""Top bin, non-top pool, draw, finer bins and closeness."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom

from licap.config import BetaConfig, BinsConfig, PretrainConfig
from licap.errors import DataError
from licap.sampling import HierarchicalSample, closeness, finer_bins, fitting_imp_ratio, sample_fold, top_bin

KINDS = ("length", "equal-width", "quantile")


def config(**changes: Any) -> PretrainConfig:
    return dataclasses.replace(PretrainConfig(), **changes)


def spread_labels(count: int, seed: int = 0) -> np.ndarray:
    return np.log1p(np.random.default_rng(seed).pareto(1.0, count) * 20).astype(np.float32)


def draw(labels: np.ndarray, wanted: PretrainConfig, trains: list[np.ndarray] | None = None) -> HierarchicalSample:
    return sample_fold(labels, trains or [np.arange(labels.size)], wanted)


# Whole numbers, so that ties at both borders are the rule.
tied_labels = arrays(np.float32, st.integers(30, 200), elements=st.integers(0, 12).map(float))
ratios = st.tuples(st.floats(0.05, 0.5), st.floats(1.1, 6.0))


@settings(deadline=None, max_examples=60)
@given(labels=tied_labels, ratios=ratios)
def test_sets_are_disjoint_and_cut_by_the_borders(labels: np.ndarray, ratios: tuple[float, float]) -> None:
    try:
        sample = draw(labels, config(imp_ratio=ratios[0], nontop_ratio=ratios[1]))
    except DataError:
        assume(False)
    top, pool, drawn = map(set, (sample.top.tolist(), sample.pool.tolist(), sample.drawn.tolist()))
    assert top == set(np.flatnonzero(labels >= sample.border))
    assert pool == set(np.flatnonzero((labels >= sample.border2) & (labels < sample.border)))
    assert not top & pool
    assert drawn <= pool
    assert len(sample.drawn) == len(drawn) == round(len(pool) / 2)
    assert len(top) >= min(round(ratios[0] * labels.size) + 1, labels.size)


@settings(deadline=None, max_examples=40)
@given(labels=tied_labels, gamma=st.floats(0.05, 0.5), kind=st.sampled_from(KINDS))
def test_bins_partition_the_top_nodes_in_order_of_their_labels(labels: np.ndarray, gamma: float, kind: str) -> None:
    try:
        sample = draw(labels, config(imp_ratio=gamma, bins=BinsConfig(kind=kind, length=0.7, count=2)))
    except DataError:
        assume(False)
    assert np.array_equal(sample.nonempty_bins, np.unique(sample.bin_of_top))
    assert np.array_equal(sample.nonempty_bins[sample.column_of_top], sample.bin_of_top)
    assert np.isin(sample.bin_of_top, sample.bins).all()
    order = np.argsort(labels[sample.top], kind="stable")
    assert (np.diff(sample.bin_of_top[order]) >= 0).all()
    assert sample.closeness_of_top.shape == (sample.top.size, sample.nonempty_bins.size)
    own = sample.closeness_of_top[np.arange(sample.top.size), sample.column_of_top]
    assert (own == 1).all()


def test_folds_draw_from_one_stream() -> None:
    labels = spread_labels(300)
    trains = [np.flatnonzero(np.arange(300) % 5 != fold) for fold in range(5)]
    stream = np.random.RandomState(3)
    for fold in range(5):
        sample = draw(labels, config(sampling_seed=3), trains[: fold + 1])
        expected = stream.choice(sample.pool, round(sample.pool.size / 2), replace=False)
        assert np.array_equal(sample.drawn, expected)


def test_a_fold_whose_predecessor_has_nothing_to_draw_is_still_drawn() -> None:
    labels = np.concatenate([np.full(40, 1.0), spread_labels(200)]).astype(np.float32)
    alone = draw(labels, config(), [np.arange(40, 240)])
    after = draw(labels, config(), [np.arange(40), np.arange(40, 240)])
    assert np.array_equal(alone.pool, after.pool)
    assert after.drawn.size == alone.drawn.size


def test_the_draw_is_half_of_the_pool_and_ties_join_the_top() -> None:
    labels = np.array([5, 5, 5, 3, 3, 2, 1, 1, 0, 0], dtype=np.float32)
    sample = draw(labels, config(imp_ratio=0.1, nontop_ratio=4.0))
    assert (sample.border, sample.border2) == (5, 3)
    assert sample.top.tolist() == [0, 1, 2]
    assert sample.pool.tolist() == [3, 4]
    assert sample.drawn.size == 1


IMPOSSIBLE = {
    "no top": (spread_labels(5), {"imp_ratio": 0.05}, "at least 2.*pretrain.imp_ratio"),
    "one label": (np.full(60, 2.0, dtype=np.float32), {}, "all 60 training nodes.*1 distinct labels among 60"),
    "mostly zeros": (
        np.append(np.zeros(190), np.arange(1, 11)).astype(np.float32),
        {},
        "all 200 training nodes.*190 of them have the label at its border, 0.*Lower pretrain.imp_ratio to 0.047",
    ),
    "ties beyond the pool": (
        np.repeat(np.arange(3, dtype=np.float32), [30, 60, 10]),
        {},
        "holds 0 of 100.*60 of them have.*border, 1.*Raise pretrain.nontop_ratio to 7, or lower .*imp_ratio to 0.094",
    ),
    "one below": (np.append(np.ones(59), 0).astype(np.float32), {}, "holds 0 of 60.*2 distinct labels among 60"),
    "ratio of nearly one": (spread_labels(60), {"imp_ratio": 0.999}, "all 60 training nodes"),
    "empty pool": (spread_labels(60), {"imp_ratio": 0.1, "nontop_ratio": 1.01}, "Raise pretrain.nontop_ratio"),
    "pool of one": (spread_labels(60), {"imp_ratio": 0.1, "nontop_ratio": 1.2}, "holds 1 of 60"),
    "too many quantiles": (
        spread_labels(60),
        {"bins": BinsConfig(kind="quantile", count=50)},
        "count is 50, but the top bin holds only 7 nodes",
    ),
    "too many widths": (
        spread_labels(60),
        {"bins": BinsConfig(kind="equal-width", count=8)},
        "pretrain.bins.count, or raise pretrain.imp_ratio",
    ),
    "tiny length": (spread_labels(60), {"bins": BinsConfig(length=1e-12)}, "Raise pretrain.bins.length"),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_samples_say_which_key_to_change(name: str) -> None:
    labels, changes, message = IMPOSSIBLE[name]
    with pytest.raises(DataError, match=message):
        draw(labels, config(**changes))


@settings(deadline=None, max_examples=60)
@given(labels=tied_labels, ratios=ratios)
def test_the_ratios_that_a_message_names_work(labels: np.ndarray, ratios: tuple[float, float]) -> None:
    wanted = config(imp_ratio=ratios[0], nontop_ratio=ratios[1])
    fitting = fitting_imp_ratio(labels, [np.arange(labels.size)], imp_ratio=ratios[0], nontop_ratio=ratios[1])
    try:
        draw(labels, wanted)
    except DataError as error:
        named = dict(
            re.findall(r"(?:[Ll]ower|[Rr]aise) pretrain\.(imp_ratio|nontop_ratio) to ([\d.e-]*\d)", str(error))
        )
        assert named or np.unique(labels).size < 3 or "No ratio fits" in str(error)
        assert ("imp_ratio" in named) == (fitting is not None)
        for key, value in named.items():
            draw(labels, dataclasses.replace(wanted, **{key: float(value)}))
    else:
        assert fitting == ratios[0]


def test_a_ratio_that_fits_has_its_sets_in_every_fold() -> None:
    labels = np.append(np.zeros(950), 1 + np.arange(50) % 7).astype(np.float32)
    trains = [np.flatnonzero(np.arange(1000) % 10 >= cut) for cut in (3, 4)]
    found = fitting_imp_ratio(labels, trains, imp_ratio=0.1, nontop_ratio=5.0)
    assert found == 0.049
    for train in trains:
        draw(labels, config(imp_ratio=found), [train])


def test_two_top_nodes_and_two_to_draw_from_are_enough() -> None:
    labels = np.array([2.0, 2.0, 1.0, 1.0] + [0.0] * 46, dtype=np.float32)
    found = fitting_imp_ratio(labels, [np.arange(50)], imp_ratio=0.02, nontop_ratio=2.5)
    assert found == 0.02
    sample = draw(labels, config(imp_ratio=found, nontop_ratio=2.5))
    assert (sample.top.tolist(), sample.pool.tolist(), sample.drawn.size) == ([0, 1], [2, 3], 1)
    # One more or less of either leaves nothing to contrast.
    for wrong in (np.delete(labels, 0), np.delete(labels, 3)):
        with pytest.raises(DataError):
            draw(wrong, config(imp_ratio=0.01, nontop_ratio=2.5))


def test_the_top_bin_alone_is_that_of_the_sample() -> None:
    labels = spread_labels(200)
    sample = draw(labels, config(imp_ratio=0.07))
    border, top = top_bin(labels, 0.07)
    assert border == sample.border
    assert top.tolist() == labels[sample.top].tolist()


def test_no_training_nodes_are_refused() -> None:
    with pytest.raises(DataError, match="0 of 0 training nodes"):
        draw(spread_labels(10), config(), [np.array([], dtype=np.int64)])


def test_a_label_on_a_bound_belongs_to_the_bin_below() -> None:
    t = np.array([0.0, 0.25, 0.5, np.nextafter(np.float32(0.5), np.float32(1)), 1.0, 1.75], dtype=np.float32)
    bins, count = finer_bins(t, BinsConfig(kind="length", length=0.5))
    assert bins.tolist() == [0, 0, 0, 1, 1, 3]
    assert count == 4


def test_a_length_that_float32_cannot_hold_still_closes_at_its_bound() -> None:
    t = (np.arange(0, 40) * 0.1).astype(np.float32)
    bins, count = finer_bins(t, BinsConfig(kind="length", length=0.1))
    assert bins.tolist() == [0, *range(39)]
    assert count == 39


@settings(deadline=None, max_examples=40)
@given(t=arrays(np.float32, st.integers(1, 80), elements=st.floats(0, 20, width=32)), length=st.floats(1e-3, 30.0))
def test_as_many_bins_as_reach_the_largest_label(t: np.ndarray, length: float) -> None:
    t[0] = 0
    bins, count = finer_bins(t, BinsConfig(kind="length", length=length))
    assert bins[0] == 0
    assert bins.max() == count - 1
    bounds = (np.arange(count + 1) * length).astype(np.float32)
    inside = (bounds[bins] < t) & (t <= bounds[bins + 1])
    assert (inside | ((t == 0) & (bins == 0))).all()


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_equal_width_bins_have_one_width(scale: float) -> None:
    t = np.array([0, 1, 2.5, 3.5, 4.5, 10], dtype=np.float32) * np.float32(scale)
    bins, count = finer_bins(t, BinsConfig(kind="equal-width", count=5))
    assert (bins.tolist(), count) == ([0, 0, 1, 1, 2, 4], 5)


@settings(deadline=None, max_examples=40)
@given(size=st.integers(1, 100), count=st.integers(1, 100))
def test_quantile_bins_hold_equal_numbers_where_labels_differ(size: int, count: int) -> None:
    assume(count <= size)
    t = np.random.default_rng(size).permutation(size).astype(np.float32)
    bins, found = finer_bins(t, BinsConfig(kind="quantile", count=count))
    if size > 1:
        assert found == count
        assert np.ptp(np.bincount(bins, minlength=count)) <= 1


def test_equal_labels_share_a_quantile_bin() -> None:
    bins, count = finer_bins(np.array([0, 2, 2, 2, 2, 3], dtype=np.float32), BinsConfig(kind="quantile", count=3))
    assert (bins.tolist(), count) == ([0, 0, 0, 0, 0, 2], 3)


@pytest.mark.parametrize("kind", KINDS)
def test_top_nodes_of_one_label_are_one_bin(kind: str) -> None:
    labels = np.concatenate([np.full(10, 4.0), spread_labels(90) / 10]).astype(np.float32)
    sample = draw(labels, config(imp_ratio=0.05, bins=BinsConfig(kind=kind, count=4)))
    assert sample.bins.tolist() == sample.nonempty_bins.tolist() == [0]
    assert (sample.closeness_of_top == 1).all()


@settings(deadline=None, max_examples=40)
@given(num_bins=st.integers(1, 40), p=st.floats(0.01, 0.99), scale=st.floats(1.0, 8.0))
def test_closeness_lies_in_zero_to_one_and_each_row_reaches_one(num_bins: int, p: float, scale: float) -> None:
    beta = closeness(num_bins, p=p, scale=scale)
    assert beta.shape == (num_bins, num_bins)
    assert beta.dtype == np.float64
    assert (beta.max(axis=1) == 1).all()
    assert (beta >= 0).all()


@settings(deadline=None, max_examples=40)
@given(num_bins=st.integers(1, 40), p=st.floats(0.01, 0.5), scale=st.floats(1.0, 8.0))
def test_closeness_falls_with_distance_up_to_one_half(num_bins: int, p: float, scale: float) -> None:
    beta = closeness(num_bins, p=p, scale=scale)
    assert (np.diag(beta) == 1).all()
    for row in range(num_bins):
        assert (np.diff(beta[row, row:]) < 0).all()
        assert (np.diff(beta[row, row::-1]) < 0).all()


@settings(deadline=None, max_examples=40)
@given(num_bins=st.integers(1, 30), p=st.floats(0.01, 0.99), scale=st.floats(1.0, 8.0))
def test_closeness_does_not_know_up_from_down(num_bins: int, p: float, scale: float) -> None:
    beta = closeness(num_bins, p=p, scale=scale)
    np.testing.assert_allclose(beta, beta[::-1, ::-1], rtol=1e-12)
    for row in range(num_bins):
        reach = min(row, num_bins - 1 - row)
        np.testing.assert_array_equal(beta[row, row - reach : row + 1], beta[row, row : row + reach + 1][::-1])


@pytest.mark.parametrize("p", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("scale", [1.0, 1.5, 3.0])
def test_closeness_is_the_binomial_divided_by_its_largest(p: float, scale: float) -> None:
    beta = closeness(6, p=p, scale=scale)
    for b in range(6):
        trials = 2 * round(scale * max(b, 5 - b))
        row = binom.pmf(trials / 2 + np.abs(b - np.arange(6)), trials, p)
        np.testing.assert_allclose(beta[b], row / row.max(), rtol=1e-10)


def test_closeness_of_very_many_trials_does_not_vanish() -> None:
    beta = closeness(5, p=0.5, scale=1e6)
    assert beta.min() > 0.999
    assert closeness(3, p=0.01, scale=1e6)[0, 1] == pytest.approx(1 / 99, rel=1e-3)


def test_an_empty_bin_has_no_column_and_keeps_its_index() -> None:
    labels = np.concatenate([np.linspace(0, 1, 40), [4.0, 4.5, 6.9, 7.0]]).astype(np.float32)
    sample = draw(labels, config(imp_ratio=0.07, bins=BinsConfig(length=1.0)))
    assert sample.bins.tolist() == [0, 1, 2]
    assert sample.nonempty_bins.tolist() == [0, 2]
    np.testing.assert_allclose(sample.closeness_of_top[0], closeness(3, p=0.5, scale=1.0)[0, [0, 2]])


def test_without_beta_all_bins_are_equally_close() -> None:
    sample = draw(spread_labels(400), config(beta=BetaConfig(kind="none")))
    assert sample.nonempty_bins.size > 1
    assert sample.closeness_of_top.shape == (sample.top.size, sample.nonempty_bins.size)
    assert (sample.closeness_of_top == 1).all()


def test_beta_of_the_config_reaches_the_sample() -> None:
    labels = spread_labels(400)
    flat = draw(labels, config(beta=BetaConfig(scale=50.0))).closeness_of_top
    steep = draw(labels, config(beta=BetaConfig(p=0.1))).closeness_of_top
    assert flat.min() > draw(labels, config()).closeness_of_top.min() > steep.min()


@pytest.mark.parametrize(("num_bins", "p", "scale"), [(0, 0.5, 1.0), (3, 0.0, 1.0), (3, 1.0, 1.0), (3, 0.5, 0.9)])
def test_closeness_refuses_what_is_no_binomial(num_bins: int, p: float, scale: float) -> None:
    with pytest.raises(ValueError, match="needs num_bins"):
        closeness(num_bins, p=p, scale=scale)
