"""Optuna's samplers, told the search space instead of guessing it from the trials so far.

Optuna asks all trials at each proposal which parameters they share. The space says that once and for all: parameters
under the same conditions count together, whoever was tried.

The last digits of logarithms and sums depend on the CPU. So that a proposal does not, real values are rounded, and ties
are decided by order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from licap.fields import Scalar
from search.space import Parameter

Space = dict[str, BaseDistribution]
Group = tuple[Parameter, ...]

# Of a proposed real value: far more than a search can tell apart, far fewer than differ between CPUs.
_SIGNIFICANT_DIGITS = 7
# Expected improvements of TPE's candidates, which are of the order of 1, are equal where these decimals are.
_TIE_DECIMALS = 9


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


def rounded(value: Any, space: BaseDistribution) -> Any:
    """A drawn value with seven significant digits of its size or, where that is smaller, of its range.

    Only real values are rounded, and none leaves its range.
    """
    if not isinstance(space, FloatDistribution):
        return value
    size = min(space.high - space.low, value) if space.log else space.high - space.low
    digits = _SIGNIFICANT_DIGITS - 1 - math.floor(math.log10(size))
    return min(max(round(value, digits), space.low), space.high)


class _Rounding(optuna.samplers.BaseSampler):  # type: ignore[misc]  # optuna is not followed by mypy
    """Rounds what the sampler after it in the order of bases draws."""

    def sample_relative(self, study: Any, trial: Any, search_space: Space) -> dict[str, Any]:
        """See Optuna."""
        drawn = super().sample_relative(study, trial, search_space)
        return {name: rounded(value, search_space[name]) for name, value in drawn.items()}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: BaseDistribution) -> Any:
        """See Optuna."""
        drawn = super().sample_independent(study, trial, param_name, param_distribution)
        return rounded(drawn, param_distribution)


class _StableParzen(_ParzenEstimator):  # type: ignore[misc]
    """Gives equal observations their widths in the order of the observations.

    Optuna sorts by an algorithm that depends on the CPU's vector instructions, and orders equal values arbitrarily.
    """

    def _calculate_numerical_distributions(self, observations: NDArray[np.float64], *rest: Any) -> Any:
        found = super()._calculate_numerical_distributions(observations, *rest)
        # The prior stands last.
        mu, sigma = found.mu[:-1], found.sigma.copy()
        sigma[np.argsort(mu, kind="stable")] = sigma[np.lexsort((sigma[:-1], mu))]
        return found._replace(sigma=sigma)


class _Tpe(_Rounding, optuna.samplers.TPESampler):  # type: ignore[misc]
    """Draws together what counts together, parents first; what does not count is not drawn at all.

    The constant liar keeps trials that run at the same time apart.
    """

    def __init__(self, parameters: Sequence[Parameter], startup: int, seed: int) -> None:
        super().__init__(n_startup_trials=startup, multivariate=True, constant_liar=True, seed=seed)
        self._parzen_estimator_cls = _StableParzen
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

    def _compute_acquisition_func(self, *args: Any) -> NDArray[np.float64]:
        # The first of several best candidates is taken.
        improvement: NDArray[np.float64] = np.round(super()._compute_acquisition_func(*args), _TIE_DECIMALS)
        return improvement


class _Random(_Rounding, optuna.samplers.RandomSampler):  # type: ignore[misc]
    """Independent draws."""

    def __init__(self, parameters: Sequence[Parameter], startup: int, seed: int) -> None:
        super().__init__(seed=seed)


class _Cmaes(_Rounding, optuna.samplers.CmaEsSampler):  # type: ignore[misc]
    """CMA-ES over the numbers that always count; conditional and categorical parameters are drawn independently."""

    def __init__(self, parameters: Sequence[Parameter], startup: int, seed: int) -> None:
        super().__init__(n_startup_trials=startup, warn_independent_sampling=False, seed=seed)
        space = _space(each for each in parameters if each.kind != "categorical" and not each.when)
        # CMA-ES is not defined in one dimension.
        self._space = space if len(space) > 1 else {}

    def infer_relative_search_space(self, study: Any, trial: Any) -> Space:
        """The parameters that CMA-ES moves."""
        return self._space


class _Gp(_Rounding, optuna.samplers.GPSampler):  # type: ignore[misc]
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
            return super().sample_relative(study, trial, search_space)


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
