"""A study's runs in MLflow, written at once and one call at a time: a parent named as the study, a child per trial.

Every method may be called again after an error: nothing is written twice. Knows no thread.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from licap.fields import Scalar
from licap.files import write_file_atomically
from search.tracking.database import artifact_folder
from search.tracking.names import mlflow_name, param_text, tag_text

Artifacts = Mapping[str, str | bytes]
_PARENT_TAG = "mlflow.parentRunId"
_MAX_METRICS, _MAX_OTHERS = 1000, 100
_FINAL = ("complete", "pruned", "failed")
# What was said of a trial's end, which was none if the trial goes on.
_OF_AN_END = ("failure", "message", "notes")


@dataclass(frozen=True)
class Point:
    """A value of a metric: our name for it, the step (budget) and the time in milliseconds."""

    name: str
    value: float
    step: int
    timestamp: int


@dataclass
class _Run:
    """A child run: its id, which (metric, step) it holds, its tags when it was found, and where a metric first was not
    finite."""

    run_id: str
    written: set[tuple[str, int]] = field(default_factory=set)
    tags: frozenset[str] = frozenset()
    non_finite: dict[str, int] = field(default_factory=dict)


class StudyRuns:
    """The parent and the children of one study. Raises whatever MLflow raises."""

    def __init__(self, client: Any, experiment_id: str, study: str) -> None:
        self._client, self._experiment_id, self._study = client, experiment_id, study
        self._children: dict[int, _Run] = {}
        self.parent_id = ""

    def open_parent(self, tags: Mapping[str, object], *, resume: bool) -> None:
        """Makes the parent run; with `resume`, goes on with the latest one of that name where there is one."""
        found = self._latest_parent() if resume else None
        given = {"study": self._study, "kind": "study"} | dict(tags)
        if found is None:
            self.parent_id = self._create(self._study, given)
        else:
            self.parent_id = found
            self._reopen(found, given)

    def start(self, number: int, params: Mapping[str, Scalar], tags: Mapping[str, object]) -> None:
        """Makes a trial's run with its parameters, or goes on with the one that exists."""
        given = {"study": self._study, "kind": "trial", "trial": number, "state": "running"} | dict(tags)
        child = self._find(number)
        if child is None:
            child = _Run(self._create(f"trial {number}", given | {_PARENT_TAG: self.parent_id}))
        else:
            self._reopen(child.run_id, given)
            for name in child.tags.intersection(_OF_AN_END):
                self._client.delete_tag(child.run_id, name)
        self._children[number] = child
        self._log_params(child.run_id, params)

    def write(self, number: int, points: Sequence[Point]) -> None:
        """Writes what is finite and new; the tag `non_finite` names the rest, each metric with its first step."""
        run = self._children[number]
        before = len(run.non_finite)
        fresh: dict[tuple[str, int], Point] = {}
        for point in points:
            key = (mlflow_name(point.name), point.step)
            if not math.isfinite(point.value):
                run.non_finite.setdefault(point.name, point.step)
            elif key not in run.written:
                # The first value of a step stays: MLflow would keep both and draw a vertical line.
                fresh.setdefault(key, point)
        self._log_metrics(run.run_id, fresh)
        run.written.update(fresh)
        if len(run.non_finite) > before:
            text = ", ".join(f"{name} at {step}" for name, step in run.non_finite.items())
            self._set_tags(run.run_id, {"non_finite": text})

    def end(self, number: int, status: str, tags: Mapping[str, object], artifacts: Artifacts) -> None:
        """Gives a trial its last tags, its artifacts and its status."""
        run_id = self._children[number].run_id
        self._set_tags(run_id, tags)
        self._log_artifacts(run_id, artifacts)
        self._client.set_terminated(run_id, status=status)
        del self._children[number]

    def finish(self, metrics: Mapping[str, float], artifacts: Artifacts, timestamp: int) -> None:
        """Gives the parent its results; a metric stands at step 0."""
        points = {(mlflow_name(name), 0): Point(name, value, 0, timestamp) for name, value in metrics.items()}
        self._log_metrics(self.parent_id, {k: point for k, point in points.items() if math.isfinite(point.value)})
        self._log_artifacts(self.parent_id, artifacts)

    def close_parent(self, status: str, tags: Mapping[str, object]) -> None:
        """Gives the parent its last tags and its status."""
        self._set_tags(self.parent_id, tags)
        self._client.set_terminated(self.parent_id, status=status)

    def final_trials(self) -> frozenset[int]:
        """Numbers of the study's trials with a final state."""
        found: set[int] = set()
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment_id],
                f"tags.{_PARENT_TAG} = '{self.parent_id}'",
                max_results=1000,
                page_token=token,
            )
            for run in page:
                tags = run.data.tags
                ended = tags.get("state") in _FINAL and run.info.status != "RUNNING"
                if ended and tags.get("study") == tag_text(self._study) and tags.get("trial", "").isdecimal():
                    found.add(int(tags["trial"]))
            token = page.token
            if not token:
                return frozenset(found)

    def _latest_parent(self) -> str | None:
        # Compared here, since a filter cannot hold every name (quotes).
        runs = self._client.search_runs(
            [self._experiment_id], "tags.kind = 'study'", max_results=1000, order_by=["attributes.start_time DESC"]
        )
        return next((run.info.run_id for run in runs if run.data.tags.get("study") == tag_text(self._study)), None)

    def _find(self, number: int) -> _Run | None:
        """The child run of a trial that was started before: by a search that was cut off, or by a request whose
        answer was lost."""
        found = self._client.search_runs(
            [self._experiment_id], f"tags.{_PARENT_TAG} = '{self.parent_id}' and tags.trial = '{number}'", max_results=1
        )
        if not found:
            return None
        run_id = found[0].info.run_id
        histories = (self._client.get_metric_history(run_id, name) for name in found[0].data.metrics)
        written = {(metric.key, metric.step) for history in histories for metric in history}
        return _Run(run_id, written, frozenset(found[0].data.tags))

    def _create(self, name: str, tags: Mapping[str, object]) -> str:
        run = self._client.create_run(self._experiment_id, tags=_tags(tags), run_name=name)
        return str(run.info.run_id)

    def _reopen(self, run_id: str, tags: Mapping[str, object]) -> None:
        self._client.update_run(run_id, status="RUNNING")
        self._set_tags(run_id, tags)

    def _log_params(self, run_id: str, params: Mapping[str, Scalar]) -> None:
        from mlflow.entities import Param

        rows = [Param(mlflow_name(name), param_text(value)) for name, value in params.items()]
        for start in range(0, len(rows), _MAX_OTHERS):
            self._client.log_batch(run_id, params=rows[start : start + _MAX_OTHERS])

    def _log_metrics(self, run_id: str, points: Mapping[tuple[str, int], Point]) -> None:
        from mlflow.entities import Metric

        rows = [Metric(name, float(point.value), point.timestamp, step) for (name, step), point in points.items()]
        for start in range(0, len(rows), _MAX_METRICS):
            self._client.log_batch(run_id, metrics=rows[start : start + _MAX_METRICS])

    def _set_tags(self, run_id: str, tags: Mapping[str, object]) -> None:
        from mlflow.entities import RunTag

        rows = [RunTag(name, value) for name, value in _tags(tags).items()]
        for start in range(0, len(rows), _MAX_OTHERS):
            self._client.log_batch(run_id, tags=rows[start : start + _MAX_OTHERS])

    def _log_artifacts(self, run_id: str, artifacts: Artifacts) -> None:
        if not artifacts:
            return
        # MLflow would change the rights of what it overwrites, which another user's files refuse.
        folder = artifact_folder(self._client.get_run(run_id).info.artifact_uri)
        if folder is not None:
            _write_artifacts(folder, artifacts)
            return
        with tempfile.TemporaryDirectory(prefix="licap-artifacts-") as draft:
            _write_artifacts(Path(draft), artifacts)
            self._client.log_artifacts(run_id, draft)


def _write_artifacts(folder: Path, artifacts: Artifacts) -> None:
    for name, content in artifacts.items():
        data = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
        write_file_atomically(folder / _inside(name), data)


def _tags(tags: Mapping[str, object]) -> dict[str, str]:
    """Tags as MLflow takes them; its own (`mlflow.…`) keep their spelling."""
    return {name if name.startswith("mlflow.") else mlflow_name(name): tag_text(v) for name, v in tags.items()}


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"artifact {name!r}: must be a relative name without ..")
    return path
