"""A conductor without Ray, for tests: a real record, proposer, pruner and tracking store, and a clock of our own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from licap.fields import Scalar
from licap.trial import Report
from search.engine.conductor import Conductor
from search.engine.messages import Assignment, Failure, Interruption, StepResult
from search.engine.past import Past, recall
from search.engine.side import SideTracker
from search.space import SearchSpace
from search.strategy import Proposer, build_pruner
from search.study import Study, TrialRecord
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

    def resumed(self, trials: Sequence[TrialRecord], elapsed: float) -> None:
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


def as_it_is(name: str, listener: Any) -> Any:
    """A listener, unchanged."""
    return listener


class Desks:
    """Makes a desk for each space, all on one tracking store.

    around: is given each of the conductor's listeners, by name, and returns what stands in its place.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.around: Callable[[str, Any], Any] = as_it_is
        self._open: list[tuple[Study, SideTracker]] = []

    def __call__(self, *overrides: str, metric: str = "spearman", slots: int = 1, now: float = 0.0) -> Desk:
        space = SearchSpace.from_text(SPACE.format(metric=metric), source="small.yaml", overrides=overrides)
        return self._desk(space, Study.create(self.root, "small", space.to_yaml()), slots, now, resume=False)

    def resume(self, *overrides: str, slots: int = 1, now: float = 0.0) -> Desk:
        """Goes on with the study, whose search has ended or was left as after a kill."""
        self.close()
        text = Study.open(self.root, "small").space_path.read_text(encoding="utf-8")
        space = SearchSpace.from_text(text, source="small.yaml", overrides=overrides)
        return self._desk(space, Study.resume(self.root, "small", ""), slots, now, resume=True)

    def _desk(self, space: SearchSpace, study: Study, slots: int, start: float, *, resume: bool) -> Desk:
        witness = Witness(study)
        tracker = SideTracker(Tracker(tracking_uri(self.root, None), "small", resume=resume), witness.said)
        tracker.__enter__()
        self._open.append((study, tracker))
        interruption, now, kills = Interruption(), [start], [7]
        proposer = Proposer(
            space.parameters,
            sampler=space.sampler,
            seed=space.seed,
            direction=space.metric.direction,
            starting_points=space.starting_points,
        )
        pruner = build_pruner(space.pruner, space.rungs(), space.metric.direction)
        past = recall(study, space, proposer, pruner) if resume else Past()
        conductor = Conductor(
            space,
            study,
            proposer=self.around("proposer", proposer),
            pruner=self.around("pruner", pruner),
            tracker=self.around("tracker", tracker),
            watch=self.around("watch", witness),
            slots=slots,
            tags={"dataset_fingerprint": "abc"},
            interruption=interruption,
            past=past,
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
