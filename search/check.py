"""`python search/check.py [STUDY]`: whether record, folder, MLflow and Optuna say the same of every trial.

Prints a line for each check and below it what differs, with the command that repairs it. Changes nothing. Exit code: 0
where all agree, 1 where something differs, 2 where there is no such study or its record is damaged.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from licap.console import exit_status, say
from search.chosen import add_study, chosen_study
from search.engine.entries import end_tags, recorded_beginning
from search.insight import leaderboard
from search.insight.checks import SETTLED_S, Expected, Subject, counted, report_text
from search.space import SearchSpace
from search.study import FINAL, Study, TrialRecord
from search.study.spans import trial_spans
from search.tracking import tracking_uri


def build_parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = argparse.ArgumentParser(prog="python search/check.py", description=__doc__)
    add_study(parser)
    parser.add_argument(
        "--tracking-uri", metavar="URI", help="where the search was tracked; default: in the root folder"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns the exit code."""
    options = build_parser().parse_args(argv)
    with exit_status() as status:
        uri = tracking_uri(options.root, options.tracking_uri)
        subject = subject_of(options)
        # Optuna and databases take their time to load; a study that is not there should be said at once.
        from search.insight.folder_checks import folder_checks
        from search.insight.run_checks import database_checks, run_checks
        from search.insight.storage_checks import storage_checks

        checks = [
            *folder_checks(subject),
            *database_checks(uri),
            *run_checks(subject, uri),
            *storage_checks(subject),
        ]
        say(report_text(subject, checks, heading(subject)))
        status.code = 0 if all(check.agrees for check in checks) else 1
    return status.code


def subject_of(options: argparse.Namespace) -> Subject:
    """The study as it is now. Raises: StoreError, ConfigError."""
    study, space = chosen_study(options)
    owner = study.owner()
    if owner is None and study.end is None:
        # It may have ended after the record was read and before its lock was looked at.
        study = Study.open(options.root, study.name)
    trials = study.trials()
    return Subject(
        study=study,
        space=space,
        trials=trials,
        expected={trial.number: expected(trial, space) for trial in trials},
        unsettled=frozenset() if owner is None else unsettled(study),
        owner=owner,
        root=options.root,
        tracking=options.tracking_uri,
    )


def unsettled(study: Study) -> frozenset[int]:
    """The trials of a running search that run, or ended a moment ago."""
    now, spans = time.time(), trial_spans(study)
    ends = {number: span.end for number, span in spans.items()}
    return frozenset(
        trial.number
        for trial in study.trials()
        if trial.state not in FINAL or now - (ends[trial.number] or now) < SETTLED_S
    )


def expected(trial: TrialRecord, space: SearchSpace) -> Expected:
    """What a search tells its tracking store of a trial."""
    told = recorded_beginning(trial.values, space, {})
    tags = told.tags if trial.state == "running" else {**told.tags, **end_tags(trial)}
    return Expected(params={**told.params, **trial.values}, searched=frozenset(trial.values), tags=tags)


def heading(subject: Subject) -> str:
    """Which study it is, and whether the picture moves."""
    line = f"study {subject.study.name}: {leaderboard(subject.trials, subject.space).counts()}"
    if subject.running:
        line += (
            f"\nThe search is running. MLflow may lag behind on {counted(len(subject.unsettled), 'trial')} running, or "
            f"ended within the last {SETTLED_S:.0f} s: these are not compared."
        )
    return line


if __name__ == "__main__":
    sys.exit(main())
