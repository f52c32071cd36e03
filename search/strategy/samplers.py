"""Optuna's samplers, told the search space instead of guessing it from the trials so far.

Optuna asks all trials at each proposal which parameters they share. The space says that once and for all: parameters
under the same conditions count together, whoever was tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from licap.fields import Scalar
from search.space import Parameter

Space = dict[str, BaseDistribution]
Group = tuple[Parameter, ...]


def stepped(parameter: Parameter) -> bool:
    """Whether a number is drawn as the number of its step."""
    return parameter.step is not None and not (parameter.kind == "int" and parameter.step == 1)


def distribution(parameter: Parameter) -> BaseDistribution:
    """What Optuna draws from. For a range with steps that is the number of the step, so that a value written down and
    read back is the same to the last bit."""
    if parameter.kind == "categorical":
        return CategoricalDistribution(parameter.choices)
    low, high = parameter.bounds
    if stepped(parameter):
        return IntDistribution(0, int(parameter.count()) - 1)
    if parameter.kind == "int":
        return IntDistribution(int(low), int(high), log=parameter.log)
    return FloatDistribution(low, high, log=parameter.log)


def drawn_as(parameter: Parameter, value: Scalar) -> Scalar:
    """A value as `distribution` has it."""
    if not stepped(parameter):
        return value
    return round((cast(float, value) - parameter.bounds[0]) / cast(float, parameter.step))


def meant_by(parameter: Parameter, drawn: Scalar) -> Scalar:
    """The value that `distribution` drew."""
    if stepped(parameter):
        return parameter.at_step(int(cast(int, drawn)))
    return float(cast(float, drawn)) if parameter.kind == "float" else drawn


def groups(parameters: Sequence[Parameter]) -> tuple[Group, ...]:
    """Parameters that count under the same conditions, parents before children."""
    found: dict[tuple[tuple[str, tuple[Scalar, ...]], ...], list[Parameter]] = {}
    for parameter in parameters:
        found.setdefault(tuple(sorted(parameter.when.items())), []).append(parameter)
    return tuple(map(tuple, found.values()))


def _space(parameters: Iterable[Parameter]) -> Space:
    """What there is to draw, in the order that Optuna would put it in."""
    drawn = {parameter.name: distribution(parameter) for parameter in parameters}
    return {name: drawn[name] for name in sorted(drawn) if not drawn[name].single()}


class _Tpe(optuna.samplers.TPESampler):  # type: ignore[misc]  # optuna is not followed by mypy
    """Draws together what counts together, parents first; what does not count is not drawn at all.

    The constant liar keeps trials that run at the same time apart.
    """

    def __init__(self, parameters: Sequence[Parameter], startup: int, seed: int) -> None:
        super().__init__(n_startup_trials=startup, multivariate=True, constant_liar=True, seed=seed)
        self._groups = [(group, _space(group)) for group in groups(parameters)]

    def infer_relative_search_space(self, study: Any, trial: Any) -> Space:
        """All parameters."""
        return {name: drawn for _, space in self._groups for name, drawn in space.items()}

    def sample_relative(self, study: Any, trial: Any, search_space: Space) -> dict[str, Any]:
        """Values of the parameters that count; none before TPE takes over."""
        found: dict[str, Any] = {}
        chosen: dict[str, Scalar] = {}
        for group, space in self._groups:
            if not group[0].counts(chosen):
                continue
            drawn = super().sample_relative(study, trial, space) if space else {}
            if space and not drawn:
                return {}
            found |= drawn
            for parameter in group:
                # What is not drawn has a single choice.
                value = drawn.get(parameter.name, parameter.extremes()[0])
                chosen[parameter.name] = meant_by(parameter, value)
        return found


class _Random(optuna.samplers.RandomSampler):  # type: ignore[misc]
    """Independent draws."""

    def __init__(self, parameters: Sequence[Parameter], startup: int, seed: int) -> None:
        super().__init__(seed=seed)


class _Cmaes(optuna.samplers.CmaEsSampler):  # type: ignore[misc]
    """CMA-ES over the numbers that always count; conditional and categorical parameters are drawn independently."""

    def __init__(self, parameters: Sequence[Parameter], startup: int, seed: int) -> None:
        super().__init__(n_startup_trials=startup, warn_independent_sampling=False, seed=seed)
        space = _space(each for each in parameters if each.kind != "categorical" and not each.when)
        # CMA-ES is not defined in one dimension.
        self._space = space if len(space) > 1 else {}

    def infer_relative_search_space(self, study: Any, trial: Any) -> Space:
        """The parameters that CMA-ES moves."""
        return self._space


class _Gp(optuna.samplers.GPSampler):  # type: ignore[misc]
    """A Gaussian process over what always counts; conditional parameters are drawn independently."""

    def __init__(self, parameters: Sequence[Parameter], startup: int, seed: int) -> None:
        super().__init__(n_startup_trials=startup, seed=seed)
        self._space = _space(each for each in parameters if not each.when)

    def infer_relative_search_space(self, study: Any, trial: Any) -> Space:
        """The parameters that the process models."""
        return self._space

    def sample_relative(self, study: Any, trial: Any, search_space: Space) -> dict[str, Any]:
        """Where most is to be expected."""
        # More threads would be taken from the trials, and their number would show in the last digits.
        with threadpool_limits(1):
            return cast(dict[str, Any], super().sample_relative(study, trial, search_space))


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A sampler. build: from parameters, random proposals before it takes over, and a seed.

    complete_only: whether it passes over pruned trials. values_first: whether it sees no failure before there are as
    many complete trials as it needs to take over. leaves_traces: whether it keeps something with the trials that
    it proposes, which a recalled trial must get too.
    """

    build: Callable[[Sequence[Parameter], int, int], Any]
    complete_only: bool = False
    values_first: bool = False
    leaves_traces: bool = False


SAMPLERS: Mapping[str, Kind] = {
    "tpe": Kind(build=_Tpe),
    "random": Kind(build=_Random),
    "cmaes": Kind(build=_Cmaes, complete_only=True, leaves_traces=True),
    "gp": Kind(build=_Gp, complete_only=True, values_first=True),
}
