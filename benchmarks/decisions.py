"""How long does a study take to decide what to try next and whether to stop, after many trials?

    python -m benchmarks.decisions [--space spaces/default.yaml] [--sampler tpe] [--history 300 1000 10000]

No training: points drawn from the space, with random values, half of them pruned and a tenth failed, are told as a
recorded history. Then proposals are timed, and the pruner's answers to reports; beside them the proposals of Optuna's
TPE with the same options, which reads the whole history. Medians of processor time, since other work on the machine
says nothing of the program.
"""

from __future__ import annotations

import random
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from benchmarks.command import new_parser, positive, run
from licap.console import say
from licap.fields import Scalar
from licap.paths import path_option
from search.space import SearchSpace
from search.strategy import Proposer, TrialReport, build_pruner
from search.strategy.sampled import seed_of
from search.strategy.samplers import distribution, drawn_as, meant_by

PROPOSALS = 15
Point = Mapping[str, Scalar]


def main() -> None:
    """Runs the benchmark."""
    parser = new_parser("decisions", __doc__)
    parser.add_argument("--space", type=path_option, default=Path("spaces/default.yaml"))
    parser.add_argument("--sampler", default="tpe", choices=("tpe", "gp", "cmaes", "random"))
    parser.add_argument("--history", type=positive, nargs="+", default=[300, 1_000, 10_000])
    options = parser.parse_args()
    warnings.simplefilter("ignore", category=optuna.exceptions.ExperimentalWarning)
    space = SearchSpace.load(options.space, overrides=[f"sampler.name={options.sampler}"])
    say("| trials | proposal | whole history | pruner, a report | to recall a trial |\n|" + " --- |" * 5)
    for count in options.history:
        propose, decide, recall = ours(space, count)
        whole = f"{1e3 * plain(space, count):.1f} ms" if options.sampler == "tpe" else "-"
        cells = (f"{count:,}", f"{1e3 * propose:.1f} ms", whole, f"{1e6 * decide:.0f} µs", f"{1e3 * recall:.2f} ms")
        say(f"| {' | '.join(cells)} |")


def ours(space: SearchSpace, count: int) -> tuple[float, float, float]:
    """Seconds of a proposal, of the pruner's answer, and of recalling one trial of the history."""
    direction = space.metric.direction
    proposer = Proposer(
        space.parameters, starting_points=[], sampler=space.sampler, seed=space.seed, direction=direction
    )
    pruner = build_pruner(space.pruner, space.rungs(), direction)
    began = time.process_time()
    for number, (point, state, value) in enumerate(history(space, count)):
        proposer.recall(number, point)
        for budget in space.rungs():
            proposer.observe_report(number, budget, value)
            pruner.decide(TrialReport(trial=number, budget=budget, value=value))
        proposer.finish(number, state, value if state == "complete" else None, failure="diverged")
    recalled = (time.process_time() - began) / count
    rng = random.Random(1)
    proposals, answers = [], []
    for number in range(count, count + PROPOSALS):
        proposals.append(timed(partial(proposer.propose, number)))
        for budget in space.rungs():
            answers.append(timed(partial(pruner.decide, TrialReport(trial=number, budget=budget, value=rng.random()))))
        proposer.finish(number, "complete", rng.random())
    return statistics.median(proposals), statistics.median(answers), recalled


def plain(space: SearchSpace, count: int) -> float:
    """Seconds of a proposal of Optuna's TPE with the same options, shown every trial."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction={"max": "maximize", "min": "minimize"}[space.metric.direction])
    study.add_trials([frozen(space, *each) for each in history(space, count)])
    seconds = []
    for number in range(count, count + PROPOSALS):
        study.sampler = optuna.samplers.TPESampler(
            multivariate=True, group=True, constant_liar=True, seed=seed_of(space.seed, number)
        )
        seconds.append(timed(lambda: suggest_all(study, space)))
    return statistics.median(seconds)


def suggest_all(study: optuna.Study, space: SearchSpace) -> None:
    """One proposal."""
    trial, values = study.ask(), dict[str, Scalar]()
    for parameter in space.parameters:
        if parameter.counts(values):
            values[parameter.name] = meant_by(parameter, trial._suggest(parameter.name, distribution(parameter)))
    study.tell(trial, state=TrialState.FAIL)


def history(space: SearchSpace, count: int) -> Iterator[tuple[Point, str, float]]:
    """Points with states and values."""
    rng = random.Random(0)
    for _ in range(count):
        draw = rng.random()
        yield space.sample(rng), "complete" if draw < 0.4 else "pruned" if draw < 0.9 else "failed", rng.random()


def frozen(space: SearchSpace, point: Point, state: str, value: float) -> FrozenTrial:
    """A trial of the history as Optuna has it."""
    counting = [parameter for parameter in space.parameters if parameter.name in point]
    return create_trial(
        state={"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}[state],
        value=value if state == "complete" else None,
        params={each.name: drawn_as(each, point[each.name]) for each in counting},
        distributions={each.name: distribution(each) for each in counting},
        intermediate_values=dict.fromkeys(space.rungs(), value),
    )


def timed(call: Callable[[], object]) -> float:
    """Seconds of processor time."""
    began = time.process_time()
    call()
    return time.process_time() - began


if __name__ == "__main__":
    run(main)
