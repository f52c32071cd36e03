"""The Ray actor around `licap.FoldedTrial`: one process that runs one trial after another on the same graph arrays."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import islice
from typing import Any

from ray import tune

from licap.checkpoint import load_checkpoint, save_checkpoint
from licap.config import DataConfig
from licap.datasets import load_dataset
from licap.datasets.dataset import Dataset
from licap.errors import DataError, DivergedError, LicapError, OutOfMemoryError, StoreError
from licap.folded import FoldedTrial
from licap.trial import Report, memory_in_words
from search.cache import EmbeddingCache
from search.engine.deadline import Deadline
from search.engine.messages import TIMED_OUT, Assignment, CachePlace, Failure, StepResult

ASSIGNMENT = "assignment"
RESULT = "result"


class TrialActor(tune.Trainable):  # type: ignore[misc]  # ray has no types here
    """Steps a `licap.Trial` by `report_every` epochs. A trial may fail for a known reason; the actor lives on."""

    def setup(
        self,
        config: dict[str, Any],
        datasets: Mapping[DataConfig, Dataset] | None = None,
        cache: CachePlace | None = None,
    ) -> None:
        """Called once per process. datasets: shared through the object store, read-only and not copied.

        cache: where pretrained embeddings are looked for and kept; None: nowhere.
        """
        self._shared = dict(datasets or {})
        self._own: tuple[DataConfig, Dataset] | None = None
        self._warnings: list[str] = []
        self._store = None if cache is None else EmbeddingCache(cache.folder, cache.max_bytes, self._warnings.append)
        self._begin(config[ASSIGNMENT])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes the next trial in the same process."""
        self._begin(new_config[ASSIGNMENT])
        return True

    def step(self) -> dict[str, Any]:
        """Runs up to `report_every` epochs."""
        with self._deadline.enforced():
            result = self._advance()
        return {RESULT: result, "done": result.finished}

    def _begin(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._trial: FoldedTrial | None = None
        self._budget = 0
        self._pretraining = ""
        self._taken_up = self._saved = time.monotonic()
        self._deadline = Deadline.after(assignment.time_left_s)

    def _advance(self) -> StepResult:
        reports: list[Report] = []
        try:
            with memory_in_words():
                self._keep()
                trial = self._trial = self._begun() if self._trial is None else self._trial
                for report in islice(trial, self._assignment.report_every):
                    reports.append(report)
                    self._budget = report.budget
                    if self._deadline.is_over:
                        break
        except LicapError as error:
            return self._result(reports, finished=True, failure=failure_of(error))
        notes = tuple(trial.notes)
        if self._deadline.is_over and not trial.finished:
            return self._result(reports, finished=True, failure=TIMED_OUT, notes=notes)
        finished = trial.finished or len(reports) < self._assignment.report_every
        return self._result(reports, finished=finished, notes=notes)

    def _result(
        self, reports: list[Report], *, finished: bool, failure: Failure | None = None, notes: tuple[str, ...] = ()
    ) -> StepResult:
        warnings = tuple(self._warnings)
        self._warnings.clear()
        ran_s = time.monotonic() - self._taken_up
        return StepResult(tuple(reports), finished, failure, notes, warnings, self._pretraining, ran_s)

    def _begun(self) -> FoldedTrial:
        """The trial at its start, or where its checkpoint was taken."""
        path, trial = self._assignment.checkpoint, self._new()
        if not self._assignment.recorded or not path.exists():
            return trial
        try:
            state = load_checkpoint(path)
            if state["budget"] <= self._assignment.recorded:
                trial.load_state_dict(state["trial"])
                self._budget, self._pretraining = state["budget"], state["pretraining"]
        except (LicapError, KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            # Beginning anew costs time and changes nothing: the same config gives the same reports.
            self._warnings.append(f"trial {self._assignment.number} begins anew: {path} cannot be used ({error})")
            trial = self._new()
        return trial

    def _new(self) -> FoldedTrial:
        """The trial at its start."""
        config = self._assignment.config
        trial = FoldedTrial(config, self._assignment.folds, dataset=self._dataset(config.data), store=self._store)
        self._pretraining = origin_of_pretraining(trial)
        return trial

    def _keep(self) -> None:
        """Saves a checkpoint now and then, before a step: by then the study has recorded all reports so far."""
        if self._trial is None or time.monotonic() - self._saved < self._assignment.checkpoint_s:
            return
        self._saved = time.monotonic()
        try:
            state = {"budget": self._budget, "pretraining": self._pretraining, "trial": self._trial.state_dict()}
            save_checkpoint(self._assignment.checkpoint, state)
        except StoreError as error:
            self._warnings.append(f"trial {self._assignment.number} goes on without a checkpoint. {error}")

    def _dataset(self, config: DataConfig) -> Dataset:
        if config in self._shared:
            return self._shared[config]
        if self._own is None or self._own[0] != config:
            # One at a time: a space that searches `data` may ask for a new one in each trial.
            self._own = (config, load_dataset(config))
        return self._own[1]


def origin_of_pretraining(trial: FoldedTrial) -> str:
    """`trained` or `cached`, of a trial that has just begun; empty where it has no pretraining of its own."""
    if not trial.config.pretrains:
        return ""
    return "cached" if trial.replays else "trained"


def failure_of(error: LicapError) -> Failure:
    """The class of a failure, from the error that a trial raised."""
    # A folder or disk that cannot be used is no fault of the trial's values; a device or value that is refused is.
    kinds = ((OutOfMemoryError, "oom"), (DivergedError, "diverged"), (DataError, "data"), (StoreError, "crashed"))
    kind = next((name for cls, name in kinds if isinstance(error, cls)), "invalid-config")
    return Failure(kind, str(error))
