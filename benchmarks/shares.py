"""Where does an epoch's time go?

    python -m benchmarks.shares [--data FOLDER] [--backend numba] [--epochs 20] [--threads 1 2]

Runs epochs of both stages under torch's profiler, the probe at every fifth one of pretraining as in a trial, and sorts
the time of each operation, without that of the operations within, by what it belongs to. Backward operations belong
where their forward ones do. The profiler itself slows small operations: shares are nearer the truth than milliseconds.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks import graphs, output
from benchmarks.command import new_parser, positive, run
from benchmarks.measuring import WARM_UP
from benchmarks.output import Bars, Column, Findings
from licap import downstream
from licap.config import config_from
from licap.ops import available_backends
from licap.pretrain import Contrast
from licap.signals import Signals
from licap.training import Learner
from licap.trial import Trial

OTHER = "other operations"
OUTSIDE = "Python and the rest"
# What the methods of these do is told apart by who called it, all else by the operation itself.
SCOPES = (
    (Contrast, "losses", "losses"),
    (Signals, "look", "probe"),
    (Learner, "update", "optimiser"),
    (torch.nn.utils, "clip_grad_norm_", "optimiser"),
    (downstream, "evaluate", "metrics"),
)
DENSE = ("aten::mm", "aten::addmm", "aten::bmm", "aten::matmul", "aten::linear")


def main() -> None:
    """Runs the benchmark."""
    parser = new_parser("shares", __doc__)
    graphs.add_options(parser)
    parser.add_argument("--backend", default="numba", choices=available_backends())
    parser.add_argument("--epochs", type=positive, default=20, help="of each stage")
    parser.add_argument("--threads", type=positive, nargs="+", default=[1, 2])
    output.add_options(parser)
    options = parser.parse_args()
    findings = Findings("shares", options)
    columns = [
        Column("stage", "stage"),
        Column("threads", "threads", ".0f"),
        Column("part", "part"),
        Column("ms", "ms/epoch", ".1f"),
        Column("share", "share", ".1%"),
    ]
    table = findings.table("shares", columns)
    for threads in options.threads:
        for stage, parts in shares(options, threads).items():
            whole = sum(parts.values())
            for part, ms in parts.most_common():
                table.add(stage=stage, threads=threads, part=part, ms=ms, share=ms / whole)
            shown = {part: 100 * ms / whole for part, ms in parts.most_common()}
            findings.pictures.append(Bars(f"{stage}, threads: {threads}", "% of an epoch", shown))
    findings.write()


def shares(options: argparse.Namespace, threads: int) -> dict[str, Counter[str]]:
    """Milliseconds of an epoch by stage and part."""
    length = WARM_UP + options.epochs
    config = config_from(
        {
            "runtime.threads": threads,
            "runtime.backend": options.backend,
            "pretrain.max_epochs": length,
            "pretrain.patience": length,
            "downstream.max_epochs": length,
            "downstream.patience": length,
        }
    )
    trial = Trial(config, dataset=graphs.dataset_of(options))
    found = {}
    with _scopes():
        for stage in ("pretrain", "downstream"):
            for _ in range(WARM_UP):
                next(trial)
            with profile(activities=[ProfilerActivity.CPU]) as profiler, record_function("epochs"):
                for _ in range(options.epochs):
                    next(trial)
            totals = _sorted(list(profiler.events()))
            found[stage] = Counter({part: us / 1000 / options.epochs for part, us in totals.items()})
    return found


def _sorted(events: list[Any]) -> Counter[str]:
    """Microseconds by part."""
    scopes = {name for _, _, name in SCOPES}
    # The profiler gives a forward operation and what autograd does for it later the same number.
    forward = {
        event.sequence_nr: scope
        for event in events
        if event.sequence_nr >= 0 and (scope := _scope(event, scopes)) is not None
    }
    totals: Counter[str] = Counter()
    for event in events:
        totals[_part(event, scopes, forward)] += event.self_cpu_time_total
    return totals


def _part(event: Any, scopes: set[str], forward: dict[int, str]) -> str:
    """What an operation belongs to."""
    scope, backward = _scope(event, scopes), _backward(event)
    if scope is None and backward is not None:
        scope = forward.get(backward.sequence_nr)
    if scope is not None:
        return scope
    above = [event, *_above(event)]
    names = [each.name for each in above]
    if any("RelationAttentionBackward" in name for name in names):
        return "attention, backward"
    if any(name.startswith("_RelationAttention") for name in names):
        return "attention, forward"
    if any(name in DENSE for name in names):
        return "dense products"
    if event.name == "epochs":
        return OUTSIDE
    return OTHER


def _scope(event: Any, scopes: set[str]) -> str | None:
    return next((each.name for each in (event, *_above(event)) if each.name in scopes), None)


def _backward(event: Any) -> Any:
    """The autograd node that an operation runs in."""
    return next((each for each in (event, *_above(event)) if each.name.startswith("autograd::engine")), None)


def _above(event: Any) -> Iterator[Any]:
    """The operations that an operation runs in, from within."""
    while event.cpu_parent is not None:
        event = event.cpu_parent
        yield event


@contextmanager
def _scopes() -> Iterator[None]:
    """Within, the profiler is told when one of the functions runs."""
    with ExitStack() as stack:
        for owner, name, scope in SCOPES:
            original = getattr(owner, name)
            setattr(owner, name, _recorded(original, scope))
            stack.callback(setattr, owner, name, original)
        yield


def _recorded(function: Any, scope: str) -> Any:
    @wraps(function)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        with record_function(scope):
            return function(*args, **kwargs)

    return recorded


if __name__ == "__main__":
    run(main)
