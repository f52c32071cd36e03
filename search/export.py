"""`python search/export.py [STUDY]`: writes the complete config of a study's best trial, for `licap run`."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from licap.console import exit_status, say
from licap.files import write_file_atomically
from search.insight.leaderboard import Row, leaderboard, pick
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
        text = config_text(row, space, study.name, options.out)
        write_file_atomically(options.out, text)
        say(f"{options.out}: {described(row, space, study.name)}")
        say(f"run it again: {run_command(options.out)}")
        owner = study.owner()
        if owner is not None:
            say(f"the study is still being run by {owner}: a later export may find a better trial")
    return status.code


def config_text(row: Row, space: SearchSpace, study: str, out: Path) -> str:
    """The complete config as YAML, headed by comments that say where it comes from."""
    words = (
        f"{described(row, space, study)}\nValidation {space.metric.label}: {row.value!r}\nRun it: {run_command(out)}"
    )
    head = "".join(f"# {line}\n" for line in words.splitlines())
    return head + space.config_for(row.values).to_yaml()


def described(row: Row, space: SearchSpace, study: str) -> str:
    """Which trial this is, in words."""
    return f"trial {row.trial} of study {study}, rank {row.rank} by validation {space.metric.label} ({row.value:.4f})"


def run_command(out: Path) -> str:
    """The command that runs the config."""
    return f"licap run {shlex.quote(str(out))}"


if __name__ == "__main__":
    sys.exit(main())
