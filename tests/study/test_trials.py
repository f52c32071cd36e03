"""What became of each trial: a function of the events, and nothing that cannot follow is taken."""

from __future__ import annotations

import math

import pytest

from search.study import Decided, Ended, Event, Opened, Proposed, Reported, Restarted, StudyEnded
from search.study.trials import TrialHistory, TrialRecord


def propose(trial: int) -> Proposed:
    return Proposed(trial=trial, values={"pretrain.lr": trial / 7}, starting_point=trial == 0)


def report(trial: int, budget: int, **metrics: float) -> Reported:
    return Reported(trial=trial, stage="pretrain", epoch=budget - 1, budget=budget, metrics=metrics)


def end(trial: int, state: str, **more: object) -> Ended:
    given = {"failure": None, "message": "", "budget": 3, "seconds": 2.5, **more}
    return Ended(trial=trial, state=state, **given)  # type: ignore[arg-type]


def history(*events: Event) -> TrialHistory:
    found = TrialHistory()
    for event in events:
        found.check(event)
        found.take(event)
    return found


BEFORE = (propose(0), report(0, 1))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (propose(0), "trial 0 is proposed twice"),
        (report(1, 1), "trial 1 was never proposed"),
        (Decided(trial=2, budget=1, decision="stop"), "trial 2 was never proposed"),
        (Restarted(trial=3, reason=""), "trial 3 was never proposed"),
        (end(4, "complete"), "trial 4 was never proposed"),
        (end(0, "running"), "a trial cannot end as 'running'"),
        (end(0, "promoted"), r"cannot end as 'promoted' \(states: complete, pruned, failed, interrupted\)"),
        (end(0, "failed", failure="tired"), "unknown class of failure 'tired'"),
    ],
)
def test_what_cannot_follow_is_refused(event: Event, words: str) -> None:
    found = history(*BEFORE)
    with pytest.raises(ValueError, match=words):
        found.check(event)


@pytest.mark.parametrize("state", ["complete", "pruned", "failed", "interrupted"])
@pytest.mark.parametrize("failure", [None, "oom", "diverged", "invalid-config", "data", "crashed", "timeout"])
def test_an_end_gives_all_that_it_knows(state: str, failure: str | None) -> None:
    ended = end(0, state, failure=failure, message="why", notes=("a", "b"), pretraining="cached")
    assert list(history(*BEFORE, ended)) == [
        TrialRecord(
            number=0,
            values={"pretrain.lr": 0.0},
            starting_point=True,
            state=state,
            failure=failure,
            message="why",
            reports=(report(0, 1),),
            notes=("a", "b"),
            seconds=2.5,
            pretraining="cached",
        )
    ]


def test_events_of_the_study_concern_no_trial() -> None:
    found = history(Opened(pid=1, host="h"), propose(0), StudyEnded(reason="", seconds=1.0))
    assert [(trial.number, trial.state, trial.seconds) for trial in found] == [(0, "running", None)]
    assert history(*BEFORE, Decided(trial=0, budget=1, decision="stop"))[0].state == "running"


def test_trials_are_in_the_order_of_their_numbers_and_know_their_own_reports() -> None:
    found = history(propose(2), propose(0), report(2, 1, a=1.0), propose(1), report(0, 4, a=2.0))
    assert [(trial.number, [each.budget for each in trial.reports]) for trial in found] == [(0, [4]), (1, []), (2, [1])]
    assert found[2].values == {"pretrain.lr": 2 / 7}
    with pytest.raises(KeyError):
        found[3]


def test_a_trial_that_goes_on_runs_again_and_keeps_what_it_has_reported_and_how_long_it_ran() -> None:
    cut = end(0, "interrupted", failure="interrupted", message="cut off", notes=("a",))
    found = history(*BEFORE, report(0, 2), cut, Restarted(trial=0, reason="it was cut off"))
    (trial,) = found
    assert (trial.state, trial.failure, trial.message, trial.budget, trial.seconds) == ("running", None, "", 2, 2.5)


def test_reports_are_in_order_of_budget_one_for_each_and_the_last_of_them_counts() -> None:
    (trial,) = history(propose(0), *[report(0, budget, a=float(budget)) for budget in (2, 1, 3)], report(0, 2, a=7.0))
    assert [(each.budget, each.metrics["a"]) for each in trial.reports] == [(1, 1.0), (2, 7.0), (3, 3.0)]
    assert trial.budget == 3 and trial.metrics() == {"a": 3.0}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_no_final_value(value: float) -> None:
    (trial,) = history(propose(0), report(0, 1, **{"val.rmse": 1.0}), report(0, 2, **{"val.rmse": value, "rmse": 1.0}))
    assert trial.final("rmse") is None and trial.final("spearman") is None


def test_a_final_value_is_that_of_the_last_report() -> None:
    (trial,) = history(propose(0), report(0, 1, **{"val.rmse": 1.0}), report(0, 2, **{"val.rmse": 0.0}))
    assert trial.final("rmse") == 0.0
    (fresh,) = history(propose(1))
    assert fresh.final("rmse") is None and fresh.metrics() == {} and fresh.budget == 0
