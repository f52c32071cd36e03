"""Comparing a grid: what counts, what makes a pair, what a reader is told."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from comparison_cases import GRID, SEEDS, grid, quality, record, shuffled, trials_of
from hypothesis import given, settings
from hypothesis import strategies as st

from licap.errors import ConfigError, StoreError
from licap.metrics import METRICS, notes
from search.insight import Comparison, compare
from search.insight.cells import Cell
from search.space import SearchSpace
from search.study import TrialRecord

ROWS, COLUMNS = "data.features", "downstream.input"


def compared(trials: Any, space: SearchSpace, rows: str = ROWS, columns: str = COLUMNS, **options: Any) -> Comparison:
    """The comparison of a study called grid; names of several parameters with commas."""
    options = {"baseline": None, "metrics": ["spearman"]} | options
    return compare(trials, space, study="grid", rows=rows.split(","), columns=columns.split(","), **options)


def cell(table: Comparison, row: str, column: str, metric: str = "spearman") -> Cell:
    (found,) = [each for each in table.tables if each.metric.name == metric]
    return found.cells[table.rows.labels.index(row)][table.columns.labels.index(column)]


def said(table: Comparison, words: str) -> list[str]:
    return [note for note in table.notes if words in note]


def test_a_cell_is_the_mean_and_deviation_over_folds() -> None:
    table = compared(trials_of(grid()), grid())
    assert table.rows.labels == ("struct", "semantic")
    assert table.columns.labels == ("features", "embeddings", "features+embeddings")
    assert (table.baseline, table.over) == (0, "5 folds")
    found = cell(table, "struct", "features")
    assert found.n == 5 and found.mean == pytest.approx(0.7) and found.contrast is None
    assert found.std == pytest.approx(np.std([0.5, 0.6, 0.7, 0.8, 0.9], ddof=1))


def test_of_a_study_with_folds_values_are_means_already() -> None:
    space = grid()
    trials, folded = trials_of(space), dataclasses.replace(space, folds=(0, 1))
    assert "already a mean over folds 0, 1" in compared(trials, folded).notes[0]
    with pytest.raises(ConfigError, match="a trial of this study trains several folds"):
        compared(trials, folded, columns="fold")


def test_five_pairs_are_too_few_however_clear_the_win_and_six_would_do() -> None:
    table = compared(trials_of(grid()), grid())
    contrast = cell(table, "struct", "features+embeddings").contrast
    assert contrast is not None and (contrast.pairs, contrast.differing, contrast.p) == (5, 5, 0.0625)
    assert contrast.improvement == pytest.approx(100 * 0.08 * 1.02 / 0.7)
    assert contrast.difference == pytest.approx(0.08 * 1.02)
    low, high = contrast.interval or (0, 0)
    assert 0.08 < low < contrast.difference < high < 0.084
    (note,) = said(table, "too few")
    assert "p rests on 5 pairs" in note and "2/2^5 = 0.0625" in note and "6 pairs would do" in note


def test_a_second_seed_makes_pairs_enough() -> None:
    space = grid(GRID + SEEDS)
    table = compared(trials_of(space), space)
    contrast = cell(table, "semantic", "embeddings").contrast
    assert contrast is not None and contrast.pairs == 10 and contrast.p == pytest.approx(2 / 2**10)
    assert table.over == "5 folds and 2 seeds"
    assert not said(table, "too few")


def test_six_pairs_of_which_one_does_not_differ_are_too_few_again() -> None:
    space = grid(GRID.replace("high: 4", "high: 2") + SEEDS)
    trials = trials_of(space, lambda c: 0.5 if (c.fold, c.seed) == (0, 7) else quality(c))
    table = compared(trials, space)
    contrast = cell(table, "struct", "embeddings").contrast
    assert contrast is not None and (contrast.pairs, contrast.differing, contrast.p) == (6, 5, 0.0625)
    assert said(table, "where fewer than 6 differ") and not said(table, "too few")


def test_where_nothing_differs_p_is_one() -> None:
    table = compared(trials_of(grid(), lambda config: 0.5 + config.fold / 10), grid())
    contrast = cell(table, "struct", "embeddings").contrast
    assert contrast is not None and (contrast.p, contrast.differing, contrast.improvement) == (1.0, 0, 0.0)
    assert contrast.interval == (0.0, 0.0)


def test_a_smaller_error_is_an_improvement() -> None:
    table = compared(trials_of(grid()), grid(), metrics=[])
    assert [each.metric for each in table.tables] == list(METRICS.values())
    better = cell(table, "struct", "embeddings", "rmse").contrast
    assert better is not None and better.improvement is not None and better.difference is not None
    assert better.improvement > 0 > better.difference
    errors = next(each for each in table.tables if each.metric.name == "rmse")
    assert errors.best(0) == {2}


def test_a_baseline_of_zero_gives_no_percentage() -> None:
    table = compared(trials_of(grid(), lambda c: 0.0 if c.downstream.input == "features" else 0.5), grid())
    contrast = cell(table, "struct", "embeddings").contrast
    assert contrast is not None and contrast.improvement is None and contrast.p == 0.0625


def test_any_column_can_be_the_baseline() -> None:
    forth = compared(trials_of(grid()), grid())
    back = compared(trials_of(grid()), grid(), baseline="features+embeddings")
    assert back.baseline == 2
    there, here = cell(forth, "struct", "features+embeddings").contrast, cell(back, "struct", "features").contrast
    assert there is not None and here is not None
    assert here.difference == pytest.approx(-(there.difference or 0)) and here.p == there.p
    assert here.improvement is not None and here.improvement < 0
    assert cell(back, "struct", "features+embeddings").contrast is None


RATES = GRID.replace("search:", "search:\n  downstream.lr: {type: categorical, choices: [0.001, 0.01]}")


def test_pairs_share_every_other_searched_parameter() -> None:
    space = grid(RATES)
    trials = trials_of(space, lambda c: quality(c) - 30 * c.downstream.lr)
    table = compared(shuffled(trials), space)
    found = cell(table, "struct", "embeddings")
    assert found.n == 10 and found.contrast is not None and found.contrast.pairs == 10
    # The learning rate moves every value by much and the difference within a pair by nothing.
    low, high = found.contrast.interval or (0, 1)
    assert high - low < 0.002 < (found.std or 0) / 10
    assert said(table, "average over what else was searched: downstream.lr (2 values)")
    assert not said(table, "compared columns only")


ONE_SIDED = GRID.replace(
    "search:",
    "search:\n  pretrain.lr: {type: categorical, choices: [0.01, 0.02], "
    "when: {downstream.input: [embeddings, features+embeddings]}}",
)


def test_a_measurement_is_never_used_for_two_pairs() -> None:
    space = grid(ONE_SIDED)
    table = compared(trials_of(space, lambda c: quality(c) + c.pretrain.lr), space)
    found = cell(table, "struct", "embeddings")
    assert cell(table, "struct", "features").n == 5 and found.n == 10
    assert found.contrast is not None and found.contrast.pairs == 5
    assert found.contrast.difference == pytest.approx(0.04 * 1.02 + 0.015 - 0.005)
    assert said(table, "Counts in some of the compared columns only, so that pairs do not share it: pretrain.lr")
    other = compared(trials_of(space), space, baseline="embeddings")
    both = cell(other, "struct", "features+embeddings").contrast
    assert both is not None and both.pairs == 10


def test_a_setting_of_one_column_is_no_third_parameter() -> None:
    space = grid(ONE_SIDED.replace("[0.01, 0.02]", "[0.01]"))
    table = compared(trials_of(space), space)
    contrast = cell(table, "struct", "embeddings").contrast
    assert contrast is not None and contrast.pairs == 5
    assert not said(table, "average over")


NOTHING = notes(np.arange(30.0), np.ones(30))


def changed(trials: list[TrialRecord], number: int, **values: Any) -> None:
    trials[number] = dataclasses.replace(trials[number], **values)


def test_only_complete_trials_count_and_the_others_are_named() -> None:
    trials = trials_of(grid())
    changed(trials, 1, state="pruned")
    changed(trials, 2, state="failed", failure="diverged")
    changed(trials, 6, state="running")
    changed(trials, 10, notes=NOTHING)
    changed(trials, 11, reports=())
    changed(trials, 29, state="interrupted")
    table = compared(trials, grid())
    assert [cell(table, "struct", column).n for column in table.columns.labels] == [3, 4, 3]
    contrast = cell(table, "struct", "embeddings").contrast
    # folds 0, 3 and 4 are complete on both sides
    assert contrast is not None and contrast.pairs == 3
    assert [note for note in table.notes if note.startswith("Left out")] == [
        "Left out, not complete (running): trial 6.",
        "Left out, not complete (pruned): trial 1.",
        "Left out, not complete (failed): trial 2.",
        "Left out, not complete (interrupted): trial 29.",
        "Left out, for their predictions or labels are all equal and have no ranks: trial 10.",
        "Left out, for want of a finite Spearman: trial 11.",
    ]
    assert said(table, "Only 3 of 5 folds: struct × features; struct × features+embeddings.")
    assert said(table, "Only 4 of 5 folds: struct × embeddings; semantic × features+embeddings.")


def test_what_trials_say_about_their_values_is_passed_on() -> None:
    trials = [dataclasses.replace(trial, notes=("k is capped at 57",)) for trial in trials_of(grid())]
    changed(trials, 4, notes=("k is capped at 57", "labels tie"))
    changed(trials, 7, notes=("only in a trial that failed",), state="failed")
    table = compared(trials, grid())
    assert table.notes[-2:] == ("All trials: k is capped at 57.", "Trial 4: labels tie.")


def test_a_value_that_is_missing_for_one_metric_is_missing_there_only() -> None:
    trials = trials_of(grid())
    (report,) = trials[0].reports
    changed(trials, 0, reports=(dataclasses.replace(report, metrics={**report.metrics, "val.rmse": math.inf}),))
    table = compared(trials, grid(), metrics=[])
    assert cell(table, "struct", "features", "rmse").n == 4 and cell(table, "struct", "features").n == 5


def test_a_cell_without_trials_is_empty_and_says_nothing_of_others() -> None:
    trials = [trial for trial in trials_of(grid()) if trial.number not in range(5, 10)]
    table = compared(trials, grid())
    assert cell(table, "struct", "embeddings") == Cell(n=0)
    assert cell(table, "struct", "features+embeddings").contrast is not None
    assert said(table, "25 of 30 trials have been started.") and not said(table, "Only")


def test_without_the_baselines_cell_there_is_no_contrast() -> None:
    table = compared(trials_of(grid())[5:], grid())
    found = cell(table, "struct", "embeddings")
    assert found.n == 5 and found.contrast is None


def test_without_pairs_there_is_an_improvement_and_no_test() -> None:
    trials = [t for t in trials_of(grid()) if (t.values["fold"] == 0) == (t.values[COLUMNS] == "features")]
    contrast = cell(compared(trials, grid()), "struct", "embeddings").contrast
    assert contrast is not None and contrast.improvement is not None
    assert (contrast.pairs, contrast.p, contrast.difference, contrast.interval) == (0, None, None, None)


def test_of_two_trials_with_one_config_the_first_counts() -> None:
    trials = trials_of(grid())
    again = dataclasses.replace(record(30, dict(trials[3].values), 0.0))
    table = compared([again, *trials], grid())
    assert table.tables == compared(trials, grid()).tables
    assert said(table, "an earlier trial has the same config: trial 30.")
    pruned = compared([dataclasses.replace(again, state="pruned"), *trials], grid())
    assert said(pruned, "not complete (pruned): trial 30.") and not said(pruned, "same config")
    changed(trials, 3, state="failed")
    instead = compared([again, *trials], grid())
    assert cell(instead, "struct", "features").n == 5 and not said(instead, "same config")


def test_a_config_that_was_refused_when_it_was_tried_is_left_out() -> None:
    text = GRID.replace("search:", "search:\n  pretrain.eta1: {type: categorical, choices: [1.0, 2.0]}")
    space = grid(text)
    trials = trials_of(space)
    changed(trials, 0, values={**trials[0].values, "pretrain.eta1": -1.0}, state="failed", failure="invalid-config")
    assert said(compared(trials, space), "not complete (failed): trial 0")


def test_parameters_can_be_fixed_or_several_or_stand_for_folds() -> None:
    trials = trials_of(grid())
    one = compared(trials, grid(), rows="downstream.model")
    assert one.rows.labels == ("geni",) and one.tables[0].cells[0][0].n == 10
    two = compared(trials, grid(), rows="downstream.model,data.features")
    assert two.rows.labels == ("geni, struct", "geni, semantic")
    across = compared(
        trials, grid(), rows="downstream.model", columns=f"{COLUMNS},{ROWS}", baseline="features, semantic"
    )
    assert across.columns.labels[across.baseline] == "features, semantic" and len(across.columns) == 6
    folds = compared(trials, grid(), rows="fold", columns=COLUMNS)
    assert folds.rows.labels == ("0", "1", "2", "3", "4") and folds.over == ""
    assert folds.tables[0].cells[4][0].n == 2


def test_the_order_is_the_spaces_and_a_default_comes_last() -> None:
    space = grid(
        GRID.replace("[features, embeddings, features+embeddings]", "[features+embeddings, embeddings]")
        + "  pretrain.bins.kind: {type: categorical, choices: [quantile, length], default: equal-width, "
        "when: {downstream.input: embeddings}}\n"
        "  pretrain.heads: {type: int, low: 2, high: 10, step: 4}\n"
    )
    table = compared(trials_of(space), space, rows="pretrain.bins.kind")
    assert table.rows.labels == ("quantile", "length", "equal-width")
    assert table.columns.labels == ("features+embeddings", "embeddings")
    assert [each.n for each in table.tables[0].cells[2]] == [2 * 5 * 3, 0]
    by_heads = compared(shuffled(trials_of(space)), space, rows="pretrain.heads")
    assert by_heads.rows.labels == ("2", "6", "10")
    pairs = compared(trials_of(space), space, rows="downstream.input,pretrain.bins.kind", columns=ROWS)
    assert pairs.rows.labels == ("features+embeddings, equal-width", "embeddings, quantile", "embeddings, length")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rows": "data.feature"}, "--rows data.feature: unknown parameter; did you mean data.features?"),
        ({"columns": "input"}, "--columns input: unknown parameter; did you mean downstream.input?"),
        ({"columns": "downstream"}, "--columns downstream: unknown parameter: it is a group"),
        ({"rows": COLUMNS}, "--columns downstream.input: is what --rows names too"),
        ({"rows": f"{ROWS},{ROWS}"}, "--rows data.features: stands twice"),
        ({"baseline": "feature"}, "--baseline feature: is no value of downstream.input here; did you mean features?"),
        ({"baseline": "x"}, "(there are: features; embeddings; features+embeddings)"),
        ({"baseline": "features,struct"}, "--baseline features,struct: is no value of downstream.input here"),
        ({"columns": f"{COLUMNS},fold", "baseline": "features"}, "is no value of downstream.input, fold here"),
        ({"metrics": ["spaerman"]}, "did you mean spearman?"),
    ],
)
def test_a_name_that_means_nothing_is_refused_with_the_nearest(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compared(trials_of(grid()), grid(), **options)
    assert words in str(caught.value)


def test_without_a_complete_trial_there_is_nothing_to_compare() -> None:
    trials = [dataclasses.replace(trial, state="pruned") for trial in trials_of(grid())]
    with pytest.raises(StoreError, match=r"no complete trial to compare \(30 trials: 30 pruned\)"):
        compared(trials, grid())
    with pytest.raises(StoreError, match="no complete trial to compare"):
        compared([], grid())


def test_numbers_can_be_spelled_in_any_way_for_a_baseline() -> None:
    space = grid(RATES)
    assert compared(trials_of(space), space, columns="downstream.lr", baseline="1e-2").baseline == 1


def test_ties_share_the_first_place_and_a_lone_cell_wins_nothing() -> None:
    equal = compared(trials_of(grid(), lambda config: 0.5), grid())
    assert equal.tables[0].best(0) == {0, 1, 2}
    alone = compared([t for t in trials_of(grid()) if t.values[COLUMNS] == "features"], grid())
    assert alone.tables[0].best(0) == frozenset()


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_whatever_is_missing_cells_and_pairs_hold_what_is_there(data: st.DataObject) -> None:
    space = grid(GRID + SEEDS)
    drawn = {n: data.draw(st.floats(-1, 1)) for n in data.draw(st.sets(st.integers(0, 59), min_size=1))}
    values = iter(range(60))
    trials = [t for t in trials_of(space, lambda _: drawn.get(next(values), 0.0)) if t.number in drawn]
    table = compared(trials, space)
    cells = [each for row in table.tables[0].cells for each in row]
    assert sum(each.n for each in cells) == len(trials)
    for row in table.tables[0].cells:
        for each in row:
            assert (each.mean is None) == (each.n == 0) and (each.std is None) == (each.n < 2)
            if each.contrast is not None:
                assert each.contrast.differing <= each.contrast.pairs <= min(each.n, row[0].n)
                assert (each.contrast.p is None) == (each.contrast.pairs == 0)
    assert compared(shuffled(trials), space) == table
    assert bool(said(table, "have been started")) == (len(trials) < 60)


def test_a_config_is_asked_for_what_a_trial_does_not_say() -> None:
    space = grid(ONE_SIDED.replace("when: {", "default: 0.5, when: {"))
    table = compared(trials_of(space), space, rows="pretrain.lr")
    assert table.rows.labels == ("0.01", "0.02", "0.5")
    assert [each.n for each in table.tables[0].cells[2]] == [10, 0, 0]
