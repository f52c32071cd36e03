"""`python search/export.py [STUDY]`: writes the config of a study's best trial, for `licap run`, or all for Optuna.

`--what optuna` writes the whole study as an SQLite file that Optuna loads and optuna-dashboard shows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from licap.commands import program
from licap.console import exit_status, say
from licap.errors import ConfigError
from licap.files import write_file_atomically
from licap.paths import path_option
from search.chosen import add_study, chosen_study
from search.insight.exported import described, exported_text, replaced_by
from search.insight.leaderboard import leaderboard, pick
from search.space import SearchSpace
from search.study import Study

DEFAULT_OUT = {"config": Path("best.yaml"), "optuna": Path("study.db")}


def build_parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = argparse.ArgumentParser(prog="python search/export.py", description=__doc__)
    add_study(parser)
    parser.add_argument(
        "--what",
        choices=tuple(DEFAULT_OUT),
        default="config",
        help="the best config (default), or all trials for Optuna",
    )
    parser.add_argument("--rank", type=int, metavar="K", help="K-th best trial instead of the best")
    parser.add_argument(
        "--out", type=path_option, metavar="FILE", help="where to write; default: best.yaml, or study.db"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns the exit code."""
    with exit_status() as status:
        options = build_parser().parse_args(argv)
        study, space = chosen_study(options)
        out = options.out or DEFAULT_OUT[options.what]
        if options.what == "optuna":
            if options.rank is not None:
                raise ConfigError("--rank: all trials are written with --what optuna. Leave it out.")
            export_storage(study, space, out)
        else:
            export_config(study, space, out, rank=options.rank if options.rank is not None else 1)
        owner = study.owner()
        if owner is not None:
            say(f"the study is still being run by {owner}: a later export may find more")
    return status.code


def export_config(study: Study, space: SearchSpace, out: Path, *, rank: int) -> None:
    """Writes the config of a rank. Raises: StoreError."""
    row = pick(leaderboard(study.trials(), space), rank)
    folds = ["--folds", ",".join(map(str, space.folds))] if len(space.folds) > 1 else []
    command = program("licap", "run", out, *folds)
    text = exported_text(row, space, study=study, command=command)
    replaced = replaced_by(out, text)
    write_file_atomically(out, text)
    say(f"{out}: {described(row, space, study=study.name)}")
    if replaced is not None:
        say(f"replaced the export of {replaced}")
    say(f"run it again: {command}")


def export_storage(study: Study, space: SearchSpace, out: Path) -> None:
    """Writes all trials for Optuna. Raises: StoreError."""
    # Optuna and its database take their time to load.
    from search.insight.stored import stored_study
    from search.strategy.storage import replaced_storage
    from search.study.spans import trial_spans

    replaced = replaced_storage(out)
    trials = study.trials()
    write_file_atomically(out, stored_study(trials, space, trial_spans(study), study=study.name))
    say(f"{out}: study {study.name} for Optuna, {leaderboard(trials, space).counts()}")
    if replaced is not None:
        say(f"replaced the export of {replaced}")
    say(f"look at it: {program('optuna-dashboard', f'sqlite:///{out.absolute()}')}")


if __name__ == "__main__":
    sys.exit(main())
