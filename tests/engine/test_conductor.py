"""The conductor without Ray: a real record, proposer, pruner and tracking store, and a clock of our own."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from licap.fields import Scalar
from licap.trial import Report
from search.engine.conductor import Conductor
from search.engine.failing import FirstTrials
from search.engine.messages import Assignment, Failure, Interruption, StepResult
from search.engine.side import SideTracker
from search.space import SearchSpace
from search.strategy import Proposer, build_pruner
from search.study import Decided, Ended, Proposed, Reported, Study, StudyEnded, TrialRecord
from search.tracking import Tracker, tracking_uri

SPACE = """\
name: small
metric: {metric}
config:
  pretrain: {{max_epochs: 2}}
  downstream: {{max_epochs: 6}}
search:
  pretrain.imp_ratio: {{type: float, low: 0.1, high: 0.4}}
  downstream.input: {{type: categorical, choices: [features, embeddings]}}
sampler: random
pruner: {{name: asha, grace: 2, reduction: 2}}
trials: 4
report_every: 2
"""
TRACEBACK = 'Traceback\n  File "a.py", line 1, in f\nValueError: one\nof two lines\n'
CONSTANT = "ranks undefined: all predictions are equal. Spearman is set to its worst value, -1"


@dataclass
class Witness:
    """A watch that notes what it is told, and how many events the record held by then."""

    study: Study
    told: list[tuple[str, int, int]] = field(default_factory=list)
    ends: dict[int, tuple[str, bool]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    def started(self, number: int, values: Mapping[str, Scalar]) -> None:
        self.told.append(("started", number, len(self.study.events)))

    def reported(self, number: int, report: Report, value: float) -> None:
        self.told.append(("reported", number, len(self.study.events)))

    def ended(self, number: int, state: str, value: float | None, message: str, *, ranked: bool) -> None:
        self.told.append(("ended", number, len(self.study.events)))
        self.ends[number] = (state, ranked)

    def said(self, text: str) -> None:
        self.words.append(text)

    def resumed(self, trials: Sequence[TrialRecord]) -> None:
        self.words.append(f"{len(trials)} trials")


@dataclass
class Desk:
    """A conductor and all that stands around it."""

    space: SearchSpace
    study: Study
    root: Path
    conductor: Conductor
    witness: Witness
    interruption: Interruption
    now: list[float]
    kills: list[int]

    def next(self) -> Assignment:
        """The next trial, which there must be."""
        assignment = self.conductor.propose()
        assert assignment is not None
        return assignment

    def run(self, value: float, *, notes: tuple[str, ...] = ()) -> int:
        """A trial that has one value throughout, run until it ends. Returns its number."""
        number = self.next().number
        for first in (1, 3, 5, 7):
            reports = tuple(report(budget, value, self.space) for budget in (first, first + 1))
            if self.conductor.receive(number, StepResult(reports, finished=first == 7, notes=notes)):
                return number
        raise AssertionError("a trial that has finished goes on")

    def fail(self, kind: str) -> int:
        """A trial that fails at once. Returns its number."""
        number = self.next().number
        self.conductor.receive(number, StepResult((), finished=True, failure=Failure(kind, "because")))
        return number

    def state(self, number: int) -> tuple[str, str | None]:
        """State and failure of a trial, as the record has it."""
        [trial] = [each for each in Study.open(self.root, "small").trials() if each.number == number]
        return trial.state, trial.failure


def report(budget: int, value: float, space: SearchSpace) -> Report:
    """A report at a budget; the first two epochs pretrain."""
    stage, epoch = ("pretrain", budget - 1) if budget <= 2 else ("downstream", budget - 3)
    return Report(stage, epoch, budget, {f"val.{space.metric.name}": value})


class Desks:
    """Makes a desk for each space, all on one tracking store."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._open: list[tuple[Study, SideTracker]] = []

    def __call__(self, *overrides: str, metric: str = "spearman", slots: int = 1) -> Desk:
        space = SearchSpace.from_text(SPACE.format(metric=metric), source="small.yaml", overrides=overrides)
        study = Study.create(self.root, "small", space.to_yaml())
        witness = Witness(study)
        tracker = SideTracker(Tracker(tracking_uri(self.root, None), "small"), witness.said)
        tracker.__enter__()
        self._open.append((study, tracker))
        interruption, now, kills = Interruption(), [0.0], [7]
        conductor = Conductor(
            space,
            study,
            proposer=Proposer(
                space.parameters,
                sampler=space.sampler,
                seed=space.seed,
                direction=space.metric.direction,
                starting_points=space.starting_points,
            ),
            pruner=build_pruner(space.pruner, space.rungs(), space.metric.direction),
            tracker=tracker,
            watch=witness,
            slots=slots,
            tags={"dataset_fingerprint": "abc"},
            interruption=interruption,
            clock=lambda: now[0],
            memory_kills=lambda: kills[0],
        )
        return Desk(space, study, self.root, conductor, witness, interruption, now, kills)

    def close(self) -> None:
        """Closes what is open; the tracking store then holds everything."""
        while self._open:
            study, tracker = self._open.pop()
            tracker.__exit__(None, None, None)
            study.close()


@pytest.fixture
def desks(tmp_path: Path, empty_database: Path) -> Iterator[Desks]:
    """Desks in a fresh root."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    made = Desks(tmp_path)
    yield made
    made.close()


def trial_runs(root: Path) -> dict[int, Any]:
    """The trials' runs in the tracking store, by number."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=tracking_uri(root, None))
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return {int(run.data.tags["trial"]): run for run in client.search_runs(ids, "tags.kind = 'trial'")}


def kinds(events: Sequence[object]) -> list[str]:
    """Names of events."""
    return [type(event).__name__ for event in events]


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


def test_a_grid_that_is_used_up_ends_the_search_and_says_so(desks: Desks) -> None:
    desk = desks("sampler=grid", "pretrain.imp_ratio=0.1", "trials=9")
    desk.run(0.5)
    desk.run(0.6)
    assert desk.conductor.propose() is None
    assert desk.conductor.finished
    assert desk.conductor.stop_reason is None
    assert any("2 points" in text for text in desk.witness.words)
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
