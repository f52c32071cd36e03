"""What the conductor makes of trials that fail, time out or lose their process."""

from __future__ import annotations

import math

import pytest
from desk import (
    TRACEBACK,
    Desks,
    kinds,
    report,
)

from search.engine.failing import FirstTrials
from search.engine.messages import Failure, StepResult
from search.study import StudyEnded, TrialRecord


def test_a_trial_whose_process_died_goes_on_under_its_number_a_few_times(desks: Desks) -> None:
    desk = desks("max_failures=2")
    assert desk.next().recorded == 0
    for _ in range(2):
        desk.conductor.receive(0, StepResult((report(1, 0.5, desk.space), report(2, 0.5, desk.space)), finished=False))
        desk.conductor.crashed(0, "")
        again = desk.next()
        assert (again.number, again.recorded) == (0, 2)
        # What it repeats from its checkpoint is not recorded twice.
        desk.conductor.receive(0, StepResult((report(1, 0.5, desk.space),), finished=False))
    desk.conductor.crashed(0, "")
    assert desk.state(0) == ("failed", "crashed")
    assert kinds(desk.study.events).count("Restarted") == 2
    assert kinds(desk.study.events).count("Reported") == 2


def test_the_start_of_a_worker_is_no_part_of_a_trials_time(desks: Desks) -> None:
    desk = desks("trial_timeout=60s")
    assert desk.next().time_left_s == 60
    desk.now[0] += 30
    desk.conductor.receive(0, StepResult((report(1, 0.5, desk.space),), finished=False, ran_s=5))
    desk.now[0] += 10
    desk.conductor.crashed(0, "")
    again = desk.next()
    assert again.number == 0 and again.time_left_s == 45
    desk.now[0] += 30
    desk.conductor.receive(0, StepResult((report(2, 0.5, desk.space),), finished=True, ran_s=2))
    assert desk.study.trial(0).seconds == 17


def test_a_fault_of_the_program_is_not_tried_again(desks: Desks) -> None:
    desk = desks()
    desk.next()
    desk.conductor.crashed(0, TRACEBACK)
    assert desk.state(0) == ("failed", "crashed")
    assert desk.next().number == 1


def test_a_worker_that_the_kernel_killed_for_memory_is_told_apart(desks: Desks) -> None:
    desk = desks("max_failures=0")
    desk.next()
    desk.conductor.crashed(0, "")
    desk.next()
    desk.kills[0] += 1
    desk.conductor.crashed(1, "")
    desk.next()
    desk.conductor.crashed(2, "")
    assert [desk.state(number)[1] for number in range(3)] == ["crashed", "oom", "crashed"]


def test_a_trial_is_told_how_long_it_may_run_and_its_earlier_stretches_count(desks: Desks) -> None:
    desk = desks("trial_timeout=1m")
    assert desk.next().time_left_s == 60.0
    desk.now[0] = 25.0
    desk.conductor.crashed(0, "")
    desk.now[0] = 1000.0
    assert desk.next().time_left_s == 35.0
    desk.now[0] = 1020.0
    desk.conductor.crashed(0, "")
    assert desk.next().time_left_s == 15.0


def test_a_worker_that_ends_itself_when_the_time_is_over_has_timed_out_and_is_not_started_again(desks: Desks) -> None:
    desk = desks("trial_timeout=1m", "max_failures=2")
    desk.next()
    desk.now[0] = 65.0
    desk.conductor.crashed(0, "")
    assert desk.state(0) == ("failed", "timeout")
    assert desk.next().number == 1


def test_a_search_ends_where_its_first_trials_all_fail_alike(desks: Desks) -> None:
    desk = desks("trials=9", "stop_after_failures=3", slots=2)
    desk.fail("oom")
    desk.fail("oom")
    assert desk.conductor.stop_reason is None
    desk.fail("oom")
    assert desk.conductor.stop_reason == "failures"
    assert desk.conductor.propose() is None
    desk.conductor.close()
    assert isinstance(end := desk.study.events[-1], StudyEnded) and end.reason == "failures"


@pytest.mark.parametrize(
    "ends",
    [
        ("oom", "oom", "data", "oom", "oom", "oom"),
        ("oom", "good", "oom", "oom", "oom", "oom"),
        ("good", "oom", "oom", "oom", "oom", "oom"),
    ],
)
def test_a_search_goes_on_where_one_of_the_first_trials_ended_otherwise(desks: Desks, ends: tuple[str, ...]) -> None:
    desk = desks("trials=9", "stop_after_failures=3")
    for end in ends:
        desk.run(0.5) if end == "good" else desk.fail(end)
    assert desk.conductor.stop_reason is None


def test_a_pruned_trial_shows_as_well_as_a_complete_one_that_trials_can_run(desks: Desks) -> None:
    desk = desks("trials=9", "stop_after_failures=2", slots=4)
    first = [desk.next().number for _ in range(2)]
    # One beyond the first two is pruned while these still run.
    pruned = desk.next().number
    desk.conductor.receive(pruned, StepResult((report(4, math.nan, desk.space),), finished=False))
    assert desk.state(pruned) == ("pruned", None)
    for number in first:
        desk.conductor.receive(number, StepResult((), finished=True, failure=Failure("oom", "because")))
    assert desk.conductor.stop_reason is None


def test_a_search_can_be_told_to_go_on_whatever_fails(desks: Desks) -> None:
    desk = desks("trials=9", "stop_after_failures=0")
    for _ in range(8):
        desk.fail("crashed")
    assert desk.conductor.stop_reason is None


def test_failures_that_end_first_do_not_outvote_a_trial_that_began_before_them(desks: Desks) -> None:
    desk = desks("trials=9", "stop_after_failures=3", slots=2)
    slow = desk.next().number
    for _ in range(4):
        desk.fail("diverged")
    assert desk.conductor.stop_reason is None
    desk.conductor.receive(slow, StepResult((), finished=True, failure=Failure("diverged", "too")))
    assert desk.conductor.stop_reason == "failures"


def test_all_trials_that_failed_are_a_finished_search(desks: Desks) -> None:
    desk = desks("trials=3", "stop_after_failures=3")
    for _ in range(3):
        desk.fail("data")
    desk.conductor.close()
    assert desk.conductor.stop_reason is None
    assert isinstance(end := desk.study.events[-1], StudyEnded) and end.reason == "finished"


@pytest.mark.parametrize(("earlier", "stops"), [("failed", True), ("complete", False), ("pruned", False)])
def test_after_a_resume_earlier_successes_count_and_earlier_failures_do_not(earlier: str, *, stops: bool) -> None:
    before = TrialRecord(number=0, values={}, starting_point=False, state=earlier, failure="oom")
    first = FirstTrials(2, [before])
    for number in (1, 2):
        assert first.failure is None
        first.begun(number)
        first.ended(number, "failed", Failure("oom", "because"))
    assert (first.failure is not None) == stops
