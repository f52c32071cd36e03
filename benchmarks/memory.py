"""How much memory does training take, model by model?

    python -m benchmarks.memory [--data FOLDER] [--features both] [--input features+embeddings] [--epochs 3]

Each model trains in a process of its own, pretraining included where its input needs it: the largest resident memory of
the process, and what of it was there before the trial began (Python, libraries, data).
"""

from __future__ import annotations

import argparse
import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from licap.config import TrialConfig, config_from
from licap.datasets import load_dataset
from licap.models import MODELS
from licap.trial import Trial


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--data", help="folder of the data set; without it, the synthetic graph")
    parser.add_argument("--features", default="both", choices=["struct", "semantic", "concat", "both"])
    parser.add_argument("--input", default="features+embeddings", help="downstream.input of models that see inputs")
    parser.add_argument("--epochs", type=int, default=3, help="of each stage")
    options = parser.parse_args()
    sys.stdout.write(f"{'model':24}{'before, MB':>12}{'peak, MB':>12}\n")
    # A process does one task only: its peak would stay for the next.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as process:
        for name in sorted(MODELS):
            before, peak = process.submit(measure, _config(name, options)).result()
            sys.stdout.write(f"{name:24}{before:12.0f}{peak:12.0f}\n")
            sys.stdout.flush()


def _config(model: str, options: argparse.Namespace) -> TrialConfig:
    values: dict[str, object] = {
        "data.features": options.features,
        "pretrain.max_epochs": options.epochs,
        "downstream.model": model,
        "downstream.input": "features",
        "downstream.max_epochs": options.epochs,
        "runtime.threads": 1,
    }
    if options.data:
        values["data.path"] = options.data
    plain = config_from(values)
    sees_inputs = plain.downstream.model_config.sees_inputs
    return plain.with_values({"downstream.input": options.input}) if sees_inputs else plain


def measure(config: TrialConfig) -> tuple[float, float]:
    """MB before the trial and at the peak, of this process."""
    dataset = load_dataset(config.data)
    before = _peak()
    for _ in Trial(config, dataset=dataset):
        pass
    return before, _peak()


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
