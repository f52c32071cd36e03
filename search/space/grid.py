"""A grid: every combination of a space without continuous parameters, once each, conditions respected."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from licap.errors import ConfigError
from licap.fields import Scalar
from search.space.parameter import Parameter

Values = Mapping[str, Scalar]


def grid_points(parameters: Sequence[Parameter]) -> Iterator[dict[str, Scalar]]:
    """All points, the last parameter changing fastest; a parameter whose condition fails is left out of a point.

    parameters: parents before children. Two points are never equal, since each says its parents' values.
    Raises: ConfigError naming the parameters that have no finite list of values.
    """
    _refuse_endless(parameters)
    return _points(tuple(parameters), {})


def _refuse_endless(parameters: Sequence[Parameter]) -> None:
    endless = [parameter.name for parameter in parameters if math.isinf(parameter.count())]
    if endless:
        raise ConfigError(f"{name}: sampler grid needs a step or choices. Add one, or use random." for name in endless)


def _points(parameters: tuple[Parameter, ...], chosen: dict[str, Scalar]) -> Iterator[dict[str, Scalar]]:
    if not parameters:
        yield chosen
        return
    first, *rest = parameters
    if not first.counts(chosen):
        yield from _points(tuple(rest), chosen)
        return
    for value in first.values() or ():
        yield from _points(tuple(rest), {**chosen, first.name: value})


def grid_size(parameters: Sequence[Parameter], starting_points: Sequence[Values]) -> int:
    """How many trials a grid takes: its points, and the starting points that lie between them.

    Counted without going through the points, of which there may be more than anybody can wait for. Raises: as
    `grid_points`.
    """
    _refuse_endless(parameters)
    between = [point for point in starting_points if not all(_is_on_grid(each, point) for each in parameters)]
    return _count(tuple(parameters), {}) + len(between)


def num_points(parameters: Sequence[Parameter]) -> float:
    """How many points a space has, counted as by `grid_size`; infinity where a float has no step."""
    return math.inf if any(math.isinf(each.count()) for each in parameters) else grid_size(parameters, ())


def _is_on_grid(parameter: Parameter, point: Values) -> bool:
    # A float near a step is a value of the parameter, and yet not equal to the grid's.
    counts = parameter.kind == "float" and parameter.name in point
    return not counts or parameter.is_at_step(cast(float, point[parameter.name]))


def _count(parameters: tuple[Parameter, ...], chosen: dict[str, Scalar]) -> int:
    """Points from here on; values of a parent that no condition asks for count alike, so they are counted once."""
    if not parameters:
        return 1
    first, *rest = parameters
    if not first.counts(chosen):
        return _count(tuple(rest), chosen)
    asked = {value for each in rest for value in each.when.get(first.name, ()) if first.contains(value)}
    others = int(first.count()) - len(asked)
    total = others * _count(tuple(rest), chosen) if others else 0
    return total + sum(_count(tuple(rest), {**chosen, first.name: value}) for value in asked)
