"""Whether Optuna, given the record, takes every trial for what it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from search.insight.checks import Check, Difference, Subject, counted
from search.insight.stored import stored_trials
from search.strategy.storage import StoredTrial, loaded_trials, storage_bytes
from search.study.spans import trial_spans

_REMEDY = "the record or space.yaml was changed by hand: restore them from a copy"


def storage_checks(subject: Subject) -> list[Check]:
    """Writes the storage that `export.py --what optuna` would, in memory, and lets Optuna read it."""
    study, space = subject.study, subject.space
    wanted = [
        # What is only said of trials takes Optuna longer to write than all the rest.
        replace(trial, attributes={})
        for trial in stored_trials(subject.trials, space, trial_spans(study))
    ]
    try:
        content = storage_bytes(
            study.name, f"val.{space.metric.name}", space.metric.direction, space.parameters, wanted, {}
        )
    except ValueError as error:
        # Optuna refuses values that lie outside of the ranges of the space.
        return [Check("Optuna", "refuses the study", (Difference(str(error), _REMEDY),))]
    loaded = loaded_trials(content, study.name)
    differences = [
        Difference(text, _REMEDY, trial.number)
        for trial, ours, theirs in zip(subject.trials, wanted, loaded, strict=True)
        for text in _texts(ours, theirs)
    ]
    found = f"{counted(len(loaded), 'trial')} as recorded, in the storage that an export would write"
    return [Check("Optuna", found, tuple(differences))]


def _texts(ours: StoredTrial, theirs: StoredTrial) -> Iterator[str]:
    state = ours.state if ours.state in ("complete", "pruned", "failed") else "running"
    if theirs.state != state:
        yield f"{ours.state} in the record, {theirs.state} in Optuna"
    if theirs.value != ours.value:
        yield f"its value is {ours.value!r} in the record, {theirs.value!r} in Optuna"
    if theirs.values != ours.values:
        yield "has other parameters in Optuna"
    if not _same(ours.reports, theirs.reports):
        yield "has other reports in Optuna"


def _same(ours: Mapping[int, float], theirs: Mapping[int, float]) -> bool:
    return ours.keys() == theirs.keys() and all(
        value == theirs[budget] or (math.isnan(value) and math.isnan(theirs[budget])) for budget, value in ours.items()
    )
