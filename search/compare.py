"""`python search/compare.py [STUDY] --rows NAME --columns NAME`: a study over a grid as a table, with paired tests."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from licap.console import exit_status, say, tell
from licap.files import write_file_atomically
from licap.paths import path_option
from search.chosen import add_study, chosen_study
from search.insight import COMPARISON_FORMATS, compare


def build_parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = argparse.ArgumentParser(prog="python search/compare.py", description=__doc__)
    add_study(parser)
    for option, words in (("--rows", "a row"), ("--columns", "a column")):
        parser.add_argument(
            option,
            type=names,
            required=True,
            metavar="NAME[,NAME]",
            help=f"parameters whose values have {words} each, as downstream.model",
        )
    parser.add_argument(
        "--baseline", metavar="VALUE", help="column to compare with, as features; default: the space's first value"
    )
    parser.add_argument(
        "--metric", action="append", default=[], metavar="NAME", help="a metric to show, again for more; default: all"
    )
    parser.add_argument("--format", choices=COMPARISON_FORMATS, default="text", help="default: text")
    parser.add_argument("--out", type=path_option, metavar="FILE", help="write to a file instead of the terminal")
    return parser


def names(text: str) -> list[str]:
    """`downstream.model,data.features` as names."""
    return [name.strip() for name in text.split(",")]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns the exit code."""
    with exit_status() as status:
        options = build_parser().parse_args(argv)
        study, space = chosen_study(options)
        table = compare(
            study.trials(),
            space,
            study=study.name,
            rows=options.rows,
            columns=options.columns,
            baseline=options.baseline,
            metrics=options.metric,
        )
        owner = study.owner()
        if owner is not None:
            running = f"The study is still being run by {owner}: a later table may hold more."
            table = replace(table, notes=(running, *table.notes))
        text = COMPARISON_FORMATS[options.format](table)
        if options.out is None:
            say(text.removesuffix("\n"))
        else:
            write_file_atomically(options.out, text)
            say(f"{options.out}: {len(table.rows)} × {len(table.columns)} cells of study {study.name}")
        if options.format == "csv":
            for note in table.notes:
                tell(f"note: {note}")
    return status.code


if __name__ == "__main__":
    sys.exit(main())
