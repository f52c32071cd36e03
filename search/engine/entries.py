"""What the tracking store is told of a trial beside its values: where it comes from, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from licap.config import TrialConfig
from licap.errors import ConfigError
from licap.fields import Scalar
from search.space import SearchSpace
from search.study import TrialRecord

Tags = dict[str, object]


@dataclass(frozen=True)
class Beginning:
    """What a store is told of a trial that begins. config: None where the space refuses it."""

    params: Mapping[str, Scalar]
    tags: Tags
    config: TrialConfig | None = None


def recorded_beginning(values: Mapping[str, Scalar], space: SearchSpace, origin: Mapping[str, object]) -> Beginning:
    """What was, or should have been, told of a trial with these values. origin: tags of every run of the study.

    Where the space refuses its config, a trial ends as failed at once, and its run has the searched values alone.
    """
    try:
        return beginning(space.config_for(values), space, origin)
    except ConfigError:
        return Beginning(values, {})


def beginning(config: TrialConfig, space: SearchSpace, origin: Mapping[str, object]) -> Beginning:
    """What is told of a trial with this config."""
    folds = ", ".join(map(str, space.folds or [config.fold]))
    return Beginning(config.flat(), {**origin, "fold": folds, "seed": config.seed}, config)


def end_tags(trial: TrialRecord) -> Tags:
    """Tags of a trial that has ended: stage, why it failed, where its pretraining comes from, what to know."""
    tags: Tags = {"stage": trial.reports[-1].stage if trial.reports else ""}
    if trial.failure is not None:
        tags |= {"failure": trial.failure, "message": trial.message}
    if trial.pretraining:
        tags["pretraining"] = trial.pretraining
    if trial.notes:
        tags["notes"] = "; ".join(trial.notes)
    return tags
