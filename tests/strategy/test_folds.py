"""Folds as the top rungs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from search.space import PrunerConfig
from search.strategy import Decision, TrialReport, build_pruner
from search.strategy.folds import surely_smaller

STOP, CONTINUE = Decision.STOP, Decision.CONTINUE
LENGTH = 10
# A trial's values on three folds.
BEST, NEAR, EVENLY_WORSE = (0.70, 0.74, 0.66), (0.71, 0.70, 0.67), (0.68, 0.719, 0.64)


class Study:
    """Trials that run fold after fold until the pruner stops them."""

    def __init__(self, pruner: str = "asha", reduction: int = 3, direction: str = "max") -> None:
        config = PrunerConfig(name=pruner, reduction=reduction, startup=1)
        self._pruner = build_pruner(config, [5], direction, fold_rungs=[LENGTH + 1, 2 * LENGTH + 1])

    def folds_of(self, trial: int, values: tuple[float, ...]) -> int:
        """On how many folds a trial ran to its end."""
        ended: list[float] = []
        for fold, value in enumerate(values):
            for epoch in range(1, LENGTH + 1):
                own = value if epoch == LENGTH else value - 0.3
                done = [*ended, own] if not fold or epoch == LENGTH else ended
                report = TrialReport(
                    trial=trial,
                    budget=fold * LENGTH + epoch,
                    value=sum(done) / len(done),
                    fold=fold,
                    own=own if fold else None,
                )
                if self._pruner.decide(report) is STOP and (fold, epoch) != (len(values) - 1, LENGTH):
                    return fold
            ended.append(value)
        return len(values)


def test_first_trials_run_all_folds_and_later_ones_earn_them_by_rank() -> None:
    study = Study()
    assert [study.folds_of(trial, BEST) for trial in (0, 1)] == [3, 3]
    # In the first fold one in three survives; this one is good there, and poor on the second.
    assert study.folds_of(2, (0.70, 0.5, 0.9)) == 2
    assert study.folds_of(3, (0.5, 0.9, 0.9)) == 0
    assert study.folds_of(4, (0.72, 0.75, 0.7)) == 3


@pytest.mark.filterwarnings("error")  # A test of one fold would have no deviation.
def test_a_trial_that_is_evenly_worse_is_stopped_by_the_paired_test() -> None:
    # So few trials that none is stopped by rank.
    study = Study(reduction=9)
    assert study.folds_of(0, BEST) == 3
    assert study.folds_of(1, EVENLY_WORSE) == 2
    assert study.folds_of(2, NEAR) == 3


def test_a_trial_that_is_still_at_a_fold_is_no_rival_there() -> None:
    pruner = build_pruner(PrunerConfig(reduction=9), [5], "max", fold_rungs=[LENGTH + 1, 2 * LENGTH + 1])

    def decide(trial: int, fold: int, epoch: int, mean: float, own: float) -> Decision:
        budget = fold * LENGTH + epoch
        return pruner.decide(TrialReport(trial=trial, budget=budget, value=mean, fold=fold, own=own if fold else None))

    # Trial 0 leads evenly so far, and has not ended its second fold when trial 1 begins its third.
    for trial, values in ((0, (0.70, 0.60)), (1, (0.68, 0.58))):
        assert decide(trial, 0, LENGTH, values[0], values[0]) is CONTINUE
        assert decide(trial, 1, 1, values[0], 0.1) is CONTINUE
        assert decide(trial, 1, 2, values[0], values[1]) is CONTINUE
    assert decide(1, 2, 1, 0.63, 0.1) is CONTINUE
    # Once it has, whoever comes later is set beside it.
    assert decide(0, 2, 1, 0.65, 0.1) is CONTINUE
    for fold, value in enumerate((0.68, 0.58)):
        assert decide(2, fold, LENGTH, value, value) is CONTINUE
    assert decide(2, 2, 1, 0.63, 0.1) is STOP


def test_a_trial_is_looked_at_once_for_each_fold() -> None:
    pruner = build_pruner(PrunerConfig(reduction=9), [5], "max", fold_rungs=[LENGTH + 1, 2 * LENGTH + 1])

    def run(trial: int, values: tuple[float, float]) -> list[Decision]:
        """Two folds, and the first epochs of the third."""
        return [
            pruner.decide(
                TrialReport(
                    trial=trial,
                    budget=fold * LENGTH + epoch,
                    value=values[0],
                    fold=fold,
                    own=values[min(fold, 1)] if fold else None,
                )
            )
            for fold, epochs in ((0, [LENGTH]), (1, [1, LENGTH]), (2, [1]))
            for epoch in epochs
        ]

    assert run(0, (0.5, 0.6)) == [CONTINUE] * 4
    assert run(1, (0.7, 0.8)) == [CONTINUE] * 4, "evenly better"
    later = TrialReport(trial=0, budget=2 * LENGTH + 2, value=0.5, fold=2, own=0.4)
    assert pruner.decide(later) is CONTINUE
    assert run(2, (0.5, 0.6))[-1] is STOP, "who comes to the third fold now is set beside it"


def test_beyond_the_first_fold_the_other_pruner_is_not_asked() -> None:
    pruner = build_pruner(PrunerConfig(name="median", startup=1), [5], "max", fold_rungs=[LENGTH + 1])
    for trial, value in enumerate((0.9, 0.8, 0.3)):
        report = TrialReport(trial=trial, budget=LENGTH + 2, value=value, fold=1, own=value)
        assert pruner.decide(report) is CONTINUE


def test_errors_are_compared_the_other_way_round() -> None:
    study = Study(reduction=9, direction="min")
    assert study.folds_of(0, EVENLY_WORSE) == 3
    assert study.folds_of(1, BEST) == 2


def test_the_first_fold_is_the_other_pruners() -> None:
    study = Study("median")
    assert study.folds_of(0, BEST) == 3
    assert study.folds_of(1, (0.6, 0.9, 0.9)) == 0


def test_without_further_folds_nothing_is_added() -> None:
    assert type(build_pruner(PrunerConfig(), [5], "max")) is type(
        build_pruner(PrunerConfig(), [5], "max", fold_rungs=[])
    )


@given(st.lists(st.tuples(*[st.integers(-100, 100)] * 2), min_size=2, max_size=8))
def test_the_test_is_the_paired_t_test(pairs: list[tuple[int, int]]) -> None:
    left, right = zip(*pairs, strict=True)
    if len({a - b for a, b in pairs}) == 1:
        assert surely_smaller(left, right) == (left[0] < right[0])
    else:
        assert surely_smaller(left, right) == (stats.ttest_rel(left, right, alternative="less").pvalue < 0.05)


def test_two_folds_are_enough_only_for_differences_that_hardly_vary() -> None:
    assert surely_smaller([0.1, 0.2], [0.2, 0.3])
    assert not surely_smaller([0.1, 0.2], [0.2, 0.4])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_does_not_get_another_fold(value: float) -> None:
    study = Study(reduction=9)
    assert study.folds_of(0, BEST) == 3
    assert study.folds_of(1, (0.7, value, 0.9)) <= 2
