"""Values drawn by Optuna's samplers, asked and told; its study lives in memory and follows from the record.

Every proposal has a sampler of its own, seeded from (study seed, trial number), which sees a window of the trials
before it (see `search.strategy.memory`). A recalled trial passes through the same sampler with its values given where
that leaves traces: CMA-ES keeps its generation with a trial.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from licap.fields import Scalar
from search.space import Parameter, SamplerConfig
from search.strategy.memory import Memory
from search.strategy.proposer import Source, Values
from search.strategy.samplers import SAMPLERS, distribution, drawn_as, meant_by


class Sampled(Source):
    """Proposals of tpe, random, cmaes or gp."""

    def __init__(self, parameters: Sequence[Parameter], *, sampler: SamplerConfig, seed: int, direction: str) -> None:
        """parameters: parents before children. direction: max or min."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._parameters = tuple(parameters)
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

    def propose(self, number: int) -> dict[str, Scalar]:
        """Draws values; a parameter whose condition fails is not drawn."""
        with _quiet():
            self._study.sampler = self._kind.build(self._parameters, self._startup, seed_of(self._seed, number))
            return self._begin(number, self._study.ask())

    def recall(self, number: int, values: Values) -> None:
        """Takes given values. Raises: ValueError if they are no point of the space."""
        if not _is_point(values, self._parameters):
            raise ValueError(f"trial {number}: {dict(values)} is no point of this space")
        by_name = {parameter.name: parameter for parameter in self._parameters}
        with _quiet():
            self._study.enqueue_trial({name: drawn_as(by_name[name], value) for name, value in values.items()})
            self._study.sampler = self._kind.build(self._parameters, self._startup, seed_of(self._seed, number))
            trial = self._study.ask()
            if self._kind.leaves_traces:
                # Optuna samples lazily, and not at all where values are given.
                _ = trial.relative_params
            self._begin(number, trial)

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

    def _begin(self, number: int, trial: optuna.Trial) -> dict[str, Scalar]:
        values: dict[str, Scalar] = {}
        for parameter in self._parameters:
            if parameter.counts(values):
                values[parameter.name] = _suggest(trial, parameter)
        self._memory.begin(trial.number, trial._trial_id)
        self._open[number], self._reports[number] = trial, {}
        return values


def seed_of(seed: int, number: int) -> int:
    """The seed of one proposal."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _is_point(values: Values, parameters: Sequence[Parameter]) -> bool:
    chosen: dict[str, Scalar] = {}
    for parameter in parameters:
        if parameter.counts(chosen):
            if parameter.name not in values or not parameter.contains(values[parameter.name]):
                return False
            chosen[parameter.name] = values[parameter.name]
    return chosen.keys() == values.keys()


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
