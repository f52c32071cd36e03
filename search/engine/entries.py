"""What the tracking store is told of a trial beside its values: where it comes from, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from licap.config import TrialConfig
from search.study import TrialRecord

Tags = dict[str, object]


def begin_tags(origin: Mapping[str, object], config: TrialConfig, folds: Sequence[int]) -> Tags:
    """Tags of a trial that begins. origin: those of every run of the study. folds: of the study, if it has any."""
    return {**origin, "fold": ", ".join(map(str, folds or [config.fold])), "seed": config.seed}


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
