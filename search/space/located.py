"""A space whose paths mean the same in every folder."""

from __future__ import annotations

from dataclasses import replace

from licap.portable import absolute
from search.space.parameter import Parameter
from search.space.space import SearchSpace


def located(space: SearchSpace) -> SearchSpace:
    """The space with absolute paths; relative ones are relative to the present folder."""
    return replace(
        space,
        base={name: absolute(name, value) for name, value in space.base.items()},
        parameters=tuple(map(_located, space.parameters)),
        starting_points=tuple(
            {name: absolute(name, value) for name, value in point.items()} for point in space.starting_points
        ),
    )


def _located(parameter: Parameter) -> Parameter:
    return replace(
        parameter,
        choices=tuple(absolute(parameter.name, choice) for choice in parameter.choices),
        when={name: tuple(absolute(name, value) for value in values) for name, values in parameter.when.items()},
    )
