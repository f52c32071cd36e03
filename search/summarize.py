"""`python search/summarize.py [STUDY]`: prints a study's table from its record, and writes table and pictures anew.

Works for a study that is running, and for one that was killed before it could write them. In a folder that cannot be
written, such as a colleague's, nothing is.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from licap.console import exit_status, say, tell
from search.chosen import add_study, chosen_study
from search.insight import leaderboard, render_text, summary_files, terminal_width, write_summary
from search.insight.next_steps import resume_command
from search.space import SearchSpace
from search.study import Study
from search.tracking import tracking_uri


def build_parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = argparse.ArgumentParser(prog="python search/summarize.py", description=__doc__)
    add_study(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns the exit code."""
    with exit_status() as status:
        options = build_parser().parse_args(argv)
        study, space = chosen_study(options)
        say(summary_text(study, space))
        if os.access(study.folder, os.W_OK):
            write_summary(study.folder, summary_files(study.trials(), space, study=study.name))
            say(f"pictures and table: {study.folder} (plots/*.png, leaderboard.csv)")
        else:
            tell(f"{study.folder}: cannot be written; table and pictures there stay as they are")
    return status.code


def summary_text(study: Study, space: SearchSpace) -> str:
    """The leaderboard, and whether there is more to come."""
    board = leaderboard(study.trials(), space)
    lines = [render_text(board, terminal_width()), "", f"study {study.name}: {board.counts()}"]
    owner = study.owner()
    if owner is not None:
        lines.append(f"the study is still being run by {owner}: a later summary may show more")
    elif any(row.state == "running" for row in board):
        root = study.folder.parents[1]
        command = resume_command(study.name, root, tracking_uri(root, None))
        lines.append(f"the search was killed: `{command}` goes on with it")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
