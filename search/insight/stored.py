"""Trials of a record as an Optuna storage holds them: honest states, every report, and what was said of a trial."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from search.space import SearchSpace
from search.strategy.storage import StoredTrial, storage_bytes
from search.study import TrialRecord
from search.study.spans import Span


def stored_study(trials: Iterable[TrialRecord], space: SearchSpace, spans: Mapping[int, Span], *, study: str) -> bytes:
    """The SQLite file of a study. spans: of each trial."""
    attributes = {
        "sampler": space.sampler.name,
        "pruner": space.pruner.name,
        "seed": space.seed,
        "space": space.to_yaml(),
    }
    metric, direction = f"val.{space.metric.name}", space.metric.direction
    return storage_bytes(study, metric, direction, space.parameters, stored_trials(trials, space, spans), attributes)


def stored_trials(
    trials: Iterable[TrialRecord], space: SearchSpace, spans: Mapping[int, Span]
) -> Iterator[StoredTrial]:
    """What Optuna is to have of each trial."""
    metric = f"val.{space.metric.name}"
    for trial in trials:
        final = trial.final(space.metric.name) if trial.state == "complete" else None
        span = spans[trial.number]
        yield StoredTrial(
            # To Optuna a complete trial has a value.
            state="failed" if trial.state == "complete" and final is None else trial.state,
            value=final,
            values=trial.values,
            reports={each.budget: each.metrics[metric] for each in trial.reports if metric in each.metrics},
            start=span.start,
            end=span.start if span.end is None else span.end,
            attributes=_attributes(trial),
        )


def _attributes(trial: TrialRecord) -> dict[str, object]:
    """What was said of a trial, and the metrics of its last report."""
    said: dict[str, object] = {"state": trial.state, "starting_point": trial.starting_point, "budget": trial.budget}
    if trial.failure is not None:
        said |= {"failure": trial.failure, "message": trial.message}
    if trial.notes:
        said["notes"] = list(trial.notes)
    if trial.seconds is not None:
        said["seconds"] = trial.seconds
    return said | {name: value for name, value in trial.metrics().items() if math.isfinite(value)}
