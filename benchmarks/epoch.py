"""What does an epoch of each stage cost, and how do the attention backends compare?

    python -m benchmarks.epoch [--data FOLDER] [--features struct] [--model geni] [--epochs 10] [--threads 1]
    python -m benchmarks.epoch --peak [--data FOLDER | --edges 10000000 --nodes 1000000] [--backends numba]

Backends take turns epoch by epoch on the same data, so that a busy machine slows all alike. Prints medians and ratios.

--peak measures memory instead: an epoch of PreGAT, losses and step included, the second one of a process of its own.
"before" is what the process held then: libraries, data, indices, parameters. "in total" is the most that it held since
it began. A random graph (--edges) has random features, 64 wide, and at most 20,000 labelled nodes: the losses contrast
every top node with every drawn one.

`unfused` computes the attention by `benchmarks.reference`, `triton-recorded` replays epochs as CUDA graphs.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from functools import partial

from benchmarks import graphs, output
from benchmarks.command import add_backends, new_parser, parsed, positive, run, runtime_of, taken
from benchmarks.measuring import WARM_UP, in_own_process, in_turns, settled, timed, yardstick
from benchmarks.output import ABOVE_MB, BEFORE_MB, TOTAL_MB, Bars, Column, Findings
from benchmarks.primitives import load_libraries
from benchmarks.reference import standing_in
from licap import cuda_graphs
from licap.config import TrialConfig, config_from
from licap.models import MODELS, DownstreamModel
from licap.trial import Trial


def main() -> None:
    """Runs the benchmark."""
    trained = sorted(name for name, model in MODELS.items() if issubclass(model, DownstreamModel))
    parser = new_parser("epoch", __doc__)
    graphs.add_options(parser)
    parser.add_argument("--features", default="struct", choices=["struct", "semantic", "concat", "both"])
    parser.add_argument("--model", default="geni", choices=trained, help="the downstream model")
    add_backends(parser)
    parser.add_argument("--epochs", type=positive, default=10, help="measured epochs of each stage")
    parser.add_argument("--threads", type=positive, default=1, help="of the CPU")
    parser.add_argument("--peak", action="store_true", help="measure the memory of pretraining instead")
    output.add_options(parser)
    options = parsed(parser, recorded=True)
    findings = Findings("epoch", options)
    (compare_memory if options.peak else compare_times)(findings, options)
    findings.write()


def compare_times(findings: Findings, options: argparse.Namespace) -> None:
    """Seconds of an epoch by stage and backend."""
    recorded = any(runtime_of(options, backend)["runtime.cuda_graphs"] for backend in options.backends)
    left_out = cuda_graphs.WARM_UP + 1 if recorded else WARM_UP
    config = _config(options, options.epochs + left_out)
    dataset = graphs.dataset_of(options, options.features)
    options.backends = graphs.fitting_trials(findings, options, dataset.graph.num_edges)
    trials = {
        backend: Trial(config.with_values(runtime_of(options, backend)), dataset=dataset)
        for backend in options.backends
    }
    rivals = {backend: partial(_epoch, trial, backend) for backend, trial in trials.items()}
    turns = in_turns(rivals, config.total_budget)
    seconds = {case: settled(times, left_out) for case, times in turns.items()}
    other = yardstick(options.backends)
    columns = [
        Column("stage", "stage"),
        Column("backend", "backend"),
        Column("ms", "ms/epoch", ".1f"),
        Column("faster", f"{other} / it", ".2f"),
    ]
    table = findings.table("epochs", columns)
    for (stage, backend), spent in seconds.items():
        table.add(stage=stage, backend=backend, ms=1000 * spent, faster=seconds[stage, other] / spent)
    for stage in ("pretrain", "downstream"):
        values = {backend: 1000 * seconds[stage, backend] for backend in options.backends}
        findings.pictures.append(Bars(stage, "ms an epoch", values))


def compare_memory(findings: Findings, options: argparse.Namespace) -> None:
    """The peak of pretraining by backend."""
    options.backends = graphs.fitting_trials(findings, options, graphs.edges_of(options))
    columns = [
        Column("backend", "backend"),
        BEFORE_MB,
        ABOVE_MB,
        Column("of_other", f"of {yardstick(options.backends)}'s", ".3f"),
        TOTAL_MB,
        Column("seconds", "s/epoch", ".2f"),
    ]
    table = findings.table("peaks", columns)
    # Each array gets pages of its own, and gives them back: else a peak depends on what the allocator keeps for later.
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", "65536")
    found = {backend: in_own_process(_pretraining, options, backend) for backend in options.backends}
    for backend, used in found.items():
        table.add(
            backend=backend,
            before_mb=used.before,
            above_mb=used.above,
            of_other=used.above / found[yardstick(options.backends)].above,
            total_mb=used.total,
            seconds=used.seconds,
        )
    for key, title in (("above_mb", "above what was there"), ("total_mb", "in total")):
        findings.pictures.append(Bars(f"peak of pretraining, {title}", "MB", table.numbers(key, by="backend")))


def _pretraining(options: argparse.Namespace, backend: str) -> Callable[[], object]:
    """The second epoch of pretraining; the first one has the probe and makes the indices.

    Of one that is recorded, the recording: what replays need is held from then on.
    """
    taken(options.device)
    runtime = runtime_of(options, backend)
    epochs = cuda_graphs.WARM_UP if runtime["runtime.cuda_graphs"] else 1
    config = _config(options, epochs + 1).with_values(runtime)
    trial = Trial(config, dataset=graphs.dataset_of(options, options.features))
    load_libraries(config.runtime.backend, "relation_attention", options.device)
    for _ in range(epochs):
        _epoch(trial, backend)
    return partial(_epoch, trial, backend)


def _epoch(trial: Trial, rival: str) -> Mapping[str, float]:
    """One epoch, by the stage it was in."""
    with standing_in(rival):
        report, seconds = timed(partial(next, trial))
    return {report.stage: seconds}


def _config(options: argparse.Namespace, epochs: int) -> TrialConfig:
    """A trial of so many epochs in each stage. Its probe looks at the first epoch alone."""
    return config_from(
        {
            "data.features": options.features,
            "runtime.threads": options.threads,
            "downstream.model": options.model,
            "pretrain.max_epochs": epochs,
            "pretrain.patience": epochs,
            "pretrain.probe_every": 10 * epochs,
            "downstream.max_epochs": epochs,
            "downstream.patience": epochs,
        }
    )


if __name__ == "__main__":
    run(main)
