"""Values drawn by Optuna's samplers, asked and told; its study lives in memory and follows from the record.

Every proposal has a sampler of its own, seeded from (study seed, trial number). A recalled trial passes through the
same sampler with its values given, so that what CMA-ES keeps with a trial (its generation) is there again.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from licap.fields import Scalar
from search.space import Parameter, SamplerConfig
from search.strategy.proposer import Source, Values


class Sampled(Source):
    """Proposals of tpe, random or cmaes."""

    def __init__(self, parameters: Sequence[Parameter], *, sampler: SamplerConfig, seed: int, direction: str) -> None:
        """parameters: parents before children. direction: max or min."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._parameters = tuple(parameters)
        self._sampler, self._seed = sampler, seed
        self._study = optuna.create_study(direction={"max": "maximize", "min": "minimize"}[direction])
        self._open: dict[int, optuna.Trial] = {}
        self._last_budget: dict[int, int] = {}

    def propose(self, number: int) -> dict[str, Scalar]:
        """Draws values; a parameter whose condition fails is not drawn."""
        with _quiet():
            self._study.sampler = SAMPLERS[self._sampler.name](
                self._parameters, self._sampler.startup, seed_of(self._seed, number)
            )
            trial = self._study.ask()
            # Optuna samples lazily, and not at all where values are given; a recalled trial must leave the same traces.
            _ = trial.relative_params
            values: dict[str, Scalar] = {}
            for parameter in self._parameters:
                if parameter.counts(values):
                    values[parameter.name] = _suggest(trial, parameter)
        self._open[number] = trial
        return values

    def recall(self, number: int, values: Values) -> None:
        """Takes given values. Raises: ValueError if they are no point of the space."""
        if not _is_point(values, self._parameters):
            raise ValueError(f"trial {number}: {dict(values)} is no point of this space")
        by_name = {parameter.name: parameter for parameter in self._parameters}
        with _quiet():
            self._study.enqueue_trial({name: _internal(by_name[name], value) for name, value in values.items()})
        self.propose(number)

    def report(self, number: int, budget: int, value: float) -> None:
        """Keeps the first value at each budget; a trial that goes on from a checkpoint repeats some."""
        if budget > self._last_budget.get(number, 0):
            self._last_budget[number] = budget
            self._open[number].report(value, budget)

    def finish(self, number: int, state: str, value: float | None) -> None:
        """Tells Optuna COMPLETE, PRUNED or FAIL; an interrupted trial stays open."""
        if state == "interrupted":
            return
        trial = self._open.pop(number)
        if state == "complete" and value is not None and math.isfinite(value):
            self._study.tell(trial, value)
        else:
            self._study.tell(trial, state=TrialState.PRUNED if state == "pruned" else TrialState.FAIL)


def seed_of(seed: int, number: int) -> int:
    """The seed of one proposal."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def distribution(parameter: Parameter) -> BaseDistribution:
    """What Optuna draws from. For a range with steps that is the number of the step, so that a value written down and
    read back is the same to the last bit."""
    if parameter.kind == "categorical":
        return CategoricalDistribution(parameter.choices)
    low, high = parameter.bounds
    if _stepped(parameter):
        return IntDistribution(0, int(parameter.count()) - 1)
    if parameter.kind == "int":
        return IntDistribution(int(low), int(high), log=parameter.log)
    return FloatDistribution(low, high, log=parameter.log)


def _is_point(values: Values, parameters: Sequence[Parameter]) -> bool:
    chosen: dict[str, Scalar] = {}
    for parameter in parameters:
        if parameter.counts(chosen):
            if parameter.name not in values or not parameter.contains(values[parameter.name]):
                return False
            chosen[parameter.name] = values[parameter.name]
    return chosen.keys() == values.keys()


def _stepped(parameter: Parameter) -> bool:
    return parameter.step is not None and not (parameter.kind == "int" and parameter.step == 1)


def _suggest(trial: Any, parameter: Parameter) -> Scalar:
    name, drawn = parameter.name, distribution(parameter)
    if isinstance(drawn, CategoricalDistribution):
        return cast(Scalar, trial.suggest_categorical(name, drawn.choices))
    if isinstance(drawn, FloatDistribution):
        return float(trial.suggest_float(name, drawn.low, drawn.high, log=drawn.log))
    value = int(trial.suggest_int(name, drawn.low, drawn.high, log=drawn.log))
    return parameter.at_step(value) if _stepped(parameter) else value


def _internal(parameter: Parameter, value: Scalar) -> Scalar:
    if not _stepped(parameter):
        return value
    return round((cast(float, value) - parameter.bounds[0]) / cast(float, parameter.step))


def _tpe(parameters: Sequence[Parameter], startup: int, seed: int) -> Any:
    # Grouped: parameters that count together are drawn together, whatever conditions there are. The constant liar keeps
    # trials that run at the same time apart.
    return optuna.samplers.TPESampler(
        n_startup_trials=startup, multivariate=True, group=True, constant_liar=True, seed=seed
    )


def _random(parameters: Sequence[Parameter], startup: int, seed: int) -> Any:
    return optuna.samplers.RandomSampler(seed=seed)


def _cmaes(parameters: Sequence[Parameter], startup: int, seed: int) -> Any:
    return _Cmaes(parameters, n_startup_trials=startup, warn_independent_sampling=False, seed=seed)


class _Cmaes(optuna.samplers.CmaEsSampler):  # type: ignore[misc]  # optuna is not followed by mypy
    """CMA-ES over the numbers that always count; conditional and categorical parameters are drawn independently.

    Optuna asks the finished trials which parameters they share, and draws at random for good when that changes.
    """

    def __init__(self, parameters: Sequence[Parameter], **options: Any) -> None:
        super().__init__(**options)
        numbers = [each for each in parameters if each.kind != "categorical" and not each.when and each.count() > 1]
        # CMA-ES is not defined in one dimension.
        self._space = {each.name: distribution(each) for each in numbers} if len(numbers) > 1 else {}

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, BaseDistribution]:
        """The parameters that CMA-ES moves."""
        return self._space


SAMPLERS: Mapping[str, Callable[[Sequence[Parameter], int, int], Any]] = {
    "tpe": _tpe,
    "random": _random,
    "cmaes": _cmaes,
}


@contextmanager
def _quiet() -> Iterator[None]:
    # Optuna warns of experimental options at each use; they are chosen here, not by the user.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=optuna.exceptions.ExperimentalWarning)
        yield
