"""A study that has all of its trials: nothing is to be trained, but a kill may have left its end undone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from licap.config import config_from
from licap.datasets import load_dataset
from licap.errors import ConfigError, StoreError
from search.engine.outcome import SearchOutcome, origin_tags, summarise
from search.engine.reconcile import tracked
from search.engine.subject import subject_of
from search.insight.folder_checks import folder_checks
from search.insight.run_checks import run_checks
from search.space import SearchSpace
from search.study import FINAL, Study
from search.study.events import StudyEnded
from search.tracking import preflight, tracking_uri


def settled(
    space: SearchSpace,
    root: Path,
    name: str,
    tracking: str | None,
    progress: Callable[[str], None],
    show: Callable[[SearchOutcome], object],
) -> SearchOutcome | None:
    """The outcome of a study that has all of its trials, shown; None where some are to be run.

    What `search/check.py` finds amiss and says that a resumed search mends, is mended. tracking: as `--tracking-uri`.

    Raises: StoreError where the study is not there, or is being run; ConfigError where its time budget is used up.
    """
    study = Study.open(root, name)
    owner = study.owner()
    if owner is not None:
        raise StoreError(f"{study.folder}: is being written by {owner}. Wait for it, or stop it.")
    trials, uri = study.trials(), tracking_uri(root, tracking)
    cut_off = sum(trial.state not in FINAL for trial in trials)
    if len(trials) - cut_off < space.trials:
        _refuse_used_up(study, space)
        return None
    if cut_off:
        progress(
            f"study {name}: {len(trials) - cut_off} trials have ended, and no more than {space.trials} were asked for. "
            f"{cut_off} were cut off: they go on with --trials {len(trials)}"
        )
        return _shown(SearchOutcome(name, trials, uri, None, ()), show)
    amiss = _amiss(study, space, root, tracking)
    asked = f" ({space.trials} were asked for)" if len(trials) > space.trials else ""
    progress(f"study {name}: all {len(trials)} trials are there already{asked}; nothing is left to do")
    if not amiss:
        return _shown(SearchOutcome(name, trials, uri, None, ()), show)
    more = f" (and {len(amiss) - 1} more)" if len(amiss) > 1 else ""
    progress(f"but this differs from its record, and is mended: {amiss[0]}{more}")
    return _settle(space, root, name, uri, progress, show)


def _refuse_used_up(study: Study, space: SearchSpace) -> None:
    """Raises: ConfigError where no time is left to train in."""
    budget = space.time_budget_s
    if budget is not None and study.elapsed >= budget:
        raise ConfigError(
            f"time_budget: {budget:g} s are used up, for searches on the study {study.name} have run for "
            f"{study.elapsed:.0f} s together. Raise it with --time-budget, or take it away with --set time_budget=null."
        )


def _shown(outcome: SearchOutcome, show: Callable[[SearchOutcome], object]) -> SearchOutcome:
    show(outcome)
    return outcome


def _amiss(study: Study, space: SearchSpace, root: Path, tracking: str | None) -> list[str]:
    """What differs from the record and is mended by a resumed search."""
    subject = subject_of(study, space, root=root, tracking=tracking)
    checks = [*folder_checks(subject), *run_checks(subject, tracking_uri(root, tracking))]
    return [found.text for check in checks for found in check.differences if found.by_resume]


def _settle(
    space: SearchSpace,
    root: Path,
    name: str,
    uri: str,
    progress: Callable[[str], None],
    show: Callable[[SearchOutcome], object],
) -> SearchOutcome:
    """Cuts a torn line off, writes the end into the record, and what is missing into the tracking store."""
    preflight(uri)
    dataset = load_dataset(config_from(space.base).data, progress=progress)
    with ExitStack() as stack:
        known, features, given = dataset.fingerprint, dataset.features_fingerprint, dataset.given
        study = stack.enter_context(Study.resume(root, name, known, features=features, given=given))
        for sentence in study.mended:
            progress(sentence)
        # Whatever fails below, the study itself has come to its end.
        stack.callback(lambda: study.append(StudyEnded(reason="finished", seconds=0.0)))
        origin = origin_tags(dataset)
        side = stack.enter_context(tracked(study, space, uri, origin, progress, resume=True))
        outcome = SearchOutcome(name, study.trials(), uri, None, ())
        problems = summarise(outcome, space, side, study, show)
    return replace(outcome, store_errors=side.errors, summary_errors=problems)
