"""A study as its checks look at it: what its record tells, and what a search tells its tracking store of that."""

from __future__ import annotations

import time
from pathlib import Path

from licap.config import TrialConfig
from licap.fields import specs_of
from search.engine.entries import end_tags, recorded_beginning
from search.insight.checks import SETTLED_S, Expected, Subject
from search.space import SearchSpace
from search.study import FINAL, Study, TrialRecord
from search.study.spans import trial_spans


def subject_of(study: Study, space: SearchSpace, *, root: Path, tracking: str | None) -> Subject:
    """A study under a root, as it is now. tracking: what `--tracking-uri` was given. Raises: StoreError."""
    owner = study.owner()
    if owner is None and study.end is None:
        # It may have ended after the record was read and before its lock was looked at.
        study = Study.open(root, study.name)
    trials = study.trials()
    return Subject(
        study=study,
        space=space,
        trials=trials,
        expected={trial.number: _expected(trial, space) for trial in trials},
        unsettled=frozenset() if owner is None else _unsettled(study),
        owner=owner,
        root=root,
        tracking=tracking,
    )


def _unsettled(study: Study) -> frozenset[int]:
    """The trials of a running search that run, or ended a moment ago."""
    now, spans = time.time(), trial_spans(study)
    ends = {number: span.end for number, span in spans.items()}
    return frozenset(
        trial.number
        for trial in study.trials()
        if trial.state not in FINAL or now - (ends[trial.number] or now) < SETTLED_S
    )


def _expected(trial: TrialRecord, space: SearchSpace) -> Expected:
    """What a search tells its tracking store of a trial."""
    told = recorded_beginning(trial.values, space, {})
    tags = told.tags if trial.state == "running" else {**told.tags, **end_tags(trial)}
    # Data may have been moved since: what they are is in the record, and not where they were.
    fixed = {name: value for name, value in told.params.items() if not specs_of(TrialConfig)[name].is_path}
    return Expected(params={**fixed, **trial.values}, searched=frozenset(trial.values), tags=tags)
