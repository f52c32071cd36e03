"""What does a whole trial cost by backend, in time and memory, and what if another one runs beside it?

    python -m benchmarks.trial [--data FOLDER] [--backends numba dgl torch] [--threads 1] [--rounds 3]
    python -m benchmarks.trial --slots [--data FOLDER] [--backends numba]

A trial is 60 epochs of pretraining and 200 of GENI on structure features, probes and validation included, without early
stopping, in a process of its own: so its peak is its own. Backends take turns trial by trial; libraries, data and
kernels are loaded before the clock starts. Prints medians over the rounds. `unfused` computes the attention by
`benchmarks.reference`, `triton-recorded` replays epochs as CUDA graphs.

--slots compares a trial alone with two side by side, each with one thread, as a search with two slots on two cores
runs them. The two begin together; the time of the slower one counts. Where other programs keep the cores busy, the
ratio of processor times says what the two cost each other through caches and memory, and that of seconds says little.
"""

from __future__ import annotations

import argparse
import statistics
from collections import deque
from collections.abc import Callable

from benchmarks import graphs, output
from benchmarks.command import add_backends, new_parser, parsed, positive, run, runtime_of, taken
from benchmarks.measuring import Used, in_own_process, side_by_side, yardstick
from benchmarks.output import ABOVE_MB, BEFORE_MB, TOTAL_MB, Bars, Column, Findings
from benchmarks.primitives import load_libraries
from benchmarks.reference import UNFUSED, standing_in
from licap.config import config_from
from licap.trial import Trial

_ONE_EPOCH_EACH = {"pretrain.max_epochs": 1, "downstream.max_epochs": 1}


def main() -> None:
    """Runs the benchmark."""
    parser = new_parser("trial", __doc__)
    graphs.add_options(parser)
    add_backends(parser)
    parser.add_argument("--threads", type=positive, default=1, help="of the CPU")
    parser.add_argument("--rounds", type=positive, default=3, help="trials of each backend")
    parser.add_argument("--pretrain-epochs", type=positive, default=60)
    parser.add_argument("--downstream-epochs", type=positive, default=200)
    parser.add_argument("--slots", action="store_true", help="compare one trial alone with two side by side")
    output.add_options(parser)
    options = parsed(parser, recorded=True)
    findings = Findings("trial", options)
    if UNFUSED in options.backends:
        options.backends = graphs.fitting_trials(findings, options, graphs.edges_of(options))
    (compare_slots if options.slots else compare_backends)(findings, options)
    findings.write()


def compare_backends(findings: Findings, options: argparse.Namespace) -> None:
    """Seconds and peak of a trial by backend."""
    used: dict[str, list[Used]] = {backend: [] for backend in options.backends}
    for _ in range(options.rounds):
        for backend in options.backends:
            used[backend].append(in_own_process(_trial, options, backend, options.threads))
    seconds = {backend: statistics.median(each.seconds for each in runs) for backend, runs in used.items()}
    work = {backend: statistics.median(each.processor for each in runs) for backend, runs in used.items()}
    other = yardstick(options.backends)
    columns = [
        Column("backend", "backend"),
        Column("seconds", "s/trial", ".1f"),
        Column("faster", f"{other} / it", ".2f"),
        Column("processor_s", "cpu, s", ".1f"),
        Column("processor_faster", f"{other} / it", ".2f"),
        BEFORE_MB,
        ABOVE_MB,
        TOTAL_MB,
        Column("of_other", f"of {other}'s", ".2f"),
    ]
    table = findings.table("trials", columns)
    totals = {backend: max(each.total for each in runs) for backend, runs in used.items()}
    for backend, runs in used.items():
        table.add(
            backend=backend,
            seconds=seconds[backend],
            faster=seconds[other] / seconds[backend],
            processor_s=work[backend],
            processor_faster=work[other] / work[backend],
            before_mb=max(each.before for each in runs),
            above_mb=max(each.above for each in runs),
            total_mb=totals[backend],
            of_other=totals[backend] / totals[other],
        )
    findings.pictures += [Bars("a trial", "seconds", seconds), Bars("its process", "MB at the peak", totals)]


def compare_slots(findings: Findings, options: argparse.Namespace) -> None:
    """Seconds of a trial alone and of two side by side."""
    columns = [
        Column("backend", "backend"),
        Column("alone_s", "alone, s", ".1f"),
        Column("beside_s", "two beside each other, s", ".1f"),
        Column("ratio", "ratio", ".2f"),
        Column("processor_ratio", "of processor time", ".2f"),
        Column("total_mb", "in total of each, MB", ",.0f"),
    ]
    table = findings.table("slots", columns)
    for backend in options.backends:
        alone, beside = [], []
        for _ in range(options.rounds):
            alone.append(in_own_process(_trial, options, backend, 1))
            beside.append(side_by_side(_trial, [(options, backend, 1)] * 2))
        alone_s = statistics.median(each.seconds for each in alone)
        beside_s = statistics.median(max(each.seconds for each in pair) for pair in beside)
        total = max(each.total for pair in beside for each in pair)
        work_alone = statistics.median(each.processor for each in alone)
        work_beside = statistics.median(max(each.processor for each in pair) for pair in beside)
        table.add(
            backend=backend,
            alone_s=alone_s,
            beside_s=beside_s,
            ratio=beside_s / alone_s,
            processor_ratio=work_beside / work_alone,
            total_mb=total,
        )
        values = {"alone": alone_s, "two side by side": beside_s}
        findings.pictures.append(Bars(f"a trial of {backend}, one thread", "seconds", values))


def _trial(options: argparse.Namespace, backend: str, threads: int) -> Callable[[], object]:
    """A whole trial, to be run in a process of its own."""
    device = taken(options.device)
    config = config_from(
        {
            **runtime_of(options, backend),
            "runtime.threads": threads,
            "pretrain.max_epochs": options.pretrain_epochs,
            "pretrain.patience": options.pretrain_epochs,
            "downstream.max_epochs": options.downstream_epochs,
            "downstream.patience": options.downstream_epochs,
        }
    )
    dataset = graphs.dataset_of(options)
    trial = Trial(config, dataset=dataset)
    load_libraries(config.runtime.backend, "relation_attention", options.device)
    if device.type == "cuda":
        # Triton compiles for each width, and keeps on disk what it has compiled.
        deque(Trial(config.with_values(_ONE_EPOCH_EACH), dataset=dataset), maxlen=0)

    def whole() -> None:
        with standing_in(backend):
            deque(trial, maxlen=0)

    return whole


if __name__ == "__main__":
    run(main)
