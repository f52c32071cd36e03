"""How much memory does training take, model by model?

    python -m benchmarks.memory [--data FOLDER] [--features both] [--input features+embeddings] [--epochs 3]

Each model trains in a process of its own, pretraining included where its input needs it: the largest resident memory of
the process, and what of it was there before the trial began (Python, libraries, data).
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Callable

from benchmarks import graphs, output
from benchmarks.command import new_parser, positive, run
from benchmarks.measuring import in_own_process
from benchmarks.output import BEFORE_MB, TOTAL_MB, Bars, Column, Findings
from licap.config import TrialConfig, config_from
from licap.models import MODELS
from licap.trial import Trial


def main() -> None:
    """Runs the benchmark."""
    parser = new_parser("memory", __doc__)
    graphs.add_options(parser)
    parser.add_argument("--features", default="both", choices=["struct", "semantic", "concat", "both"])
    parser.add_argument("--input", default="features+embeddings", help="downstream.input of models that see inputs")
    parser.add_argument("--epochs", type=positive, default=3, help="of each stage")
    output.add_options(parser)
    options = parser.parse_args()
    findings = Findings("memory", options)
    columns = [
        Column("model", "model"),
        BEFORE_MB,
        TOTAL_MB,
        Column("seconds", "seconds", ".1f"),
    ]
    table = findings.table("models", columns)
    for name in sorted(MODELS):
        used = in_own_process(_trial, name, options)
        table.add(model=name, before_mb=used.before, total_mb=used.total, seconds=used.seconds)
    findings.pictures.append(Bars("peak of training", "MB", table.numbers("total_mb", by="model")))
    findings.write()


def _config(model: str, options: argparse.Namespace) -> TrialConfig:
    plain = config_from(
        {
            "data.features": options.features,
            "pretrain.max_epochs": options.epochs,
            "downstream.model": model,
            "downstream.input": "features",
            "downstream.max_epochs": options.epochs,
            "runtime.threads": 1,
        }
    )
    sees_inputs = plain.downstream.model_config.sees_inputs
    return plain.with_values({"downstream.input": options.input}) if sees_inputs else plain


def _trial(model: str, options: argparse.Namespace) -> Callable[[], object]:
    """A trial from its construction on, its data loaded, to be run in a process of its own."""
    config, dataset = _config(model, options), graphs.dataset_of(options, options.features)
    return lambda: deque(Trial(config, dataset=dataset), maxlen=0)


if __name__ == "__main__":
    run(main)
