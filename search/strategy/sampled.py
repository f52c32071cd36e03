"""Values drawn by Optuna's samplers, asked and told; its study lives in memory and follows from the record.

Every proposal has a sampler of its own, seeded from (study seed, trial number), which sees a window of the trials
before it (see `search.strategy.memory`). A recalled trial passes through the same sampler with its values given where
that leaves traces: CMA-ES keeps its generation with a trial.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from licap.fields import Scalar
from search.space import Parameter, SamplerConfig, grid_points, num_points
from search.strategy.memory import Memory
from search.strategy.proposer import Source, Values
from search.strategy.samplers import SAMPLERS, distribution, drawn_as, meant_by

# How often a sampler draws anew where it proposes what was tried, and how many points are then drawn at random.
_REDRAWS, _SAMPLES = 4, 20


class Sampled(Source):
    """Proposals of tpe, random, cmaes or gp."""

    def __init__(self, parameters: Sequence[Parameter], *, sampler: SamplerConfig, seed: int, direction: str) -> None:
        """parameters: parents before children. direction: max or min."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._parameters = tuple(parameters)
        self._num_points = num_points(parameters)
        self._tried: set[frozenset[tuple[str, Scalar]]] = set()
        self._startup, self._seed, self._kind = sampler.startup, seed, SAMPLERS[sampler.name]
        self._memory = Memory(
            sign=1.0 if direction == "min" else -1.0,
            complete_only=self._kind.complete_only,
            values_first=self._startup if self._kind.values_first else 1,
        )
        self._study = optuna.create_study(
            storage=self._memory, direction={"max": "maximize", "min": "minimize"}[direction]
        )
        self._open: dict[int, optuna.Trial] = {}
        self._reports: dict[int, dict[int, float]] = {}

    def propose(self, number: int) -> dict[str, Scalar] | None:
        """Draws values that no trial had before; a parameter whose condition fails is not drawn.

        None where every point of the space has been tried: a trial repeats another one with the same values exactly.
        """
        if len(self._tried) >= self._num_points:
            return None
        with _quiet():
            self._study.sampler = self._sampler(number)
            trial = self._study.ask()
            values = self._draw(trial)
            for attempt in range(1, _REDRAWS + 1):
                if not self._is_tried(values):
                    break
                trial = self._again(trial, self._sampler(number, attempt))
                values = self._draw(trial)
            if self._is_tried(values):
                fixed = self._untried(random.Random(seed_of(self._seed, number)))
                trial = self._again(trial, self._study.sampler, self._as_drawn(fixed))
                values = self._draw(trial)
            return self._begin(number, trial, values)

    def _sampler(self, *entropy: int) -> Any:
        return self._kind.build(self._parameters, self._startup, seed_of(self._seed, *entropy))

    def _again(self, trial: optuna.Trial, sampler: Any, fixed: Values | None = None) -> optuna.Trial:
        """The same trial before anything is drawn for it: its number decides what CMA-ES draws later."""
        self._memory.withdraw(trial._trial_id)
        if fixed is not None:
            self._memory.set_trial_system_attr(trial._trial_id, "fixed_params", dict(fixed))
        self._study.sampler = sampler
        return optuna.Trial(self._study, trial._trial_id)

    def _is_tried(self, values: Values) -> bool:
        return frozenset(values.items()) in self._tried

    def _untried(self, rng: random.Random) -> dict[str, Scalar]:
        """A point at random; where those come up again and again, the first of the grid that is left."""
        drawn = (_sample(self._parameters, rng) for _ in range(_SAMPLES))
        found = next((point for point in drawn if not self._is_tried(point)), None)
        return found or next(point for point in grid_points(self._parameters) if not self._is_tried(point))

    def _as_drawn(self, values: Values) -> dict[str, Scalar]:
        by_name = {parameter.name: parameter for parameter in self._parameters}
        return {name: drawn_as(by_name[name], value) for name, value in values.items()}

    def recall(self, number: int, values: Values) -> None:
        """Takes given values. Raises: ValueError if they are no point of the space."""
        if not _is_point(values, self._parameters):
            raise ValueError(f"trial {number}: {dict(values)} is no point of this space")
        with _quiet():
            self._study.enqueue_trial(self._as_drawn(values))
            self._study.sampler = self._sampler(number)
            trial = self._study.ask()
            if self._kind.leaves_traces:
                # Optuna samples lazily, and not at all where values are given.
                _ = trial.relative_params
            self._begin(number, trial, self._draw(trial))

    def report(self, number: int, budget: int, value: float) -> None:
        """Keeps the first value at each budget; a trial that goes on from a checkpoint repeats some."""
        self._reports[number].setdefault(budget, value)

    def finish(self, number: int, state: str, value: float | None, *, speaks: bool) -> None:
        """Tells Optuna COMPLETE, PRUNED with its reports, or FAIL; an interrupted trial stays open."""
        if state == "interrupted":
            return
        trial, reports = self._open.pop(number), self._reports.pop(number)
        if state == "complete" and value is not None and math.isfinite(value):
            ended = self._study.tell(trial, value)
        elif state == "pruned":
            for budget, each in reports.items():
                trial.report(each, budget)
            ended = self._study.tell(trial, state=TrialState.PRUNED)
        else:
            ended = self._study.tell(trial, state=TrialState.FAIL)
        self._memory.end(ended, speaks=speaks)

    def _draw(self, trial: optuna.Trial) -> dict[str, Scalar]:
        values: dict[str, Scalar] = {}
        for parameter in self._parameters:
            if parameter.counts(values):
                values[parameter.name] = _suggest(trial, parameter)
        return values

    def _begin(self, number: int, trial: optuna.Trial, values: dict[str, Scalar]) -> dict[str, Scalar]:
        self._tried.add(frozenset(values.items()))
        self._memory.begin(trial.number, trial._trial_id)
        self._open[number], self._reports[number] = trial, {}
        return values


def seed_of(seed: int, *entropy: int) -> int:
    """The seed of one proposal. entropy: the trial's number, and which attempt it is where that is not the first."""
    return int(np.random.SeedSequence([seed, *entropy]).generate_state(1)[0])


def _is_point(values: Values, parameters: Sequence[Parameter]) -> bool:
    chosen: dict[str, Scalar] = {}
    for parameter in parameters:
        if parameter.counts(chosen):
            if parameter.name not in values or not parameter.contains(values[parameter.name]):
                return False
            chosen[parameter.name] = values[parameter.name]
    return chosen.keys() == values.keys()


def _sample(parameters: Sequence[Parameter], rng: random.Random) -> dict[str, Scalar]:
    values: dict[str, Scalar] = {}
    for parameter in parameters:
        if parameter.counts(values):
            values[parameter.name] = parameter.sample(rng)
    return values


def _suggest(trial: Any, parameter: Parameter) -> Scalar:
    name, space = parameter.name, distribution(parameter)
    if isinstance(space, CategoricalDistribution):
        drawn = trial.suggest_categorical(name, space.choices)
    elif isinstance(space, FloatDistribution):
        drawn = trial.suggest_float(name, space.low, space.high, log=space.log)
    else:
        drawn = int(trial.suggest_int(name, space.low, space.high, log=space.log))
    return meant_by(parameter, drawn)


@contextmanager
def _quiet() -> Iterator[None]:
    # Optuna warns of experimental options at each use; they are chosen here, not by the user.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=optuna.exceptions.ExperimentalWarning)
        yield
