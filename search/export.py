"""`python search/export.py [STUDY]`: writes the complete config of a study's best trial, for `licap run`."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from licap.console import exit_status, say
from licap.files import write_file_atomically
from search.insight.exported import described, exported_text, replaced_by
from search.insight.leaderboard import leaderboard, pick
from search.space import SearchSpace
from search.study import DEFAULT_ROOT, Study


def build_parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = argparse.ArgumentParser(prog="python search/export.py", description=__doc__)
    parser.add_argument("study", nargs="?", metavar="STUDY", help="name of the study; default: the latest")
    parser.add_argument("--rank", type=int, default=1, metavar="K", help="K-th best trial instead of the best")
    parser.add_argument("--out", type=Path, default=Path("best.yaml"), metavar="FILE", help="where to write the config")
    parser.add_argument("--root", type=Path, default=DEFAULT_ROOT, metavar="DIR", help="where studies are kept")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns the exit code."""
    options = build_parser().parse_args(argv)
    with exit_status() as status:
        study = Study.open(options.root, options.study or Study.latest(options.root))
        space = SearchSpace.load(study.space_path)
        row = pick(leaderboard(study.trials(), space), options.rank)
        command = f"licap run {shlex.quote(str(options.out))}"
        text = exported_text(row, space, study=study.name, command=command)
        replaced = replaced_by(options.out, text)
        write_file_atomically(options.out, text)
        say(f"{options.out}: {described(row, space, study=study.name)}")
        if replaced is not None:
            say(f"replaced the export of {replaced}")
        say(f"run it again: {command}")
        owner = study.owner()
        if owner is not None:
            say(f"the study is still being run by {owner}: a later export may find a better trial")
    return status.code


if __name__ == "__main__":
    sys.exit(main())
