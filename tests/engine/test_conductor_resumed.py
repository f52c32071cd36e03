"""What a resumed search takes over from the record: time that has run, trials that go on, and nothing twice."""

from __future__ import annotations

import time

import pytest
from desk import Desk, Desks, kinds, report

from search.engine.messages import StepResult
from search.study import Ended, Reported, Study, StudyEnded


def stretch(desk: Desk, monkeypatch: pytest.MonkeyPatch, until: float) -> None:
    """Lets the desk's clock and the record's go on to a moment."""
    desk.now[0] = until
    monkeypatch.setattr(time, "time", lambda: 1e9 + until)


def test_only_time_in_which_a_search_ran_counts_against_the_time_budget(
    desks: Desks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1e9)
    desk = desks("time_budget=60s", "trials=9")
    stretch(desk, monkeypatch, 40.0)
    desk.run(0.5)
    # Killed; a day later it goes on.
    later = 86_400.0
    monkeypatch.setattr(time, "time", lambda: 1e9 + later)
    desk = desks.resume(now=later)
    assert desk.conductor.stop_reason is None
    stretch(desk, monkeypatch, later + 19.5)
    running = desk.next().number
    assert desk.conductor.stop_reason is None
    stretch(desk, monkeypatch, later + 20.0)
    assert desk.conductor.stop_reason == "time budget"
    desk.conductor.close()
    assert desk.state(running)[0] == "interrupted"
    # What was used up stays so, however long nobody looked; with a larger budget the rest of it is there.
    monkeypatch.setattr(time, "time", lambda: 1e9 + 2 * later)
    assert desks.resume(now=2 * later).conductor.stop_reason == "time budget"
    desk = desks.resume("time_budget=70s", now=2 * later)
    assert desk.conductor.stop_reason is None
    stretch(desk, monkeypatch, 2 * later + 10.0)
    assert desk.conductor.stop_reason == "time budget"


def test_trials_that_were_cut_off_go_on_first_in_the_order_of_their_numbers(desks: Desks) -> None:
    desk = desks("trials=5", slots=3)
    for value, budget in ((0.9, 2), (0.8, 1), (0.7, 0)):
        number = desk.next().number
        if budget:
            reports = tuple(report(each, value, desk.space) for each in range(1, budget + 1))
            desk.conductor.receive(number, StepResult(reports, finished=False, notes=("a note",)))
    desk.conductor.close()
    values = [trial.values for trial in desk.study.trials()]
    desk = desks.resume(slots=3)
    taken = [desk.next() for _ in range(3)]
    assert [(each.number, each.recorded) for each in taken] == [(0, 2), (1, 1), (2, 0)]
    assert [desk.study.trial(number).values for number in range(3)] == values
    assert kinds(desk.study.events)[-3:] == ["Restarted"] * 3
    # What is repeated from a checkpoint is not recorded again, and what is new is.
    again = tuple(report(each, 0.9, desk.space) for each in (1, 2, 3))
    assert not desk.conductor.receive(0, StepResult(again, finished=False))
    assert [each.budget for each in desk.study.events if isinstance(each, Reported) and each.trial == 0] == [1, 2, 3]
    desk.conductor.receive(0, StepResult((report(8, 0.9, desk.space),), finished=True))
    assert desk.next().number == 3 and not desk.conductor.finished


def test_a_cut_off_trial_without_a_new_report_ends_with_the_value_it_had(desks: Desks) -> None:
    desk = desks("trials=2")
    number = desk.next().number
    desk.conductor.receive(
        number, StepResult((report(1, 0.9, desk.space), report(8, 0.75, desk.space)), finished=False)
    )
    desk.conductor.close()
    desk = desks.resume()
    assert desk.next().number == number
    desk.conductor.receive(number, StepResult((report(8, 0.75, desk.space),), finished=True))
    assert desk.state(number) == ("complete", None)
    end = [event for event in desk.study.events if isinstance(event, Ended)][-1]
    assert end.budget == 8 and desk.study.trial(number).final("spearman") == 0.75
    assert desk.witness.ends == {number: ("complete", True)}


def test_the_seconds_of_a_trial_are_those_of_all_its_stretches(desks: Desks) -> None:
    desk = desks("trials=2", "trial_timeout=100s")
    number = desk.next().number
    desk.now[0] = 30.0
    desk.conductor.receive(number, StepResult((report(1, 0.9, desk.space),), finished=False, ran_s=25.0))
    desk.conductor.close()
    assert desk.study.trial(number).seconds == 25.0
    desk = desks.resume(now=1000.0)
    assert desk.next().time_left_s == 75.0
    desk.now[0] = 1020.0
    # Its worker took ten seconds to start.
    desk.conductor.receive(number, StepResult((report(2, 0.9, desk.space),), finished=False, ran_s=10.0))
    desk.now[0] = 1030.0
    desk.conductor.crashed(number, "")
    assert desk.next().time_left_s == 55.0
    desk.now[0] = 1040.0
    desk.conductor.receive(number, StepResult((report(8, 0.9, desk.space),), finished=True))
    assert desk.study.trial(number).seconds == 55.0


def test_a_finished_study_has_nothing_to_go_on_with(desks: Desks) -> None:
    desk = desks("trials=2")
    desk.run(0.9)
    desk.run(0.95)
    desk.conductor.close()
    desk = desks.resume()
    assert desk.conductor.finished and desk.conductor.propose() is None
    desk.conductor.close()
    end = Study.open(desk.root, "small").end
    assert end is not None and end.reason == "finished"
    assert [event.reason for event in desk.study.events if isinstance(event, StudyEnded)] == ["finished"] * 2


def test_after_a_resume_a_new_trial_gets_the_next_number_and_other_values(desks: Desks) -> None:
    desk = desks("trials=4")
    desk.run(0.9)
    desk.run(0.1)
    before = [dict(trial.values) for trial in desk.study.trials()]
    desk = desks.resume()
    assert desk.next().number == 2
    assert dict(desk.study.trial(2).values) not in before
    # It is compared with those before the cut: the third of three, of which one goes on.
    assert desk.conductor.receive(2, StepResult((report(4, 0.1, desk.space),), finished=False))
    assert desk.state(2) == ("pruned", None)
