"""The `licap` command: run one config, look at a data set, list all keys. Words to calls, nothing else."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from licap.commands import script
from licap.config import NUM_FOLDS, TrialConfig, config_from, load_config, parse_overrides
from licap.console import check_once, duration, exit_status, say, tell
from licap.errors import ConfigError
from licap.fields import specs_of
from licap.paths import path_option
from licap.spelling import shortened, shown
from licap.yaml_file import read_yaml

if TYPE_CHECKING:
    from licap.experiment import FoldResult
    from licap.trial import Report


def build_parser() -> argparse.ArgumentParser:
    """All commands and options."""
    parser = argparse.ArgumentParser(prog="licap", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", help="pretrain and train one config, on one or several folds")
    run.add_argument("config", type=path_option, help="trial config (YAML), such as an exported best.yaml")
    run.add_argument("--folds", metavar="K[,K…]|all", help="folds to run; default: the config's")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a value of the file")
    run.add_argument("--out", type=path_option, metavar="DIR", help="folder for the results; default: below runs/")
    run.add_argument("--resume", action="store_true", help="go on from the checkpoint in the folder")
    run.add_argument("--other-data", action="store_true", help="the data may be others than the config was made for")
    run.set_defaults(action=run_command)

    data = commands.add_parser("data", help="look at data sets").add_subparsers(dest="data_command", required=True)
    inspect = data.add_parser("inspect", help="counts, labels, degrees, relations, and what will hurt")
    inspect.add_argument("path", nargs="?", help="folder of the data set; without it, the synthetic graph")
    inspect.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="set a key of the config")
    inspect.set_defaults(action=inspect_command)

    config = commands.add_parser("config", help="list every key of a trial config: default, rule, meaning")
    config.set_defaults(action=config_command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns the exit code."""
    with exit_status() as status:
        options = build_parser().parse_args(argv)
        options.action(options)
    return status.code


def run_command(options: argparse.Namespace) -> None:
    """`licap run`."""
    check_once(options.set)
    refuse_space(options.config)
    config = load_config(options.config, options.set)
    folds = parse_folds(options.folds, config)
    if options.other_data:
        config = config.with_values({"data.fingerprint": None})

    from licap.datasets import load_dataset
    from licap.experiment import config_of, run_folds
    from licap.files import check_writable
    from licap.results import refuse_other_data, replaced_results, run_folder
    from licap.trial import check_machine

    config = config_of(config, folds)
    out = options.out or run_folder(Path("runs"), config, folds)
    # Before the data: their features can take minutes.
    check_machine(config.runtime)
    check_writable(out, "Give another --out.")
    replaced = replaced_results(out, config)
    dataset = load_dataset(config.data, progress=tell)
    refuse_other_data(out, dataset.identity)
    if replaced is not None and not options.resume:
        tell(f"{out}: replacing {replaced}")
    watch = EpochLines(config, len(folds))
    results = run_folds(config, dataset, folds=folds, out=out, resume=options.resume, watch=watch)
    say(results_table(results))
    say(f"\nwritten to {out}")


def refuse_space(path: Path) -> None:
    """Raises: ConfigError for a space file, in one line instead of one for each of its keys."""
    if "search" in read_yaml(path).data:
        raise ConfigError(f"{path}: this is a space file. Search it with `{script('run.py', '--space', path)}`.")


def inspect_command(options: argparse.Namespace) -> None:
    """`licap data inspect`."""
    check_once(options.set)
    given = parse_overrides(options.set)
    config = config_from(given | ({} if options.path is None else {"data.path": options.path}))

    from licap.datasets import inspect_dataset

    say(inspect_dataset(config.data))


def config_command(options: argparse.Namespace) -> None:
    """`licap config`."""
    for name, spec in specs_of(TrialConfig).items():
        say(f"{name} = {shown(spec.default)}\n    {spec.meaning} ({spec.expectation()})")


def parse_folds(words: str | None, config: TrialConfig) -> list[int]:
    """`all`, or fold numbers with commas. Raises: ConfigError."""
    if words is None:
        return [config.fold]
    if words == "all":
        return list(range(NUM_FOLDS))
    parts = [word.strip() for word in words.split(",")]
    wrong = [part for part in parts if part not in map(str, range(NUM_FOLDS))]
    if wrong:
        raise ConfigError(
            f"--folds: {shortened(', '.join(map(repr, wrong)))} is no fold; give 0 to {NUM_FOLDS - 1}, or all."
        )
    return sorted({int(part) for part in parts})


def results_table(results: Sequence[FoldResult]) -> str:
    """Each metric on validation and test nodes, mean ± standard deviation over folds where there are several."""
    import statistics

    from licap.metrics import METRICS

    lines = [f"{'':14}{'validation':>20}{'test':>20}"]
    for name in results[0].metrics["val"]:
        cells = []
        for split in ("val", "test"):
            values = [result.metrics[split][name] for result in results]
            spread = f" ± {statistics.pstdev(values):.4f}" if len(values) > 1 else ""
            cells.append(f"{statistics.fmean(values):.4f}{spread}")
        lines.append(f"{METRICS[name].label:14}{cells[0]:>20}{cells[1]:>20}")
    for note in dict.fromkeys(note for result in results for note in result.notes):
        lines.append(f"note: {note}")
    return "\n".join(lines)


class EpochLines:
    """Progress on stderr: where the run is, how it does, the time left; a line every two seconds at most.

    The time left supposes that no stage stops early, and that an epoch to come takes as long as those so far. It is
    left out until an epoch has been measured.
    """

    def __init__(self, config: TrialConfig, num_folds: int, clock: Callable[[], float] = time.monotonic) -> None:
        # Without pretraining a fold's budgets begin where that would have ended.
        self._skipped = 0 if config.pretrains else config.pretrain.max_epochs
        self._total, self._num_folds, self._clock = config.total_budget, num_folds, clock
        # Budgets of each fold's first report: without pretraining it is not the first epoch.
        self._first: dict[int, int] = {}
        self._began, self._shown, self._measured = clock(), -math.inf, -1

    def __call__(self, fold: int, report: Report) -> None:
        """Shows a report, unless one was shown just now."""
        now = self._clock()
        self._first.setdefault(fold, report.budget)
        # Counted here: a stage that stops early jumps over budgets, and takes no time for them.
        self._measured += 1
        if self._measured == 0:
            self._began = now
        if now - self._shown < 2.0:
            return
        self._shown = now
        value = report.metrics.get("val.spearman")
        fold_words = f"fold {fold}, " if self._num_folds > 1 else ""
        score = f", validation Spearman {value:.4f}" if value is not None else ""
        place = f"{report.stage} epoch {report.epoch}, {report.budget - self._skipped}/{self._total - self._skipped}"
        tell(f"{fold_words}{place}{score}{self._left(report.budget, now)}")

    def _left(self, budget: int, now: float) -> str:
        whole_fold = self._total - min(self._first.values()) + 1
        epochs = self._total - budget + (self._num_folds - len(self._first)) * whole_fold
        if self._measured == 0 or epochs == 0:
            return ""
        return f", at most about {duration((now - self._began) / self._measured * epochs)} left"


if __name__ == "__main__":
    sys.exit(main())
