"""`python search/replay.py [STUDY]`: what pruners would have found, and lost, on the recorded curves of a study.

The study must have been run to the end of every trial (`--set pruner=none`). Nothing is trained. `--what tau` asks
instead which recorded metric foretells the final value, and how early.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from licap.console import exit_status, say
from licap.files import write_file_atomically
from licap.paths import path_option
from search.chosen import add_study, chosen_study
from search.insight.foresight import candidate_budgets, foresight
from search.insight.replay_plot import regret_png
from search.insight.replay_tables import REPLAY_FORMATS, foresight_words, replay_words
from search.insight.replays import ORDERS, Plan, pruners, replay_study
from search.space import PrunerConfig, SearchSpace
from search.study import Study

PRUNERS = ("asha", "hyperband", "median", "none")


def build_parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = argparse.ArgumentParser(prog="python search/replay.py", description=__doc__)
    add_study(parser)
    parser.add_argument("--what", choices=("regret", "tau"), default="regret", help="default: regret")
    parser.add_argument(
        "--scheduler", type=some_of(PRUNERS), default=PRUNERS, metavar="NAME[,NAME]", help=f"of {', '.join(PRUNERS)}"
    )
    parser.add_argument(
        "--sampler",
        type=some_of(ORDERS),
        default=ORDERS[:1],
        metavar="NAME[,NAME]",
        help="which trial comes next: random (default), recorded-order",
    )
    parser.add_argument(
        "--grace", type=numbers, metavar="N[,N]", help="epochs before a trial may stop; default: as the space has it"
    )
    parser.add_argument("--reduction", type=int, metavar="N", help="one in N survives a rung; default: the space's")
    parser.add_argument(
        "--startup", type=int, metavar="N", help="trials that median compares with; default: the space's"
    )
    parser.add_argument("--stage", choices=("downstream", "pretrain"), help="where grace starts; default: the space's")
    parser.add_argument("--signal", metavar="NAME", help="metric to rank by, as NAME or NAME:min; default: the study's")
    parser.add_argument("--budget", type=numbers, metavar="N[,N]", help="with --what tau: epochs over both stages")
    parser.add_argument("--orders", type=at_least_one, default=200, metavar="N", help="shuffled orders; default: 200")
    parser.add_argument("--slots", type=at_least_one, default=1, metavar="N", help="trials at a time; default: 1")
    parser.add_argument("--seed", type=not_negative, default=0, metavar="N", help="of the orders; default: 0")
    parser.add_argument("--format", choices=REPLAY_FORMATS, default="text", help="default: text")
    parser.add_argument(
        "--out", type=path_option, metavar="DIR", help="write table and picture here instead of printing"
    )
    return parser


def some_of(valid: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Reads names with commas between, each one of a few."""

    def parse(text: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
        wrong = [name for name in names if name not in valid]
        if wrong:
            raise argparse.ArgumentTypeError(f"{wrong[0]!r} is none of {', '.join(valid)}")
        return names

    return parse


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers of at least 1 with commas between."""
    return tuple(dict.fromkeys(map(at_least_one, text.split(","))))


def at_least_one(text: str) -> int:
    """A whole number of at least 1."""
    return _whole(text, 1)


def not_negative(text: str) -> int:
    """A whole number of at least 0."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least {least} (got {text.strip()!r})")
    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns the exit code."""
    with exit_status() as status:
        options = build_parser().parse_args(argv)
        study, space = chosen_study(options)
        written: list[str] = []
        try:
            for name, content in (tau if options.what == "tau" else regret)(study, space, options):
                if options.out is None:
                    say(str(content).rstrip("\n"))
                else:
                    write_file_atomically(options.out / name, content)
                    written.append(name)
        finally:
            # A picture that cannot be drawn leaves the table.
            if written:
                say(f"{options.out}: {', '.join(written)} of study {study.name}")
    return status.code


def regret(study: Study, space: SearchSpace, options: argparse.Namespace) -> Iterator[tuple[str, str | bytes]]:
    """The table by its name, and then, where files are written, the picture. Raises: PictureError."""
    plan = Plan(
        pruners=pruners(options.scheduler, graces(space, options), settings(space, options)),
        samplers=options.sampler,
        orders=options.orders,
        slots=options.slots,
        seed=options.seed,
        signal=options.signal,
    )
    replay = replay_study(study.trials(), space, plan, study=study.name)
    yield f"replay.{ending(options)}", replay_words(replay, options.format)
    if options.out is not None:
        yield "regret.png", regret_png(replay)


def tau(study: Study, space: SearchSpace, options: argparse.Namespace) -> Iterator[tuple[str, str | bytes]]:
    """The table of foresight by its name."""
    looks = options.budget or candidate_budgets(space, graces(space, options), settings(space, options))
    table = foresight(study.trials(), space, looks, study=study.name, seed=options.seed)
    yield f"tau.{ending(options)}", foresight_words(table, options.format)


def graces(space: SearchSpace, options: argparse.Namespace) -> tuple[int | None, ...]:
    """Those given, or the space's own."""
    return options.grace or (space.pruner.grace,)


def settings(space: SearchSpace, options: argparse.Namespace) -> PrunerConfig:
    """The space's pruner with what the command line changes. Raises: ConfigError."""
    given = {name: getattr(options, name) for name in ("reduction", "startup", "stage")}
    return replace(space.pruner, **{name: value for name, value in given.items() if value is not None})


def ending(options: argparse.Namespace) -> str:
    """Of a file's name."""
    return "txt" if options.format == "text" else str(options.format)


if __name__ == "__main__":
    sys.exit(main())
