"""Does a search stay away from values with which trials fail, and what does it find?

    python -m benchmarks.failures [--sampler tpe] [--seeds 30] [--trials 60]

No training: four numbers in [0, 1], a trial fails wherever the first one is above 0.5, else its value is minus the
squared distance to an optimum, which lies well inside the good half, just below the border, or beyond it. A trial
learns over 27 epochs; with ASHA, which stops the worse two thirds at epochs 3 and 9, most trials end without a
final value.

Failures are told in three ways: not at all (what Optuna's samplers make of FAIL), as a complete trial with the worst
value seen so far, and as `Proposer` shows them (last of all; the same as a violated constraint). Prints the share of
failures among all trials and among the second half, and the distance of the best complete trial to the best value that
can be had; medians over seeds, with quartiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from benchmarks.command import new_parser, positive, run
from licap.console import say
from licap.fields import Scalar
from search.space import Parameter, SamplerConfig
from search.strategy import ASHA, Decision, NoPruner, Proposer, Pruner, TrialReport

PARAMETERS = tuple(Parameter(name=f"x{index}", kind="float", low=0.0, high=1.0) for index in range(4))
BORDER = 0.5
OPTIMA = {"inside": 0.3, "border": 0.48, "beyond": 0.7}
OTHERS = (0.4, 0.5, 0.6)
EPOCHS = 27
TOLD = ("not told", "worst value", "last place")


@dataclass(frozen=True)
class Found:
    """What became of one search. late: share of failures in its second half."""

    failures: float
    late: float
    distance: float


def main() -> None:
    """Runs the benchmark."""
    parser = new_parser("failures", __doc__)
    parser.add_argument("--sampler", action="append", default=[], choices=("tpe", "gp", "cmaes"), help="default: tpe")
    parser.add_argument("--seeds", type=positive, default=30)
    parser.add_argument("--trials", type=positive, default=60)
    options = parser.parse_args()
    head = ("sampler", "optimum", "pruner", "failures", "failing", "of them late", "distance of the best")
    say(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    for sampler in options.sampler or ["tpe"]:
        for optimum in OPTIMA:
            for pruner in ("none", "asha"):
                for told in TOLD:
                    found = [
                        search(sampler, optimum, pruner, told, seed, options.trials) for seed in range(options.seeds)
                    ]
                    say(f"| {sampler} | {optimum} | {pruner} | {told} | {row(found)} |")


def search(sampler: str, optimum: str, pruner: str, told: str, seed: int, trials: int) -> Found:
    """One search."""
    proposer = Proposer(PARAMETERS, starting_points=[], sampler=SamplerConfig(name=sampler), seed=seed, direction="max")
    judge: Pruner = ASHA((3, 9), reduction=3, direction="max") if pruner == "asha" else NoPruner()
    failed: list[bool] = []
    values: list[float] = []
    for number in range(trials):
        point = proposer.propose(number)
        assert point is not None, "only a grid is ever used up"
        final = value_of(point, OPTIMA[optimum])
        failed.append(final is None)
        if final is None:
            tell_failure(proposer, number, told, min(values, default=None))
        elif pruned(proposer, judge, number, final):
            proposer.finish(number, "pruned", None)
        else:
            values.append(final)
            proposer.finish(number, "complete", final)
    best = value_of(
        {"x0": min(OPTIMA[optimum], BORDER), **{f"x{i + 1}": x for i, x in enumerate(OTHERS)}}, OPTIMA[optimum]
    )
    late = failed[trials // 2 :]
    return Found(sum(failed) / trials, sum(late) / len(late), cast(float, best) - max(values, default=-np.inf))


def value_of(point: Mapping[str, Scalar], optimum: float) -> float | None:
    """The value of a point; None where it fails."""
    x = [cast(float, point[parameter.name]) for parameter in PARAMETERS]
    if x[0] > BORDER:
        return None
    return -sum((a - b) ** 2 for a, b in zip(x, (optimum, *OTHERS), strict=True))


def pruned(proposer: Proposer, judge: Pruner, number: int, final: float) -> bool:
    """Reports a learning curve. Returns whether the pruner stopped it."""
    for budget in range(1, EPOCHS):
        # Trials learn equally fast, and a little out of step, so that early values mislead now and then.
        value = final - 0.3 * np.exp(-budget / 6) * (1 + 0.3 * np.sin(7 * number))
        proposer.observe_report(number, budget, value)
        if judge.decide(TrialReport(trial=number, budget=budget, value=value)) is Decision.STOP:
            return True
    return False


def tell_failure(proposer: Proposer, number: int, told: str, worst: float | None) -> None:
    """Ends a failed trial in one of the three ways."""
    if told == "worst value" and worst is not None:
        proposer.finish(number, "complete", worst)
    else:
        # A crash says nothing of a trial's values, and samplers are not told of it.
        proposer.finish(number, "failed", None, failure="diverged" if told == "last place" else "crashed")


def row(found: Sequence[Found]) -> str:
    """Medians and quartiles as cells."""
    shares = [spread([100 * getattr(each, name) for each in found], "{:.0f}") + " %" for name in ("failures", "late")]
    return " | ".join([*shares, spread([each.distance for each in found], "{:.4f}")])


def spread(values: Sequence[float], form: str) -> str:
    """`median (quartile to quartile)`."""
    low, middle, high = (form.format(each) for each in np.percentile(values, (25, 50, 75)))
    return f"{middle} ({low} to {high})"


if __name__ == "__main__":
    run(main)
