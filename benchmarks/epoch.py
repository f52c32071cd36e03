"""What does an epoch of each stage cost, and how do the attention backends compare?

    python -m benchmarks.epoch [--data FOLDER] [--features struct] [--epochs 10] [--threads 1]

Backends take turns epoch by epoch on the same data, so that a busy machine slows all alike. Prints medians and ratios.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

from licap.config import config_from
from licap.datasets import load_dataset
from licap.ops import available_backends
from licap.trial import Trial

WARM_UP = 2


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.epoch", description=__doc__)
    parser.add_argument("--data", help="folder of the data set; without it, the synthetic graph")
    parser.add_argument("--features", default="struct", choices=["struct", "semantic", "concat"])
    parser.add_argument("--epochs", type=int, default=10, help="measured epochs of each stage")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    seconds = measure(options)
    sys.stdout.write(f"{'stage':12}{'backend':10}{'ms/epoch':>10}{'x torch':>10}\n")
    for (stage, backend), times in seconds.items():
        median = statistics.median(times[WARM_UP:])
        ratio = median / statistics.median(seconds[stage, "torch"][WARM_UP:])
        sys.stdout.write(f"{stage:12}{backend:10}{1000 * median:10.0f}{ratio:10.2f}\n")


def measure(options: argparse.Namespace) -> dict[tuple[str, str], list[float]]:
    """Seconds of each epoch by stage and backend."""
    epochs = options.epochs + WARM_UP
    values = {
        "data.features": options.features,
        "runtime.threads": options.threads,
        "pretrain.max_epochs": epochs,
        "pretrain.patience": epochs,
        "pretrain.probe_every": 10 * epochs,
        "downstream.max_epochs": epochs,
        "downstream.patience": epochs,
    }
    if options.data:
        values["data.path"] = options.data
    config = config_from(values)
    dataset = load_dataset(config.data)
    trials = {
        backend: Trial(config.with_values({"runtime.backend": backend}), dataset=dataset)
        for backend in available_backends()
    }
    seconds: dict[tuple[str, str], list[float]] = {}
    for _ in range(config.total_budget):
        for backend, trial in trials.items():
            began = time.perf_counter()
            report = next(trial)
            seconds.setdefault((report.stage, backend), []).append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    main()
