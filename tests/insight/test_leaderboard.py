"""The leaderboard: complete trials by the metric, and nothing else may be best."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from licap.errors import StoreError
from licap.metrics import METRICS, notes
from search.insight import best_config, leaderboard, pick
from search.insight.leaderboard import Row
from search.space import SearchSpace
from search.study import Reported, TrialRecord

Make = Callable[..., TrialRecord]


def test_complete_trials_come_first_by_metric_ties_by_number(space: SearchSpace, trial: Make) -> None:
    trials = [
        trial(0, 0.5),
        trial(1, 0.9, "pruned"),
        trial(2, 0.7),
        trial(3, None, "failed", "diverged"),
        trial(4, 0.7),
        trial(5, 0.8, "interrupted", "interrupted"),
        trial(6, 0.95, "running"),
        trial(7, 0.6, "pruned"),
    ]
    board = leaderboard(trials, space)
    assert [(row.rank, row.trial) for row in board] == [
        (1, 2),
        (2, 4),
        (3, 0),
        (None, 6),
        (None, 5),
        (None, 1),
        (None, 7),
        (None, 3),
    ]
    assert board.counts() == "8 trials: 3 complete, 1 running, 1 interrupted, 2 pruned, 1 failed"
    assert board[0].metrics == {"val.spearman": 0.7, "val.rmse": 1.0 - 0.7}


def test_smaller_errors_come_first(space: SearchSpace, trial: Make) -> None:
    by_error = dataclasses.replace(space, metric=METRICS["rmse"])
    assert [row.trial for row in leaderboard([trial(0, 0.1), trial(1, 0.9), trial(2, 0.5)], by_error)] == [1, 2, 0]


@pytest.mark.parametrize("labels_are_constant", [False, True], ids=["predictions", "labels"])
def test_what_is_constant_is_never_best(space: SearchSpace, trial: Make, labels_are_constant: bool) -> None:
    arrays = (np.arange(30.0), np.ones(30))
    flags = notes(*reversed(arrays) if labels_are_constant else arrays)
    board = leaderboard([trial(0, 0.9, "complete", None, *flags), trial(1, 0.1)], space)
    assert [(row.rank, row.trial) for row in board] == [(1, 1), (None, 0)]
    with pytest.raises(StoreError, match=r"no complete trial to choose from \(1 trial: 1 complete\)"):
        pick(leaderboard([trial(0, 0.9, "complete", None, *flags)], space), 1)


def test_other_notes_do_not_cost_the_rank(space: SearchSpace, trial: Make) -> None:
    flags = notes(np.arange(30.0), np.arange(30.0) ** 2)
    assert flags and leaderboard([trial(0, 0.9, "complete", None, *flags)], space)[0].rank == 1


@given(values=st.lists(st.floats(-1, 1) | st.just(math.nan) | st.none(), max_size=8))
def test_ranks_count_from_one_and_values_fall(values: list[float | None], space: SearchSpace, trial: Make) -> None:
    board = leaderboard([trial(number, value) for number, value in enumerate(values)], space)
    ranked = [row.value for row in board.ranked]
    assert [row.rank for row in board.ranked] == list(range(1, len(ranked) + 1))
    assert ranked == sorted((v for v in values if v is not None and not math.isnan(v)), reverse=True)
    assert {row.trial for row in board} == set(range(len(values)))


def test_a_rank_that_does_not_exist_is_refused_with_those_that_do(space: SearchSpace, trial: Make) -> None:
    board = leaderboard([trial(0, 0.5), trial(1, 0.6), trial(2, 0.9, "pruned")], space)
    for rank in (0, -1, 3):
        with pytest.raises(StoreError, match=f"no rank {rank}: ranks go from 1 to 2"):
            pick(board, rank)
    with pytest.raises(StoreError, match="no complete trial"):
        pick(leaderboard([], space), 1)


def test_the_best_config_is_complete_and_has_the_threads_of_its_slot(space: SearchSpace, trial: Make) -> None:
    config = best_config([trial(0, 0.5), trial(1, 0.6)], space, rank=2)
    assert config.pretrain.imp_ratio == 0.1 and config.pretrain.lr == 1 / 3000
    assert config.runtime.threads == 2
    assert config == space.config_for(trial(0, 0.5).values)


def test_a_row_tells_all_of_its_trial_and_its_finite_validation_metrics_only(space: SearchSpace) -> None:
    reports = tuple(
        Reported(trial=3, stage="downstream", epoch=budget, budget=budget, metrics=metrics)
        for budget, metrics in (
            (7, {"val.spearman": 0.9}),
            (9, {"val.spearman": 0.5, "val.rmse": math.inf, "val.mae": math.nan, "loss": 0.1, "probe.x": 0.2}),
        )
    )
    record = TrialRecord(
        number=3,
        values={"pretrain.lr": 0.1},
        starting_point=False,
        state="failed",
        failure="oom",
        message="why",
        reports=reports,
        notes=("a note",),
        seconds=12.5,
    )
    board = leaderboard([record], space)
    assert board[0] == Row(
        rank=None,
        trial=3,
        state="failed",
        value=0.5,
        metrics={"val.spearman": 0.5},
        budget=9,
        seconds=12.5,
        values={"pretrain.lr": 0.1},
        failure="oom",
        message="why",
        notes=("a note",),
    )
    assert board.metric == space.metric and board.parameters == tuple(each.name for each in space.parameters)
    assert len(board) == 1 and board[:1] == (board[0],) and board.ranked == ()


def test_a_board_without_trials_counts_none(space: SearchSpace) -> None:
    assert leaderboard([], space).counts() == "0 trials" and len(leaderboard([], space)) == 0


def test_a_complete_trial_without_a_rank_stands_behind_all_ranks_and_before_the_others(
    space: SearchSpace, trial: Make
) -> None:
    flags = notes(np.arange(30.0), np.ones(30))
    board = leaderboard(
        [trial(0, 0.9, "pruned"), trial(1, math.nan), trial(2, -0.5), trial(3, 0.99, "complete", None, *flags)], space
    )
    assert [(row.rank, row.trial) for row in board] == [(1, 2), (None, 1), (None, 3), (None, 0)]


def test_each_rank_is_picked_by_its_number(space: SearchSpace, trial: Make) -> None:
    board = leaderboard([trial(number, number / 10) for number in range(4)], space)
    assert [pick(board, rank).trial for rank in (1, 2, 3, 4)] == [3, 2, 1, 0]
