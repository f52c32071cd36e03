"""One config on one or several folds, from data to files: metrics, predictions, embeddings, a checkpoint to resume.

The only place beside a study's confirmation that opens the test fold.
"""

from __future__ import annotations

import csv
import io
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from licap.checkpoint import load_checkpoint, save_checkpoint
from licap.config import TrialConfig
from licap.console import stop_signals
from licap.datasets.dataset import Dataset
from licap.files import write_atomically, write_text_atomically
from licap.trial import Report, Trial

_SECONDS_BETWEEN_CHECKPOINTS = 20.0
SPLITS: tuple[Literal["val", "test"], ...] = ("val", "test")


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

    Raises: DataError, ConfigError, DivergedError from the trial; StoreError where files cannot be written.
    """
    write_text_atomically(out / "config.yaml", config.to_yaml())
    results = []
    for fold in folds:
        folder = out if len(folds) == 1 else out / f"fold-{fold}"
        results.append(run_fold(replace(config, fold=fold), dataset, folder=folder, resume=resume, watch=watch))
    write_text_atomically(out / "metrics.json", json.dumps(summary(config, dataset, results), indent=2) + "\n")
    return results


def run_fold(
    config: TrialConfig, dataset: Dataset, *, folder: Path, resume: bool, watch: Callable[[int, Report], None]
) -> FoldResult:
    """Runs one fold to its end, from its checkpoint where asked, and writes predictions and embeddings."""
    trial = Trial(config, dataset=dataset)
    checkpoint = folder / "checkpoint.pt"
    if resume and checkpoint.exists():
        trial.load_state_dict(load_checkpoint(checkpoint))
    _train(trial, checkpoint, lambda report: watch(config.fold, report))
    metrics: dict[str, Mapping[str, float]] = {split: trial.evaluate(split) for split in SPLITS}
    write_text_atomically(folder / "predictions.csv", predictions_csv(trial, dataset))
    embeddings = trial.embeddings()
    if embeddings is not None:
        write_atomically(folder / "embeddings.npy", lambda file: np.save(file, embeddings, allow_pickle=False))
    return FoldResult(config.fold, metrics, tuple(trial.notes))


def _train(trial: Trial, checkpoint: Path, watch: Callable[[Report], None]) -> None:
    """Steps to the end, with a checkpoint every few seconds and at the end.

    Raises: KeyboardInterrupt after a checkpoint, where Ctrl-C asked for it: never inside an epoch, whose half-done
    state could not be resumed exactly.
    """
    asked = threading.Event()
    saved = time.monotonic()
    with stop_signals(asked.set):
        for report in trial:
            watch(report)
            if asked.is_set() or time.monotonic() - saved > _SECONDS_BETWEEN_CHECKPOINTS:
                save_checkpoint(checkpoint, trial.state_dict())
                saved = time.monotonic()
            if asked.is_set():
                raise KeyboardInterrupt
        save_checkpoint(checkpoint, trial.state_dict())


def predictions_csv(trial: Trial, dataset: Dataset) -> str:
    """`node,name,true,predicted,split`: raw scores as in the data set; true is empty where there is no label.

    node: what names the node in the data set. name: what people call it; the same where the format has no such thing.
    """
    split = trial.split
    places = np.full(dataset.graph.num_nodes, "unlabelled", dtype=object)
    for name, nodes in (("train", split.train), ("val", split.val), ("test", split.test)):
        places[nodes] = name
    predicted = np.expm1(np.asarray(trial.predictions(), dtype=np.float64))
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
        "fingerprint": dataset.fingerprint,
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
