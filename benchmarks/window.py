"""What does it cost a search that its sampler sees a window of the trials instead of all?

    python -m benchmarks.window [--seeds 16] [--trials 600] [--last 150 250]

No training: TPE on a function of eight numbers and a choice, with a random optimum and small waves. Prints how far the
best trial lies from the optimum, on average over seeds, after a third of the trials, two thirds and all, for windows of
the 50 best and so many last trials, and for all trials.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import numpy as np

from benchmarks.command import new_parser, positive, run
from licap.console import say
from licap.fields import Scalar
from search.space import Parameter, SamplerConfig
from search.strategy import Proposer, memory

NUMBERS = tuple(Parameter(name=f"x{index}", kind="float", low=0.0, high=1.0) for index in range(8))
CHOICE = Parameter(name="c", kind="categorical", choices=("a", "b", "c"))
PENALTY = {"a": 0.0, "b": 0.1, "c": 0.2}


def main() -> None:
    """Runs the benchmark."""
    parser = new_parser("window", __doc__)
    parser.add_argument("--seeds", type=positive, default=16)
    parser.add_argument("--trials", type=positive, default=600)
    parser.add_argument("--last", type=positive, nargs="+", default=[150, memory.LAST])
    options = parser.parse_args()
    looks = [math.ceil(options.trials * part / 3) for part in (1, 2, 3)]
    say(f"| window | {' | '.join(f'{look} trials' for look in looks)} |\n|{' --- |' * 4}")
    for last in [*options.last, options.trials]:
        memory.LAST = last
        found = np.mean([distances(seed, options.trials) for seed in range(options.seeds)], axis=0)
        label = "all" if last == options.trials else f"{memory.BEST} best, {last} last"
        say(f"| {label} | {' | '.join(f'{found[look - 1]:.3f}' for look in looks)} |")


def distances(seed: int, trials: int) -> list[float]:
    """The distance of the best so far after each trial."""
    proposer = Proposer((*NUMBERS, CHOICE), starting_points=[], sampler=SamplerConfig(), seed=seed, direction="min")
    rng = np.random.default_rng(seed)
    optimum, weights = rng.random(len(NUMBERS)), rng.random(len(NUMBERS)) + 0.3
    best, found = math.inf, []
    for number in range(trials):
        point = cast(Mapping[str, Scalar], proposer.propose(number))
        value = loss(point, optimum, weights)
        proposer.finish(number, "complete", value)
        best = min(best, value)
        found.append(best)
    return found


def loss(point: Mapping[str, Scalar], optimum: np.ndarray, weights: np.ndarray) -> float:
    """0 at the optimum."""
    off = np.array([cast(float, point[each.name]) for each in NUMBERS]) - optimum
    return float((weights * off**2).sum() + 0.05 * (1 - np.cos(12 * off)).sum() + PENALTY[cast(str, point["c"])])


if __name__ == "__main__":
    run(main)
