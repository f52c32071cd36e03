"""Opens a study's tracking store, and brings it up to the record where a search that was cut off missed the end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import cast

from search.engine.entries import end_tags, recorded_beginning
from search.engine.outcome import study_tags
from search.engine.side import SideTracker
from search.insight import curves_csv
from search.space import SearchSpace
from search.study import FINAL, Study, TrialRecord
from search.tracking import State, Tracker


@contextmanager
def tracked(
    study: Study,
    space: SearchSpace,
    uri: str,
    origin: Mapping[str, object],
    say: Callable[[str], object],
    *,
    resume: bool,
) -> Iterator[SideTracker]:
    """A study's tracking store, open for writing. origin: tags of every run. say: is told of errors on the way.

    Raises: StoreError where it cannot be opened.
    """
    tracker = Tracker(uri, study.name, tags={**origin, **study_tags(space)}, resume=resume, say=say)
    with SideTracker(tracker, say) as side:
        if resume:
            reconcile(study, space, side, origin, stored=tracker.final_trials())
        yield side


def reconcile(
    study: Study, space: SearchSpace, tracker: SideTracker, origin: Mapping[str, object], *, stored: Collection[int]
) -> None:
    """Writes every recorded trial again whose run in the store has not come to its end; what is there is not repeated.

    origin: tags of every run. stored: numbers of the trials whose runs have.
    """
    for trial in study.trials():
        if trial.number not in stored:
            _write(trial, space, tracker, origin)


def _write(trial: TrialRecord, space: SearchSpace, tracker: SideTracker, origin: Mapping[str, object]) -> None:
    told = recorded_beginning(trial.values, space, origin)
    artifacts = {"curves.csv": curves_csv(trial)}
    if told.config is not None:
        artifacts["config.yaml"] = told.config.to_yaml()
    tracker.start_trial(trial.number, told.params, told.tags)
    for report in trial.reports:
        tracker.log(trial.number, report.budget, report.metrics)
    # A trial that goes on is reopened by the conductor; until then it is cut off.
    state = trial.state if trial.state in FINAL else "interrupted"
    tracker.end_trial(trial.number, cast(State, state), end_tags(trial), artifacts)
