"""Pruners: functions of the reports they were given, in order."""

from __future__ import annotations

import math
import random
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.space import PrunerConfig
from search.space.rungs import brackets
from search.strategy import ASHA, Decision, Hyperband, Median, NoPruner, Pruner, TrialReport, build_pruner, replay
from search.strategy.folds import Folds

STOP, CONTINUE = Decision.STOP, Decision.CONTINUE
RUNGS = (3, 9, 27)
NAMES = ("asha", "hyperband", "median", "none")
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


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_counts_among_those_at_the_rung(bad: float) -> None:
    # Two of four survive, and one is better: without the first two it would be one of two.
    assert replay(asha(reduction=2), at(3, bad, bad, 0.5, 0.4)) == [STOP, STOP, CONTINUE, CONTINUE]


@given(log=logs())
def test_without_a_pruner_every_trial_goes_on(log: list[TrialReport]) -> None:
    assert set(replay(NoPruner(), log)) <= {CONTINUE}


def pruner(name: str, direction: str = "max") -> Pruner:
    return build_pruner(PrunerConfig(name=name, reduction=2, startup=2), RUNGS, direction)


@pytest.mark.parametrize("name", NAMES)
@given(log=logs(), direction=DIRECTIONS)
def test_a_replay_decides_as_the_first_time(name: str, log: list[TrialReport], direction: str) -> None:
    first, rebuilt = pruner(name, direction), pruner(name, direction)
    assert replay(first, log) == replay(rebuilt, log)
    more = [TrialReport(trial=100 + k, budget=30, value=0.0) for k in range(4)]
    assert replay(rebuilt, more) == replay(first, more)


@pytest.mark.parametrize("name", NAMES)
@given(log=logs(), direction=DIRECTIONS)
def test_nobody_is_stopped_before_the_first_rung(name: str, log: list[TrialReport], direction: str) -> None:
    decisions = replay(pruner(name, direction), log)
    assert all(d is CONTINUE for d, report in zip(decisions, log, strict=True) if report.budget < RUNGS[0])


@pytest.mark.parametrize("name", NAMES)
@given(log=logs(), direction=DIRECTIONS)
def test_a_budget_that_is_reported_again_changes_nothing(name: str, log: list[TrialReport], direction: str) -> None:
    # As after a kill, when a trial goes on from a checkpoint that lies behind its last report.
    twice = [each for report in log for each in (report, report)]
    plain, repeated = pruner(name, direction), pruner(name, direction)
    assert replay(plain, log) == replay(repeated, twice)[::2]
    more = [TrialReport(trial=100 + k, budget=30, value=0.0) for k in range(4)]
    assert replay(repeated, more) == replay(plain, more)


def test_each_pruner_has_a_name() -> None:
    classes = {"asha": ASHA, "hyperband": Hyperband, "median": Median, "none": NoPruner}
    assert {name: type(pruner(name)) for name in NAMES} == classes


@pytest.mark.parametrize("direction", ["max", "min"])
@pytest.mark.parametrize(("reduction", "startup"), [(2, 1), (4, 9)])
def test_a_pruner_is_built_with_the_settings_that_it_was_given(direction: str, reduction: int, startup: int) -> None:
    chance = random.Random(0)
    log = [
        TrialReport(trial=trial, budget=budget, value=chance.random())
        for trial in range(60)
        for budget in (3, 9, 20, 27)
    ]
    given = {"reduction": reduction, "direction": direction}
    expected = {
        "asha": ASHA(RUNGS, **given),
        "hyperband": Hyperband(RUNGS, **given),
        "median": Median(RUNGS[0], startup=startup, direction=direction),
    }
    for name, direct in expected.items():
        config = PrunerConfig(name=name, reduction=reduction, startup=startup)
        assert replay(build_pruner(config, RUNGS, direction), log) == replay(direct, log), name
    # With folds, each of which begins after so many budgets, the settings are those of all folds.
    folds = [
        TrialReport(trial=trial, budget=budget, value=chance.random(), fold=budget // 28)
        for trial in range(40)
        for budget in (27, 28, 55, 56)
    ]
    config = PrunerConfig(name="none", reduction=reduction, startup=startup)
    built = build_pruner(config, RUNGS, direction, fold_rungs=[28, 56])
    assert replay(built, folds) == replay(Folds(NoPruner(), [28, 56], **given), folds)


def test_median_stops_what_more_than_half_of_the_others_beat() -> None:
    rule = Median(3, startup=4, direction="max")
    values = at(3, 0.5, 0.1, 0.2, 0.6, 0.3, 0.45, 0.4, 0.4, math.nan)
    #           too few others ^^^^   | 2 of 4 | 2 of 5 | 3 of 6: a tie | 3 of 7 | not finite
    assert replay(rule, values) == [CONTINUE] * 8 + [STOP]
    assert rule.decide(TrialReport(trial=20, budget=3, value=0.3)) is STOP, "5 of 9 are better"
    assert Median(3, startup=4, direction="min").decide(TrialReport(trial=0, budget=3, value=9.0)) is CONTINUE


def test_median_compares_only_what_has_come_as_far() -> None:
    rule = Median(3, startup=1, direction="max")
    replay(rule, at(3, 0.9, 0.9, 0.9))
    assert rule.decide(TrialReport(trial=7, budget=5, value=0.1)) is CONTINUE, "nobody else is at 5"
    assert rule.decide(TrialReport(trial=8, budget=5, value=0.05)) is STOP
    assert rule.decide(TrialReport(trial=9, budget=4, value=0.0)) is CONTINUE, "nor at 4"


def test_median_keeps_counting_what_it_stopped() -> None:
    rule = Median(1, startup=2, direction="max")
    values = [0.5, 0.6, 0.1, 0.2, 0.15]
    assert replay(rule, at(1, *values)) == [CONTINUE, CONTINUE, STOP, STOP, STOP]
    # Three that were stopped stand behind the two that are left: neither of these is among the worse half of all five.
    later = [TrialReport(trial=trial, budget=budget, value=values[trial]) for budget in (2, 3, 4) for trial in (1, 0)]
    assert replay(rule, later) == [CONTINUE] * 6


def test_median_sets_whom_it_stopped_beside_those_who_come_further() -> None:
    def decide(rule: Median, trial: int, budget: int, value: float) -> Decision:
        return rule.decide(TrialReport(trial=trial, budget=budget, value=value))

    # Trial 0 is second of four, and would be last of two without those that were stopped.
    before, meanwhile = (Median(1, startup=1, direction="max") for _ in range(2))
    for rule in (before, meanwhile):
        assert [decide(rule, 0, 1, 0.5), decide(rule, 1, 1, 0.6)] == [CONTINUE, CONTINUE]
    assert decide(meanwhile, 1, 2, 0.6) is CONTINUE, "it is at budget 2 before the others are stopped at 1"
    for rule in (before, meanwhile):
        assert [decide(rule, 2, 1, 0.1), decide(rule, 3, 1, 0.2)] == [STOP, STOP]
    assert decide(before, 1, 2, 0.6) is CONTINUE
    assert [decide(rule, 0, 2, 0.5) for rule in (before, meanwhile)] == [CONTINUE, CONTINUE]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_median_stops_what_is_not_finite_whoever_else_there_is(bad: float) -> None:
    rule = Median(3, startup=4, direction="max")
    assert rule.decide(TrialReport(trial=0, budget=2, value=bad)) is CONTINUE, "nobody is compared there"
    assert rule.decide(TrialReport(trial=0, budget=3, value=bad)) is STOP


def test_median_counts_a_trial_once_at_a_budget() -> None:
    rule = Median(3, startup=1, direction="max")
    reports = [(0, 0.9), (0, 0.9), (1, 0.1), (2, 0.5)]
    decisions = replay(rule, [TrialReport(trial=trial, budget=3, value=value) for trial, value in reports])
    assert decisions == [CONTINUE, CONTINUE, STOP, CONTINUE], "one of the two others is better than the last"


@given(num_rungs=st.integers(0, 5), reduction=REDUCTIONS, trials=st.integers(1, 300))
def test_brackets_are_dealt_out_evenly(num_rungs: int, reduction: int, trials: int) -> None:
    kinds = range(num_rungs + 1)
    shares = [math.ceil((num_rungs + 1) * reduction ** (num_rungs - k) / (num_rungs - k + 1)) for k in kinds]
    dealt = list(islice(brackets(num_rungs, reduction), trials))
    for kind, share in zip(kinds, shares, strict=True):
        assert abs(dealt.count(kind) - trials * share / sum(shares)) < num_rungs + 1
    period = list(islice(brackets(num_rungs, reduction), 2 * sum(shares)))
    assert period[: sum(shares)] == period[sum(shares) :]
    assert [period[: sum(shares)].count(kind) for kind in kinds] == shares


def test_a_bracket_of_hyperband_skips_rungs_and_knows_its_own_trials_only() -> None:
    rule = Hyperband(RUNGS[:2], reduction=2, direction="max")
    numbers = {kind: [n for n in range(40) if rule.bracket(n) == kind] for kind in range(3)}
    reports = [TrialReport(trial=n, budget=3, value=float(-n)) for n in range(40)]
    stopped = {
        report.trial for report, decision in zip(reports, replay(rule, reports), strict=True) if decision is STOP
    }
    assert stopped == set(numbers[0][1:]), "ever worse: the first of the bracket is the best"
    second = [TrialReport(trial=n, budget=9, value=float(n)) for n in reversed(numbers[1])]
    assert replay(rule, second) == [CONTINUE] + [STOP] * (len(second) - 1)
    last = [TrialReport(trial=n, budget=27, value=math.nan) for n in numbers[2]]
    assert set(replay(rule, last)) == {CONTINUE}, "the last bracket has no rung at all"


def test_a_bracket_follows_from_the_number_whoever_reports_first() -> None:
    forwards, backwards = (Hyperband(RUNGS, reduction=3, direction="max") for _ in range(2))
    late = [backwards.bracket(number) for number in reversed(range(50))]
    assert [forwards.bracket(number) for number in range(50)] == late[::-1]
