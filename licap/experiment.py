"""One config on one or several folds, from data to files: metrics, predictions, embeddings, a checkpoint to resume.

The only place beside a study's confirmation that opens the test fold.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from licap.checkpoint import load_checkpoint, save_checkpoint
from licap.config import TrialConfig
from licap.console import Stopped, stop_signals, tell
from licap.datasets.dataset import Dataset
from licap.errors import DivergedError, StoreError
from licap.files import remove_file, write_atomically, write_file_atomically
from licap.portable import portable_yaml
from licap.results import CHECKPOINT, CONFIG, EMBEDDINGS, METRICS, PREDICTIONS
from licap.trial import Report, SplitName, Trial

_SECONDS_BETWEEN_CHECKPOINTS = 20.0
# The largest log label whose raw score a float holds.
_LARGEST_LOG = 709.0
SPLITS: Mapping[SplitName, str] = {"val": "validation", "test": "test"}


@dataclass(frozen=True)
class FoldResult:
    """Metrics of one fold: split name to metric name to value."""

    fold: int
    metrics: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...]


def run_folds(
    config: TrialConfig,
    dataset: Dataset,
    *,
    folds: Sequence[int],
    out: Path,
    resume: bool,
    watch: Callable[[int, Report], None],
) -> list[FoldResult]:
    """Runs each fold and writes its files; with several folds, each has a folder of its own below `out`.

    Nothing is written before the first fold's trial has found config, data and checkpoint to be right.
    Raises: DataError, ConfigError, DivergedError from the trial; StoreError where files cannot be written, or where a
    checkpoint to resume belongs to something else; Stopped after a checkpoint.
    """
    config, results = config_of(config, folds), list[FoldResult]()
    for fold in folds:
        folder = out if len(folds) == 1 else out / f"fold-{fold}"
        trial = _prepared(replace(config, fold=fold), dataset, folder / CHECKPOINT, resume=resume)
        if not results:
            # What an earlier run left would contradict the new config.
            remove_file(out / METRICS)
            write_file_atomically(
                out / CONFIG, portable_yaml(config, fingerprint=dataset.identity, given=dataset.given)
            )
        results.append(_run_fold(trial, dataset, folder=folder, watch=watch))
        # After each fold: what is measured is not lost with a later fold.
        write_file_atomically(out / METRICS, json.dumps(summary(config, dataset, results), indent=2) + "\n")
    return results


def config_of(config: TrialConfig, folds: Sequence[int]) -> TrialConfig:
    """The config that a run of some folds leaves in its folder: where it is one fold, the config names it."""
    return replace(config, fold=folds[0]) if len(folds) == 1 else config


def _prepared(config: TrialConfig, dataset: Dataset, checkpoint: Path, *, resume: bool) -> Trial:
    """The trial at its start, or where its checkpoint was taken.

    Raises: StoreError naming the checkpoint where it belongs to something else; DataError where it is damaged.
    """
    trial = Trial(config, dataset=dataset)
    if not resume:
        return trial
    if not checkpoint.exists():
        tell(f"{checkpoint}: not there yet; starting afresh")
        return trial
    state = load_checkpoint(checkpoint)
    try:
        trial.load_state_dict(state)
    except StoreError as error:
        raise StoreError(f"{checkpoint}: {error}") from None
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise StoreError(
            f"{checkpoint}: holds a state that does not fit this program ({type(error).__name__}). "
            "Start anew without --resume."
        ) from None
    return trial


def _run_fold(trial: Trial, dataset: Dataset, *, folder: Path, watch: Callable[[int, Report], None]) -> FoldResult:
    """Runs one fold to its end and writes predictions and embeddings."""
    fold = trial.config.fold
    for name in (PREDICTIONS, EMBEDDINGS):
        remove_file(folder / name)
    _train(trial, folder / CHECKPOINT, lambda report: watch(fold, report))
    metrics: dict[str, Mapping[str, float]] = {split: trial.evaluate(split) for split in SPLITS}
    write_file_atomically(folder / PREDICTIONS, predictions_csv(trial, dataset))
    embeddings = trial.embeddings()
    if embeddings is not None:
        write_atomically(folder / EMBEDDINGS, lambda file: np.save(file, embeddings, allow_pickle=False))
    notes = [f"{words} nodes: {note}" for split, words in SPLITS.items() for note in trial.notes_on(split)]
    return FoldResult(fold, metrics, (*dataset.notes, *notes, *trial.training_notes))


def _train(trial: Trial, checkpoint: Path, watch: Callable[[Report], None]) -> None:
    """Steps to the end, with a checkpoint every few seconds and at the end.

    Raises: Stopped after a checkpoint, where a signal asked for it: never inside an epoch, whose half-done state could
    not be resumed exactly. A second signal breaks off at once.
    """
    asked: list[int] = []
    saved = time.monotonic()
    with stop_signals(asked.append):
        try:
            for report in trial:
                watch(report)
                if asked:
                    break
                if time.monotonic() - saved > _SECONDS_BETWEEN_CHECKPOINTS:
                    save_checkpoint(checkpoint, trial.state_dict())
                    saved = time.monotonic()
        except DivergedError:
            # The state holds the best epoch before the divergence.
            save_checkpoint(checkpoint, trial.state_dict())
            raise
        save_checkpoint(checkpoint, trial.state_dict())
    if asked:
        raise Stopped(asked[0], f"{checkpoint} is kept; go on with the same command and --resume")


def predictions_csv(trial: Trial, dataset: Dataset) -> str:
    """`node,name,true,predicted,split`: raw scores as in the data set; true is empty where there is no label.

    node: what names the node in the data set. name: what people call it; the same where the format has no such thing.
    """
    split = trial.split
    places = np.full(dataset.graph.num_nodes, "unlabelled", dtype=object)
    for name, nodes in (("train", split.train), ("val", split.val), ("test", split.test)):
        places[nodes] = name
    predicted = np.expm1(np.minimum(trial.predictions(), _LARGEST_LOG))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["node", "name", "true", "predicted", "split"])
    titles = dataset.titles or dataset.names
    for row, (node, title) in enumerate(zip(dataset.names, titles, strict=True)):
        true = repr(float(dataset.importance[row])) if dataset.valid[row] else ""
        writer.writerow([node, title, true, repr(float(predicted[row])), places[row]])
    return text.getvalue()


def summary(config: TrialConfig, dataset: Dataset, results: Sequence[FoldResult]) -> dict[str, object]:
    """What metrics.json holds: each fold's metrics, their mean and standard deviation, and what made them."""
    return {
        "dataset": dataset.name,
        "fingerprint": dataset.identity,
        "seed": config.seed,
        "folds": {str(result.fold): {**result.metrics, "notes": list(result.notes)} for result in results},
        "mean": {split: _over_folds(results, split, np.mean) for split in SPLITS},
        "std": {split: _over_folds(results, split, np.std) for split in SPLITS},
    }


def _over_folds(
    results: Sequence[FoldResult], split: str, reduce: Callable[[Sequence[float]], np.floating]
) -> dict[str, float]:
    names = results[0].metrics[split]
    return {name: float(reduce([result.metrics[split][name] for result in results])) for name in names}
