"""A search that is cut off anywhere and resumed ends as the one that was never cut: the rule, tried at every cut.

Record, proposer, pruner and conductor are real; trials are curves that follow from their values, and have checkpoints.
What a kill does to processes is tested in test_resume_after_kills.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from licap.fields import Scalar
from licap.folded import fold_metric
from licap.trial import Report
from search.engine.conductor import Conductor
from search.engine.messages import Assignment, Interruption, StepResult
from search.engine.past import Past, recall
from search.space import SearchSpace
from search.strategy import Proposer, build_pruner
from search.study import Event, Reported, Study, TrialRecord
from search.study.record import RECORD_FILE

SPACE = """\
name: cut
config:
  pretrain: {max_epochs: 2}
  downstream: {max_epochs: 10}
search:
  pretrain.imp_ratio: {type: float, low: 0.1, high: 0.4}
  downstream.lr: {type: float, low: 1e-4, high: 1e-1, log: true}
  downstream.input: {type: categorical, choices: [features, embeddings]}
start: [{pretrain.imp_ratio: 0.2, downstream.lr: 5e-3, downstream.input: features}]
pruner: {name: asha, grace: 2, reduction: 2}
trials: 9
report_every: 3
"""

FOLDS = "folds: [0, 2, 1]\nsampler: {name: tpe, startup: 3}\n"


class Silent:
    """Stands for display and tracking, which decide nothing."""

    def __getattr__(self, name: str) -> object:
        return lambda *_, **__: None


class Curve:
    """A trial without training: its reports follow from its values alone. Some end early, exactly at a rung."""

    def __init__(self, values: Mapping[str, Scalar]) -> None:
        self._values = values

    def reports(self, folds: Sequence[int]) -> list[Report]:
        """Of one fold after the other, as `FoldedTrial` has them."""
        found, ends = self._on_fold(0), list[float]()
        for place, fold in enumerate(folds):
            own = self._on_fold(fold)
            values = [report.metrics["val.spearman"] for report in own]
            if not place:
                found = own
            for report, value in zip(own, values, strict=True) if place else ():
                mean = (sum(ends) + value) / (place + 1) if report is own[-1] else sum(ends) / place
                metrics = {"val.spearman": mean, fold_metric(place, "val.spearman"): value}
                found.append(replace(report, budget=report.budget + 12 * place, metrics=metrics))
            ends.append(values[-1])
        return found

    def _on_fold(self, fold: int) -> list[Report]:
        lr, ratio = float(self._values["downstream.lr"]), float(self._values["pretrain.imp_ratio"])
        first = 3 if self._values["downstream.input"] == "features" else 1
        last = 4 if lr > 0.03 else 8 if lr > 0.01 else 12
        goal = math.sin(40 * ratio) + math.log10(lr) + 0.1 * math.sin(50 * fold * ratio)
        return [
            Report("pretrain" if budget <= 2 else "downstream", 0, budget, {"val.spearman": goal - 1 / budget})
            for budget in range(first, last + 1)
        ]


class Machine:
    """Runs assignments one after another, with a checkpoint before every stretch but the first."""

    def __init__(self) -> None:
        self.checkpoints: dict[int, int] = {}

    def run(self, conductor: Conductor, assignment: Assignment, values: Mapping[str, Scalar]) -> None:
        reports = Curve(values).reports(assignment.folds)
        kept = self.checkpoints.get(assignment.number, 0)
        place = sum(report.budget <= kept for report in reports) if 0 < kept <= assignment.recorded else 0
        while True:
            batch = reports[place : place + assignment.report_every]
            place += len(batch)
            finished = place >= len(reports)
            if conductor.receive(assignment.number, StepResult(tuple(batch), finished)):
                return
            self.checkpoints[assignment.number] = reports[place - 1].budget


class KilledError(Exception):
    """Stands for a kill: nothing is tidied up."""


def kill_after(study: Study, events: int) -> None:
    """Lets the process "die" when it has written some events."""
    write, left = study.append, [events]

    def append(event: Event) -> None:
        write(event)
        left[0] -= 1
        if not left[0]:
            raise KilledError

    study.append = append


def search(
    root: Path, space: SearchSpace, *, resume: bool, machine: Machine, events: int | None = None
) -> tuple[TrialRecord, ...]:
    """Runs what is left of the study, or dies after some events."""
    study = Study.resume(root, "cut", "data") if resume else Study.create(root, "cut", space.to_yaml(), "data")
    with study:
        if events is not None:
            kill_after(study, events)
        proposer = Proposer(
            space.parameters,
            sampler=space.sampler,
            seed=space.seed,
            direction="max",
            starting_points=space.starting_points,
        )
        pruner = build_pruner(space.pruner, space.rungs(), "max", fold_rungs=space.fold_rungs())
        past = recall(study, space, proposer, pruner) if resume else Past()
        conductor = Conductor(
            space,
            study,
            proposer=proposer,
            pruner=pruner,
            tracker=Silent(),
            watch=Silent(),
            slots=1,
            tags={},
            interruption=Interruption(),
            past=past,
        )
        while (assignment := conductor.propose()) is not None:
            machine.run(conductor, assignment, study.trial(assignment.number).values)
        conductor.close()
        return study.trials()


def outcome(trials: tuple[TrialRecord, ...]) -> list[object]:
    """All that must not depend on where a search was cut."""
    return [(trial.number, dict(trial.values), trial.starting_point, trial.state, trial.reports) for trial in trials]


@pytest.fixture(scope="module", params=["tpe", "random", "cmaes", "folds"])
def space(request: pytest.FixtureRequest) -> SearchSpace:
    """A small space with each of the samplers, and one with folds."""
    folds = request.param == "folds"
    text = SPACE + (FOLDS if folds else f"sampler: {{name: {request.param}, startup: 3}}\n")
    return SearchSpace.from_text(text, source="cut.yaml")


def test_a_study_that_is_cut_after_any_event_ends_as_the_uncut_one(space: SearchSpace, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    machine = Machine()
    expected = outcome(search(whole, space, resume=False, machine=machine))
    assert {state for _, _, _, state, _ in expected} == {"complete", "pruned"}
    record = (whole / "studies" / "cut" / RECORD_FILE).read_bytes()
    lines = record.splitlines(keepends=True)
    for cut in range(2, len(lines) + 1):
        root = tmp_path / f"cut-{cut}"
        folder = root / "studies" / "cut"
        shutil.copytree(whole / "studies" / "cut", folder)
        # A torn line, as a kill can leave it.
        torn = lines[cut][: len(lines[cut]) // 2] if cut < len(lines) else b""
        (folder / RECORD_FILE).write_bytes(b"".join(lines[:cut]) + torn)
        kept = Machine()
        kept.checkpoints = {number: budget - cut % 3 for number, budget in machine.checkpoints.items()}
        assert outcome(search(root, space, resume=True, machine=kept)) == expected, f"cut after line {cut}"
        budgets = [(e.trial, e.budget) for e in Study.open(root, "cut").events if isinstance(e, Reported)]
        assert len(budgets) == len(set(budgets)), f"cut after line {cut}: a report stands twice"
        shutil.rmtree(root)


def test_a_study_that_is_cut_again_and_again_gets_to_the_same_end(space: SearchSpace, tmp_path: Path) -> None:
    expected = outcome(search(tmp_path / "whole", space, resume=False, machine=Machine()))
    root, machine = tmp_path / "often", Machine()
    for attempt in range(100):
        try:
            found = outcome(search(root, space, resume=attempt > 0, machine=machine, events=5))
        except KilledError:
            continue
        assert found == expected
        return
    raise AssertionError("the search does not come to its end")


def test_more_trials_extend_a_finished_study(space: SearchSpace, tmp_path: Path) -> None:
    longer = SearchSpace.from_text(space.to_yaml(), source="cut.yaml", overrides=["trials=12"])
    expected = outcome(search(tmp_path / "whole", longer, resume=False, machine=Machine()))
    search(tmp_path / "short", space, resume=False, machine=Machine())
    assert outcome(search(tmp_path / "short", longer, resume=True, machine=Machine())) == expected
