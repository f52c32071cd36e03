"""ASHA: a function of the reports it was given, in order."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licap.errors import ConfigError
from search.strategy import ASHA, Decision, NoPruner, TrialReport, build_pruner, replay

STOP, CONTINUE = Decision.STOP, Decision.CONTINUE
RUNGS = (3, 9, 27)
DIRECTIONS = st.sampled_from(["max", "min"])
REDUCTIONS = st.integers(2, 4)
# Few different values, so that ties happen.
VALUES = st.one_of(st.integers(-3, 3).map(float), st.sampled_from([math.nan, math.inf, -math.inf]))


@st.composite
def logs(draw: st.DrawFn) -> list[TrialReport]:
    """Reports of several trials, interleaved; budgets of a trial rise."""
    trials = st.lists(st.integers(0, 7), max_size=40)
    budgets: dict[int, int] = {}
    log = []
    for trial in draw(trials):
        budgets[trial] = budgets.get(trial, 0) + draw(st.integers(1, 12))
        log.append(TrialReport(trial=trial, budget=budgets[trial], value=draw(VALUES)))
    return log


def asha(reduction: int = 3, direction: str = "max") -> ASHA:
    return ASHA(RUNGS, reduction=reduction, direction=direction)


def at(budget: int, *values: float) -> list[TrialReport]:
    return [TrialReport(trial=trial, budget=budget, value=value) for trial, value in enumerate(values)]


def test_one_in_so_many_survives_once_there_are_so_many() -> None:
    values = at(3, 0.5, 0.1, 0.2, 0.6, 0.55, 0.55, 0.55)
    #           fewer than 3 ^^  | 1 of 3 ..        | 2 of 6: one is better | 2 of 7: ties survive
    assert replay(asha(), values) == [CONTINUE, CONTINUE, STOP, CONTINUE, STOP, CONTINUE, CONTINUE]


def test_a_smaller_value_survives_where_the_metric_is_an_error() -> None:
    assert replay(asha(direction="min"), at(3, 0.5, 0.6, 0.4, 0.6)) == [CONTINUE, CONTINUE, CONTINUE, STOP]


def test_a_report_that_jumps_over_rungs_counts_at_each_of_them() -> None:
    pruner = asha(reduction=2)
    assert replay(pruner, at(10, 0.5, 0.9)) == [CONTINUE, CONTINUE]
    for budget in (3, 9):
        late = TrialReport(trial=budget, budget=budget, value=0.7)
        assert pruner.decide(late) is STOP, f"two values stand at rung {budget}, one of them better"
    assert pruner.decide(TrialReport(trial=99, budget=27, value=0.1)) is STOP


def test_a_trial_meets_a_rung_once() -> None:
    pruner = asha(reduction=2)
    replay(pruner, at(3, 0.5, 0.9))
    again = [TrialReport(trial=0, budget=budget, value=0.0) for budget in (3, 4, 8)]
    assert replay(pruner, again) == [CONTINUE] * 3


@given(log=logs(), reduction=REDUCTIONS, direction=DIRECTIONS)
def test_a_replay_decides_as_the_first_time(log: list[TrialReport], reduction: int, direction: str) -> None:
    pruner = asha(reduction, direction)
    assert replay(pruner, log) == replay(asha(reduction, direction), log)
    more = TrialReport(trial=100, budget=30, value=0.0)
    rebuilt = asha(reduction, direction)
    replay(rebuilt, log)
    assert rebuilt.decide(more) is pruner.decide(more)


@given(log=logs(), reduction=REDUCTIONS, direction=DIRECTIONS)
def test_nobody_is_stopped_before_the_first_rung(log: list[TrialReport], reduction: int, direction: str) -> None:
    decisions = replay(asha(reduction, direction), log)
    assert all(d is CONTINUE for d, report in zip(decisions, log, strict=True) if report.budget < RUNGS[0])


@given(log=logs(), reduction=REDUCTIONS, direction=DIRECTIONS)
def test_the_best_so_far_is_never_stopped(log: list[TrialReport], reduction: int, direction: str) -> None:
    sign = 1.0 if direction == "max" else -1.0
    best = -math.inf
    for report, decision in zip(log, replay(asha(reduction, direction), log), strict=True):
        score = sign * report.value
        if math.isfinite(score) and score >= best:
            best = score
            assert decision is CONTINUE


@given(log=logs(), value=VALUES, reduction=REDUCTIONS, direction=DIRECTIONS, budget=st.sampled_from([3, 10, 30]))
def test_a_better_value_never_fares_worse(
    log: list[TrialReport], value: float, reduction: int, direction: str, budget: int
) -> None:
    sign = 1.0 if direction == "max" else -1.0
    worse, better = asha(reduction, direction), asha(reduction, direction)
    replay(worse, log), replay(better, log)
    kept = worse.decide(TrialReport(trial=100, budget=budget, value=value))
    if math.isfinite(value) and kept is CONTINUE:
        assert better.decide(TrialReport(trial=100, budget=budget, value=value + sign)) is CONTINUE


@given(log=logs(), reduction=REDUCTIONS, direction=DIRECTIONS, bad=st.sampled_from([math.nan, math.inf, -math.inf]))
def test_what_is_not_finite_never_survives_and_helps_nobody_down(
    log: list[TrialReport], reduction: int, direction: str, bad: float
) -> None:
    pruner = asha(reduction, direction)
    replay(pruner, log)
    assert pruner.decide(TrialReport(trial=100, budget=3, value=bad)) is STOP
    # As many values at the rung, and the last one at least as good as the bad ones.
    rows = at(3, *[bad] * 5, 0.0)
    assert replay(asha(reduction, direction), rows)[-1] is CONTINUE


@given(log=logs())
def test_without_a_pruner_every_trial_goes_on(log: list[TrialReport]) -> None:
    assert set(replay(NoPruner(), log)) <= {CONTINUE}


def test_pruners_go_by_name() -> None:
    assert isinstance(build_pruner("asha", RUNGS, 3, "max"), ASHA)
    assert isinstance(build_pruner("none", (), 3, "max"), NoPruner)
    with pytest.raises(ConfigError, match="unknown pruner 'asa'; did you mean asha"):
        build_pruner("asa", RUNGS, 3, "max")
