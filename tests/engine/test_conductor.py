"""What the conductor tells whom, in which order, and when a search ends."""

from __future__ import annotations

import math

from desk import (
    CONSTANT,
    TRACEBACK,
    Desks,
    kinds,
    report,
    trial_runs,
)

from licap.trial import Report
from search.engine.messages import Failure, StepResult
from search.study import Decided, Ended, Proposed, Reported, StudyEnded


def test_everybody_is_told_after_the_record(desks: Desks) -> None:
    desk = desks()
    desk.run(0.5)
    for what, number, held in desk.witness.told:
        kind = {"started": Proposed, "reported": Reported, "ended": Ended}[what]
        assert isinstance(desk.study.events[held - 1], kind), f"{what} {number} was told before it was recorded"
    assert kinds(desk.study.events) == ["Opened", "Proposed", *["Reported"] * 8, "Ended"]


def test_each_end_of_a_trial_is_recorded_and_tracked(desks: Desks) -> None:
    desk = desks("trials=6")
    best = desk.run(0.9)
    worse = desk.run(0.1)
    diverged = desk.next().number
    failure = Failure("diverged", "downstream epoch 1: loss is not finite.")
    reports = (report(1, 0.5, desk.space), report(2, math.nan, desk.space))
    assert desk.conductor.receive(diverged, StepResult(reports, finished=True, failure=failure))
    crashed = desk.next().number
    desk.conductor.crashed(crashed, TRACEBACK)
    refused = desk.next().number
    failure = Failure("invalid-config", "pretrain.bins.count: 9 bins, but only 4 nodes.")
    assert desk.conductor.receive(refused, StepResult((), finished=True, failure=failure))
    cut = desk.next().number
    desk.conductor.close()
    expected = {
        best: ("complete", None),
        worse: ("pruned", None),
        diverged: ("failed", "diverged"),
        crashed: ("failed", "crashed"),
        refused: ("failed", "invalid-config"),
        cut: ("interrupted", "interrupted"),
    }
    assert {number: desk.state(number) for number in expected} == expected
    assert desk.study.trial(crashed).message == "ValueError: one"
    desks.close()
    runs = trial_runs(desk.root)
    assert {number: runs[number].data.tags["state"] for number in runs} == {n: s for n, (s, _) in expected.items()}
    assert {runs[number].data.tags["failure"] for number in (diverged, refused)} == {"diverged", "invalid-config"}
    assert runs[best].info.status == "FINISHED"
    assert all(run.info.status != "RUNNING" for run in runs.values())


def test_a_trial_is_pruned_at_its_rung_and_not_heard_again(desks: Desks) -> None:
    desk = desks()
    desk.run(0.9)
    number = desk.run(0.1)
    [stop] = [event for event in desk.study.events if isinstance(event, Decided)]
    assert (stop.trial, stop.budget) == (number, 4)
    before = len(desk.study.events)
    assert desk.conductor.receive(number, StepResult((report(5, 0.99, desk.space),), finished=False))
    desk.conductor.crashed(number, "too late")
    assert len(desk.study.events) == before


def test_where_less_is_better_the_larger_value_is_pruned(desks: Desks) -> None:
    desk = desks(metric="rmse")
    assert [desk.state(desk.run(value))[0] for value in (1.0, 2.0, 0.5)] == ["complete", "pruned", "complete"]


def test_a_trial_that_reaches_its_end_is_complete_whatever_the_pruner_thinks(desks: Desks) -> None:
    desk = desks()
    desk.run(0.9)
    number = desk.next().number
    early_end = (Report("downstream", 1, 8, {"val.spearman": 0.1}),)
    assert desk.conductor.receive(number, StepResult(early_end, finished=True))
    assert desk.state(number) == ("complete", None)


def test_constant_predictions_have_no_rank(desks: Desks) -> None:
    desk = desks("pruner=none", metric="rmse")
    desk.run(1.0, notes=(CONSTANT,))
    desk.run(2.0)
    assert desk.witness.ends == {0: ("complete", False), 1: ("complete", True)}


def test_slots_bound_what_runs_at_once(desks: Desks) -> None:
    desk = desks(slots=2)
    desk.next()
    desk.next()
    assert desk.conductor.propose() is None
    assert not desk.conductor.finished
    desk.conductor.crashed(0, TRACEBACK)
    assert desk.next().number == 2
    assert desk.study.trial(0).message


def test_a_grid_that_is_used_up_ends_the_search_and_says_so(desks: Desks) -> None:
    desk = desks("sampler=grid", "pretrain.imp_ratio=0.1", "trials=9")
    desk.run(0.5)
    desk.run(0.6)
    assert desk.conductor.propose() is None
    assert desk.conductor.finished
    assert desk.conductor.stop_reason is None
    assert any("with 2 trials" in text for text in desk.witness.words)
    desk.conductor.close()
    assert isinstance(end := desk.study.events[-1], StudyEnded) and end.reason == "finished"


def test_a_time_budget_that_is_over_starts_nothing_more(desks: Desks) -> None:
    desk = desks("time_budget=60s")
    desk.now[0] = 59.0
    running = desk.next().number
    assert desk.conductor.stop_reason is None
    desk.now[0] = 60.0
    assert desk.conductor.stop_reason == "time budget"
    assert desk.conductor.propose() is None
    desk.conductor.close()
    assert desk.state(running)[0] == "interrupted"
    assert isinstance(end := desk.study.events[-1], StudyEnded) and (end.reason, end.seconds) == ("time budget", 60.0)


def test_an_interruption_ends_the_search(desks: Desks) -> None:
    desk = desks()
    desk.next()
    desk.interruption.ask()
    assert desk.conductor.finished
    desk.conductor.close()
    assert desk.conductor.stop_reason == "interrupted"
    assert isinstance(end := desk.study.events[-1], StudyEnded) and end.reason == "interrupted"


def test_what_is_done_can_no_longer_be_stopped(desks: Desks) -> None:
    desk = desks("trials=1", "time_budget=60s")
    desk.run(0.5)
    desk.now[0] = 100.0
    desk.interruption.ask()
    desk.conductor.close()
    assert desk.conductor.stop_reason is None
    assert isinstance(end := desk.study.events[-1], StudyEnded) and end.reason == "finished"


def test_a_search_that_an_error_broke_off_does_not_claim_to_be_finished(desks: Desks) -> None:
    desk = desks()
    desk.next()
    desk.conductor.close()
    assert isinstance(end := desk.study.events[-1], StudyEnded) and end.reason == "broken off"


def test_the_notes_of_a_trial_are_those_of_its_last_result(desks: Desks) -> None:
    desk = desks(slots=3)
    stalled, recovered, failed = (desk.next().number for _ in range(3))
    for number in (stalled, recovered, failed):
        desk.conductor.receive(number, StepResult((report(1, 0.5, desk.space),), finished=False, notes=("stalled",)))
    last = (report(2, 0.5, desk.space),)
    desk.conductor.receive(stalled, StepResult(last, finished=True, notes=("stalled", "more")))
    desk.conductor.receive(recovered, StepResult(last, finished=True))
    desk.conductor.receive(failed, StepResult((), finished=True, failure=Failure("diverged", "not finite")))
    assert [desk.study.trial(number).notes for number in (stalled, recovered, failed)] == [
        ("stalled", "more"),
        (),
        ("stalled",),
    ]


def test_what_several_slots_warn_of_is_said_once(desks: Desks) -> None:
    desk = desks(slots=2)
    for number, warning in ((desk.next().number, "full"), (desk.next().number, "full"), (0, "broken")):
        desk.conductor.receive(number, StepResult((), finished=False, warnings=(warning,)))
    assert desk.witness.words == ["warning: full", "warning: broken"]
