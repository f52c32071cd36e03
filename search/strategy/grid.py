"""Every combination of a space without continuous parameters, once each, conditions respected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from licap.errors import ConfigError
from licap.fields import Scalar
from search.space import Parameter


def grid_points(parameters: Sequence[Parameter]) -> Iterator[dict[str, Scalar]]:
    """All points, the last parameter changing fastest; a parameter whose condition fails is left out of a point.

    parameters: parents before children. Two points are never equal, since each says its parents' values.
    Raises: ConfigError naming the parameters that have no finite list of values.
    """
    endless = [parameter.name for parameter in parameters if parameter.values() is None]
    if endless:
        raise ConfigError(f"{name}: sampler grid needs a step or choices. Add one, or use random." for name in endless)
    return _points(tuple(parameters), {})


def _points(parameters: tuple[Parameter, ...], chosen: dict[str, Scalar]) -> Iterator[dict[str, Scalar]]:
    if not parameters:
        yield chosen
        return
    first, *rest = parameters
    if not counts(first, chosen):
        yield from _points(tuple(rest), chosen)
        return
    for value in first.values() or ():
        yield from _points(tuple(rest), {**chosen, first.name: value})


def counts(parameter: Parameter, chosen: dict[str, Scalar]) -> bool:
    """Whether a parameter's conditions hold, given the values of its parents that count."""
    return all(parent in chosen and chosen[parent] in allowed for parent, allowed in parameter.when.items())
