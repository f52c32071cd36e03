"""What a sampler sees of a study: a window that follows from the history, failures in the worst place."""

from __future__ import annotations

import random
from collections.abc import Sequence

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from search.strategy import memory
from search.strategy.memory import Memory

ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


@pytest.fixture(autouse=True)
def small_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three best, four last."""
    monkeypatch.setattr(memory, "BEST", 3)
    monkeypatch.setattr(memory, "LAST", 4)


def remembered(
    values: Sequence[float | str], *, sign: float = -1.0, complete_only: bool = False, values_first: int = 1
) -> tuple[Memory, optuna.Study]:
    """A memory of trials that ended in order: complete with a value, `pruned`, `failed` or `befallen`."""
    kept = Memory(sign=sign, complete_only=complete_only, values_first=values_first)
    study = optuna.create_study(storage=kept, direction="maximize" if sign < 0 else "minimize")
    for value in values:
        trial = study.ask({"x": FloatDistribution(0, 1)})
        kept.begin(trial.number, trial._trial_id)
        if isinstance(value, float):
            ended = study.tell(trial, value)
        else:
            if value == "pruned":
                trial.report(trial.number / 100, 5)
            ended = study.tell(trial, state=TrialState.PRUNED if value == "pruned" else TrialState.FAIL)
        kept.end(ended, speaks=value == "failed")
    return kept, study


def shown(kept: Memory, states: tuple[TrialState, ...] | None = ENDED) -> list[FrozenTrial]:
    return kept.get_all_trials(0, deepcopy=False, states=states)


def numbers(trials: Sequence[FrozenTrial]) -> list[int]:
    return [trial.number for trial in trials]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_best_and_the_last_trials_are_shown(sign: float) -> None:
    kept, _ = remembered([-sign * value for value in (9.0, 1.0, 8.0, 2.0, 7.0, 3.0, 3.0, 4.0, 4.0, 0.0)], sign=sign)
    assert numbers(shown(kept)) == [0, 2, 4, 6, 7, 8, 9]


def test_a_complete_trial_is_better_than_a_pruned_one_and_a_later_pruned_one_better_by_its_value() -> None:
    kept, _ = remembered(["pruned", 0.1, "pruned", "pruned", 0.2, *["befallen"] * 9, 0.0, 0.0, 0.0, 0.0])
    assert numbers(shown(kept)) == [1, 4, 14, 15, 16, 17]
    kept, _ = remembered(["pruned", "pruned", "pruned", "pruned", *["failed"] * 4])
    assert numbers(shown(kept)) == [1, 2, 3, 4, 5, 6, 7], "3 got furthest up, 0 has left the window"


def test_what_befell_a_trial_takes_no_room() -> None:
    kept, _ = remembered([0.1, 0.2, *["befallen"] * 9])
    assert numbers(shown(kept)) == [0, 1]


def test_a_failure_is_shown_as_pruned_before_it_reported() -> None:
    kept, _ = remembered([0.5, "failed", "pruned"])
    trials = shown(kept)
    assert [(trial.state.name, bool(trial.intermediate_values)) for trial in trials] == [
        ("COMPLETE", False),
        ("PRUNED", False),
        ("PRUNED", True),
    ]
    assert kept.get_trial(1).state == TrialState.FAIL, "what Optuna was told is another matter"


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_samplers_of_complete_trials_see_a_failure_with_the_worst_value(sign: float) -> None:
    kept, study = remembered(["failed", "pruned"], sign=sign, complete_only=True)
    assert shown(kept) == [], "no value is known yet"
    for value in (0.5, 0.25, 0.75):
        kept.end(told(kept, study, -sign * value), speaks=True)
    assert [(trial.number, trial.value) for trial in shown(kept)] == [
        (0, -sign * 0.25),
        (2, -sign * 0.5),
        (3, -sign * 0.25),
        (4, -sign * 0.75),
    ]


def test_a_sampler_that_needs_values_sees_no_failure_before_it_has_them() -> None:
    kept, study = remembered(["failed", 0.5, "failed"], complete_only=True, values_first=2)
    assert numbers(shown(kept)) == [1]
    kept.end(told(kept, study, 0.25), speaks=True)
    assert [(trial.number, trial.value) for trial in shown(kept)] == [(0, 0.25), (1, 0.5), (2, 0.25), (3, 0.25)]


def told(kept: Memory, study: optuna.Study, value: float) -> FrozenTrial:
    trial = study.ask({"x": FloatDistribution(0, 1)})
    kept.begin(trial.number, trial._trial_id)
    return study.tell(trial, value)


def test_running_trials_are_shown_until_they_end() -> None:
    kept, study = remembered([0.5] * 12)
    trial = study.ask({"x": FloatDistribution(0, 1)})
    kept.begin(trial.number, trial._trial_id)
    assert numbers(shown(kept, (TrialState.RUNNING,))) == [12]
    assert shown(kept, None)[-1].params == trial.params
    kept.end(study.tell(trial, 0.0), speaks=True)
    assert shown(kept, (TrialState.RUNNING,)) == [] and numbers(shown(kept))[-1] == 12


def test_the_window_does_not_grow() -> None:
    rng = random.Random(0)
    kinds = ["pruned", "failed", "befallen"]
    kept, _ = remembered([rng.random() if rng.random() < 0.5 else rng.choice(kinds) for _ in range(300)])
    assert len(shown(kept, None)) <= 3 + 4


def test_pruned_trials_are_ordered_by_how_far_they_got_then_by_their_value() -> None:
    kept, study = remembered([])
    for budget, value in ((9, float("nan")), (9, 0.1), (9, 0.5), (9, 0.0), (3, 0.9), (None, 0.0)):
        trial = study.ask({"x": FloatDistribution(0, 1)})
        kept.begin(trial.number, trial._trial_id)
        if budget is not None:
            trial.report(value, budget)
        kept.end(study.tell(trial, state=TrialState.PRUNED), speaks=False)
    for _ in range(4):
        trial = study.ask({"x": FloatDistribution(0, 1)})
        kept.begin(trial.number, trial._trial_id)
        kept.end(study.tell(trial, state=TrialState.FAIL), speaks=True)
    assert numbers(shown(kept)) == [1, 2, 3, 6, 7, 8, 9]
