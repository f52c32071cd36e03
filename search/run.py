"""`python search/run.py --space FILE`: checks a search space, runs the study, says what to do next."""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from licap.console import check_once, exit_status, leave, say, stop_code, tell
from licap.errors import ConfigError, StoreError
from licap.paths import path_option
from search.space import SearchSpace, describe
from search.study import DEFAULT_ROOT, Study

if TYPE_CHECKING:
    from search.engine.outcome import SearchOutcome
    from search.study import TrialRecord


def build_parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = argparse.ArgumentParser(prog="python search/run.py", description=__doc__)
    parser.add_argument(
        "--space", type=path_option, metavar="FILE", help="search space (YAML); not needed with --resume"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a value of the file")
    parser.add_argument(
        "--study",
        metavar="NAME",
        help="name of the study; default: the space's, with a number if taken; with --resume: the latest",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with a study: finish what was cut off, and start what is left"
    )
    parser.add_argument("--trials", metavar="N", help="number of trials")
    parser.add_argument(
        "--time-budget", metavar="TIME", help="stop after this time of searching on the study, as in 90s, 30m, 2h"
    )
    parser.add_argument("--max-concurrent", metavar="N", help="trials at once, at most")
    parser.add_argument("--seed", metavar="N", help="seed of the search")
    parser.add_argument(
        "--no-cache", action="store_true", help="neither take pretrained embeddings of earlier trials nor keep new ones"
    )
    parser.add_argument(
        "--root", type=path_option, default=DEFAULT_ROOT, metavar="DIR", help="where studies and runs are kept"
    )
    parser.add_argument("--tracking-uri", metavar="URI", help="MLflow server or database; default: in the root folder")
    parser.add_argument("--ray-address", metavar="HOST:PORT", help="join this Ray cluster; default: a private instance")
    parser.add_argument(
        "--dry-run", action="store_true", help="check and describe the space, estimate memory and time, write nothing"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns the exit code."""
    with exit_status() as status:
        options = build_parser().parse_args(argv)
        space = load_space(options)
        if options.dry_run:
            say(json.dumps(space.resolved(), indent=2) if options.json else describe(named(space, options)))
            tell_outlook(space, options)
            tell_forecast(space, options)
        else:
            status.code = search(space, options)
    return status.code


def load_space(options: argparse.Namespace) -> SearchSpace:
    """The space to search: that of the file, or of the study to resume. Raises: ConfigError, StoreError."""
    if options.space is not None:
        space = SearchSpace.load(options.space, overrides=overrides(options))
        if options.resume:
            options.study = options.study or space.name
        return space
    if not options.resume:
        raise ConfigError("--space is missing: give a space file, or --resume to go on with a study.")
    options.study = options.study or Study.latest(options.root)
    return SearchSpace.load(Study.open(options.root, options.study).space_path, overrides=overrides(options))


def overrides(options: argparse.Namespace) -> list[str]:
    """`--trials 5` is `--set trials=5`: one way of overriding, several spellings. Raises: ConfigError."""
    spellings = {}
    for key in ("study", "trials", "time_budget", "max_concurrent", "seed"):
        value = getattr(options, key)
        if value is not None:
            name = "name" if key == "study" else key
            spellings[f"{name}={value}"] = f"--{key.replace('_', '-')} {value}"
    if options.no_cache:
        spellings["cache.max_gb=0"] = "--no-cache"
    check_once([*options.set, *spellings], spellings)
    return [*options.set, *(word for word in spellings if not word.startswith("name="))]


def named(space: SearchSpace, options: argparse.Namespace) -> SearchSpace:
    """The space under the name that the study is given."""
    return replace(space, name=options.study or space.name)


def tell_outlook(space: SearchSpace, options: argparse.Namespace) -> None:
    """Says what the search would be called where its name is taken, and what would keep it from starting."""
    from search.engine.outlook import outlook

    lines = outlook(
        space,
        root=options.root,
        study_name=options.study,
        tracking=options.tracking_uri,
        ray_address=options.ray_address,
        resume=options.resume,
    )
    for line in lines:
        tell(line)


def tell_forecast(space: SearchSpace, options: argparse.Namespace) -> None:
    """Estimates memory and time; of a description in JSON only what will not fit is told. Raises: ConfigError."""
    from search.engine.forecast import forecast

    found = forecast(space, ray_address=options.ray_address)
    if not options.json:
        for line in found.lines():
            say(line)
    for line in found.warnings:
        tell(f"warning: {line}")


def search(space: SearchSpace, options: argparse.Namespace) -> int:
    """Runs the study and prints its outcome.

    Returns 0 where the search was carried out, whatever it found; 1 where every trial crashed, or the first ones failed
    so that the search was ended; 2 where table or pictures are missing; `stop_code` where a signal interrupted it.
    Raises: StoreError after all that, where the tracking store failed on the way, or the outcome cannot be printed.
    """
    from search.engine.driver import run_search

    unshown: list[StoreError] = []

    def show(outcome: SearchOutcome) -> None:
        try:
            say(outcome_words(outcome, space, options))
        except StoreError as error:
            # What is left to be done does not need stdout.
            unshown.append(error)

    outcome = run_search(
        space,
        root=options.root,
        study_name=options.study,
        tracking=options.tracking_uri,
        ray_address=options.ray_address,
        progress=tell,
        show=show,
        resume=options.resume,
    )
    if outcome.stop_reason == "interrupted":
        return stop_code(outcome.stop_signal or signal.SIGINT)
    if outcome.store_errors:
        raise StoreError(
            f"runs are missing in the tracking store. {' '.join(outcome.store_errors)} "
            f"The study {outcome.study} itself is whole: its record does not need that store."
        )
    code = ended_by_failures(outcome, space) or exit_code(outcome.trials)
    if unshown:
        from search.insight.next_steps import summary_command

        command = summary_command(outcome.study, options.root)
        raise StoreError(f"{unshown[0]} The study {outcome.study} is whole: `{command}` prints it.")
    return code or (2 if outcome.summary_errors else 0)


def outcome_words(outcome: SearchOutcome, space: SearchSpace, options: argparse.Namespace) -> str:
    """What was found, as text or as JSON."""
    from search.insight import outcome_json, outcome_text

    words = outcome_json if options.json else outcome_text
    return words(
        outcome.trials,
        space,
        study=outcome.study,
        root=options.root,
        tracking_uri=outcome.tracking_uri,
        stop_reason=outcome.stop_reason,
    )


def ended_by_failures(outcome: SearchOutcome, space: SearchSpace) -> int:
    """1 where the first trials failed, so that the search was ended, which is said; else 0."""
    from search.engine.failing import FAILING

    if outcome.stop_reason != FAILING:
        return 0
    last = [trial for trial in outcome.trials if trial.state == "failed"][-1]
    tell(
        f"error: the search was ended, for its first {space.stop_after_failures} trials all failed "
        f"({last.failure}), as trial {last.number}: {last.message} Mend that and go on with --resume, or in spite "
        "of it with --resume --set stop_after_failures=0."
    )
    return 1


def exit_code(trials: Sequence[TrialRecord]) -> int:
    """0, unless nothing came of the search because every trial that ended failed.

    1 where all workers died: a fault of the program or the machine. Raises: ConfigError for other failures.
    """
    ended = [trial for trial in trials if trial.state != "interrupted"]
    if not ended or any(trial.state != "failed" for trial in ended):
        return 0
    if all(trial.failure == "crashed" for trial in ended):
        return 1
    reasons = dict.fromkeys(trial.message for trial in ended if trial.failure != "crashed")
    raise ConfigError(f"every trial failed. {reason}" for reason in reasons)


if __name__ == "__main__":
    leave(main())
