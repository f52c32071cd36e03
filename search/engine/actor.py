"""The Ray actor around `licap.Trial`: one process that runs one trial after another on the same graph arrays."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from ray import tune

from licap.config import DataConfig
from licap.datasets import load_dataset
from licap.datasets.dataset import Dataset
from licap.errors import ConfigError, DataError, DivergedError, LicapError
from licap.trial import Trial
from search.engine.messages import Assignment, Failure, StepResult

ASSIGNMENT = "assignment"
RESULT = "result"


class TrialActor(tune.Trainable):  # type: ignore[misc]  # ray has no types here
    """Steps a `licap.Trial` by `report_every` epochs. A trial may fail for a known reason; the actor lives on."""

    def setup(self, config: dict[str, Any], datasets: Mapping[DataConfig, Dataset] | None = None) -> None:
        """Called once per process. datasets: shared through the object store, read-only and not copied."""
        self._shared = dict(datasets or {})
        self._own: tuple[DataConfig, Dataset] | None = None
        self._begin(config[ASSIGNMENT])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes the next trial in the same process."""
        self._begin(new_config[ASSIGNMENT])
        return True

    def step(self) -> dict[str, Any]:
        """Runs up to `report_every` epochs."""
        result = self._advance()
        return {RESULT: result, "done": result.finished}

    def _begin(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._trial: Trial | None = None

    def _advance(self) -> StepResult:
        reports = []
        try:
            if self._trial is None:
                config = self._assignment.config
                self._trial = Trial(config, dataset=self._dataset(config.data))
            for report in islice(self._trial, self._assignment.report_every):
                reports.append(report)
        except LicapError as error:
            return StepResult(tuple(reports), finished=True, failure=failure_of(error))
        finished = len(reports) < self._assignment.report_every
        return StepResult(tuple(reports), finished, notes=tuple(self._trial.notes))

    def _dataset(self, config: DataConfig) -> Dataset:
        if config in self._shared:
            return self._shared[config]
        if self._own is None or self._own[0] != config:
            # One at a time: a space that searches `data` may ask for a new one in each trial.
            self._own = (config, load_dataset(config))
        return self._own[1]


def failure_of(error: LicapError) -> Failure:
    """The class of a failure, from the error that a trial raised."""
    kinds = ((DivergedError, "diverged"), (ConfigError, "invalid-config"), (DataError, "data"))
    kind = next((name for cls, name in kinds if isinstance(error, cls)), "invalid-config")
    return Failure(kind, str(error))
