"""Metrics: values, ranges, ties, degenerate input."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections.abc import Iterable
from functools import partial
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr
from sklearn.metrics import ndcg_score

from licap.errors import ConfigError
from licap.metrics import BY_LABEL_TIES, METRICS, evaluate, metric, notes

# Few different values and many: ties are the rule in one, absent in the other.
values = st.one_of(st.integers(0, 4).map(float), st.floats(0, 20, width=32))
predictions = st.one_of(st.integers(-2, 2).map(float), st.floats(-1e30, 1e30), st.sampled_from([1.7e308, -1.7e308]))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    size = draw(st.integers(1, 80))
    return draw(arrays(np.float64, size, elements=values)), draw(arrays(np.float64, size, elements=predictions))


@settings(deadline=None, max_examples=40)
@given(pair=pairs())
def test_every_value_is_finite_and_in_its_range(pair: tuple[np.ndarray, np.ndarray]) -> None:
    found = evaluate(*pair)
    assert list(found) == list(METRICS)
    for name, value in found.items():
        assert type(value) is float
        assert math.isfinite(value)
        assert METRICS[name].low <= value <= METRICS[name].high


@settings(deadline=None, max_examples=40)
@given(true=arrays(np.float64, st.integers(2, 300), elements=values))
def test_perfect_predictions_get_the_best_values(true: np.ndarray) -> None:
    found = evaluate(true, true)
    assert found["rmse"] == found["median_ae"] == 0
    worse = evaluate(true, -true)
    for name in (name for name in found if name.startswith("overlap")):
        assert worse[name] <= found[name] == evaluate(true, true * 2)[name]
        ordered = np.sort(true)[::-1]
        k = min(METRICS[name].cutoff or 0, true.size)
        if k == true.size or ordered[k - 1] > ordered[k]:
            assert found[name] == 1
    assert all(evaluate(true, true, label_ties="position")[name] == 1 for name in found if name.startswith("overlap"))
    if true.max() > 0:
        assert all(found[name] == 1 for name in found if name.startswith("ndcg"))
    if true.min() < true.max():
        assert found["spearman"] == pytest.approx(1)


def test_each_metric_is_declared_as_the_field_uses_it() -> None:
    declared = {
        "rmse": ("RMSE", "min", 0.0, math.inf, math.inf, None),
        "median_ae": ("MedianAE", "min", 0.0, math.inf, math.inf, None),
        "spearman": ("Spearman", "max", -1.0, 1.0, -1.0, None),
    }
    for name, label in (("ndcg", "NDCG"), ("overlap", "Overlap")):
        declared |= {f"{name}@{k}": (f"{label}@{k}", "max", 0.0, 1.0, 0.0, k) for k in (20, 50, 100, 200)}
    for metrics in BY_LABEL_TIES.values():
        assert {
            name: (each.label, each.direction, each.low, each.high, each.worst, each.cutoff)
            for name, each in metrics.items()
        } == declared
        assert all(each.name == name for name, each in metrics.items())


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e300])
def test_errors_are_those_of_the_formula(scale: float) -> None:
    true, predicted = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([1.5, 2.0, 1.0, 4.25, 9.0])
    found = evaluate(true * scale, predicted * scale, ["rmse", "median_ae"])
    # Errors 0.5, 0, 2, 0.25 and 4: squares sum to 20.3125.
    assert found["rmse"] == pytest.approx(math.sqrt(20.3125 / 5) * scale, rel=1e-12)
    assert found["median_ae"] == pytest.approx(0.5 * scale, rel=1e-12)
    # Between the two in the middle where there are as many on either side.
    assert evaluate(true[1:], predicted[1:], ["median_ae"])["median_ae"] == pytest.approx(1.125, rel=1e-12)


@settings(deadline=None, max_examples=40)
@given(pair=pairs())
def test_spearman_is_scipys(pair: tuple[np.ndarray, np.ndarray]) -> None:
    true, predicted = pair
    if true.min() == true.max() or predicted.min() == predicted.max():
        assert evaluate(true, predicted)["spearman"] == METRICS["spearman"].worst == -1
    else:
        assert evaluate(true, predicted)["spearman"] == pytest.approx(spearmanr(true, predicted).statistic, abs=1e-12)


@pytest.mark.parametrize("k", [20, 50, 100, 200])
def test_ndcg_is_sklearns_where_nothing_is_tied(k: int) -> None:
    rng = np.random.default_rng(k)
    true, predicted = rng.gamma(2.0, 2.0, 250), rng.normal(size=250)
    assert evaluate(true, predicted)[f"ndcg@{k}"] == pytest.approx(ndcg_score([true], [predicted], k=k), rel=1e-12)


def test_overlap_counts_common_nodes_of_the_best_k() -> None:
    true = np.arange(100.0)
    predicted = true.copy()
    predicted[80:85] = -1
    assert evaluate(true, predicted, ["overlap@20"]) == {"overlap@20": 0.75}


@pytest.mark.parametrize("ascending", [True, False])
def test_predictions_that_tell_nothing_apart_gain_nothing_from_the_order_of_nodes(ascending: bool) -> None:
    true = np.arange(1.0, 101.0) if ascending else np.arange(100.0, 0.0, -1)
    constant, worst = evaluate(true, np.full(100, 3.0)), evaluate(true, -true)
    for name in ("spearman", "ndcg@20", "overlap@20", "overlap@50"):
        assert constant[name] == worst[name]
    assert constant["overlap@20"] == 0


def orders(size: int) -> Iterable[list[int]]:
    return (list(order) for order in itertools.permutations(range(size)))


def at(name: str, true: np.ndarray, predicted: np.ndarray, k: int, label_ties: str = "mean") -> float:
    """A metric with any k."""
    compute = cast("partial[float]", BY_LABEL_TIES[label_ties][f"{name}@20"].compute)
    return compute.func(true, predicted, k=k)


@settings(deadline=None, max_examples=40)
@given(
    pair=st.integers(1, 5).flatmap(
        lambda n: st.tuples(arrays(np.float64, n, elements=st.integers(0, 2)), st.permutations(range(n)))
    ),
    k=st.integers(1, 5),
)
def test_overlap_is_the_mean_over_all_choices_of_the_true_top(pair: tuple[np.ndarray, list[int]], k: int) -> None:
    true, predicted = pair[0], np.array(pair[1], dtype=float)
    # Without ties among predictions, the order of nodes chooses the true top.
    by_position = [at("overlap", true[order], predicted[order], k, "position") for order in orders(true.size)]
    assert at("overlap", true, predicted, k) == pytest.approx(np.mean(by_position), abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(
    pair=st.integers(1, 5).flatmap(
        lambda n: st.tuples(*[arrays(np.float64, n, elements=st.integers(0, 2))] * 2)  # type: ignore[arg-type]
    ),
    k=st.integers(1, 5),
    name=st.sampled_from(["ndcg", "overlap"]),
)
def test_equal_predictions_get_the_value_of_their_worst_order(
    pair: tuple[np.ndarray, np.ndarray], k: int, name: str
) -> None:
    true, predicted = pair
    untied = [
        at(name, true, np.argsort(np.lexsort((order, predicted))).astype(float), k) for order in orders(true.size)
    ]
    assert at(name, true, predicted, k) == pytest.approx(min(untied), abs=1e-12)


@settings(deadline=None, max_examples=100)
@given(pair=pairs(), seed=st.integers(0, 1000))
def test_no_metric_depends_on_the_order_of_nodes(pair: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    true, predicted = pair
    order = np.random.default_rng(seed).permutation(true.size)
    assert evaluate(true, predicted) == evaluate(true[order], predicted[order])
    assert notes(true, predicted) == notes(true[order], predicted[order])


@pytest.mark.parametrize("size", [300, 5000])
def test_the_order_of_many_nodes_does_not_move_the_last_bit(size: int) -> None:
    rng = np.random.default_rng(size)
    true, predicted = np.log1p(rng.poisson(3.0, size)), rng.normal(size=size).round(2)
    found = evaluate(true, predicted)
    for order in (rng.permutation(size) for _ in range(20)):
        assert evaluate(true[order], predicted[order]) == found


def test_a_random_order_has_its_share_of_overlap_whatever_is_tied() -> None:
    rng = np.random.default_rng(0)
    few_scores = np.zeros(1000)
    few_scores[:30] = rng.gamma(2.0, 2.0, 30)
    values = [
        evaluate(few_scores, rng.permutation(np.arange(1000.0)), ["overlap@100"])["overlap@100"] for _ in range(300)
    ]
    assert np.mean(values) == pytest.approx(0.1, abs=0.005)


def test_predictions_that_tell_nothing_apart_gain_nothing_from_ties_among_labels() -> None:
    few_scores = np.zeros(1000)
    few_scores[:30] = 1.0
    # The top 100 are those 30 and 70 of the other 970.
    assert evaluate(few_scores, np.zeros(1000))["overlap@100"] == pytest.approx(70 / 970)
    assert evaluate(few_scores, few_scores)["overlap@100"] == pytest.approx((30 + 70 * 70 / 970) / 100)


def test_by_position_the_first_of_equal_labels_are_on_top() -> None:
    true = np.zeros(40)
    for predicted, expected in ((-np.arange(40.0), 1), (np.arange(40.0), 0)):
        assert evaluate(true, predicted, ["overlap@20"], label_ties="position") == {"overlap@20": expected}
        assert evaluate(true, predicted, ["overlap@20"]) == {"overlap@20": 0.5}


def test_labels_of_zero_leave_nothing_to_gain() -> None:
    assert evaluate(np.zeros(30), np.arange(30.0), ["ndcg@20"]) == {"ndcg@20": 0.0}
    assert any("nothing to gain" in note for note in notes(np.zeros(30), np.arange(30.0)))


def test_negative_gains_are_refused() -> None:
    with pytest.raises(ValueError, match="NDCG needs labels of at least 0"):
        evaluate([-0.5, 1.0], [0.0, 1.0])
    assert evaluate([-0.5, 1.0], [0.0, 1.0], ["spearman"])["spearman"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("true", "predicted", "message"),
    [
        ([], [], "no nodes"),
        ([1.0, 2.0], [1.0], "one length"),
        ([[1.0]], [[1.0]], "two lists"),
        ([1.0, 2.0], [1.0, np.nan], "predictions must be finite"),
        ([1.0, 2.0], [np.inf, 1.0], "predictions must be finite"),
        ([np.nan, 2.0], [1.0, 1.0], "labels must be finite"),
    ],
)
@pytest.mark.parametrize("function", [evaluate, notes])
def test_what_cannot_be_measured_is_refused(function: object, true: list, predicted: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(true, predicted)  # type: ignore[operator]


def test_there_is_nothing_to_note_about_ordinary_predictions() -> None:
    rng = np.random.default_rng(0)
    assert notes(rng.gamma(2.0, 2.0, 300), rng.normal(size=300)) == ()


def test_notes_flag_what_is_constant() -> None:
    ramp, flat = np.arange(300.0), np.ones(300)
    assert [note.split(".")[0] for note in notes(ramp, flat)] == ["ranks undefined: all predictions are equal"]
    assert [note.split(".")[0] for note in notes(flat, ramp)] == ["ranks undefined: all labels are equal"]


def test_notes_name_capped_cutoffs_and_overlaps_that_are_trivially_one() -> None:
    capped, trivial = notes(np.arange(60.0), np.arange(60.0))
    assert capped == "k is capped at the number of nodes, 60: NDCG@100, NDCG@200, Overlap@100, Overlap@200"
    assert trivial == "can only be 1 with 60 nodes: Overlap@100, Overlap@200"
    (trivial,) = notes(np.arange(50.0), np.arange(50.0), ["ndcg@50", "overlap@50", "overlap@20"])
    assert trivial == "can only be 1 with 50 nodes: Overlap@50"
    assert notes(np.arange(60.0), np.arange(60.0), ["ndcg@20", "rmse"]) == ()


def test_notes_say_how_high_overlap_can_be_where_many_share_the_label_at_its_border() -> None:
    true, predicted = np.zeros(1000), np.arange(1000.0)
    true[:30] = np.arange(1.0, 31.0)
    found = notes(true, predicted)
    assert found == tuple(
        f"Overlap@{k} can be at most {highest}: 970 nodes share the label at its border"
        for k, highest in ((50, "0.61"), (100, "0.35"), (200, "0.30"))
    )
    assert notes(true, predicted, label_ties="position") == ()
    # Two nodes that share the last place are not worth a word.
    assert notes(np.array([1.0] * 2 + [0.5] * 20 + [2.0] * 19), np.arange(41.0), ["overlap@20"]) == ()


@pytest.mark.parametrize("name", METRICS)
def test_either_spelling_names_a_metric(name: str) -> None:
    found = METRICS[name]
    assert found.name == name
    for spelling in (name, found.label, found.label.lower(), name.upper(), f" {name} "):
        assert metric(spelling) is found


def test_labels_are_the_usual_spellings() -> None:
    assert [metric(name).label for name in ("rmse", "median_ae", "spearman", "ndcg@100", "overlap@200")] == [
        "RMSE",
        "MedianAE",
        "Spearman",
        "NDCG@100",
        "Overlap@200",
    ]


@pytest.mark.parametrize(("wrong", "near"), [("spaerman", "spearman"), ("NDGC@20", "ndcg@20"), ("rsme", "rmse")])
def test_an_unknown_metric_is_refused_with_the_nearest_name(wrong: str, near: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown metric {wrong!r}; did you mean {near}"):
        metric(wrong)


def test_better_follows_the_direction() -> None:
    assert metric("rmse").better(1.0, 2.0)
    assert not metric("rmse").better(2.0, 1.0)
    assert metric("spearman").better(0.5, -0.5)
    assert not metric("spearman").better(0.5, 0.5)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_never_better(name: str, broken: float) -> None:
    found = METRICS[name]
    assert not found.better(broken, found.low)
    assert not found.better(broken, 1e308)
    assert not found.better(broken, broken)
    assert found.better(-1e308, broken)
    assert sorted([broken, 0.5, 0.25], key=found.rank_key)[-1] is broken


@pytest.mark.parametrize("name", METRICS)
def test_no_value_in_range_is_worse_than_the_worst(name: str) -> None:
    found = METRICS[name]
    assert found.low <= found.worst <= found.high
    assert not found.better(found.worst, found.low if found.direction == "max" else 1e308)


def test_metric_names_need_no_heavy_library() -> None:
    code = "import sys, licap.metrics; print(sorted({'torch', 'scipy', 'sklearn', 'ray'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
