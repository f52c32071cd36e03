"""`python search/check.py [STUDY]`: whether record, folder, MLflow and Optuna say the same of every trial.

Prints a line for each check and below it what differs, with the command that repairs it. Changes nothing. Exit code: 0
where all agree, 1 where something differs, 2 where there is no such study or its record is damaged.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from licap.console import exit_status, say
from search.chosen import add_study, chosen_study
from search.engine.subject import subject_of
from search.insight import leaderboard
from search.insight.checks import SETTLED_S, Subject, counted, report_text
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
    with exit_status() as status:
        options = build_parser().parse_args(argv)
        uri = tracking_uri(options.root, options.tracking_uri)
        study, space = chosen_study(options)
        subject = subject_of(study, space, root=options.root, tracking=options.tracking_uri)
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
