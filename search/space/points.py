"""From a point of a space, values of its parameters, to the trial config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from licap.config import TrialConfig, config_from
from licap.errors import ConfigError
from licap.fields import Scalar
from licap.suggestions import nearest
from search.space.conditions import active
from search.space.parameter import Parameter


class PointConfigs:
    """Makes configs of points from one config that they share, so that each checks only what a point changes."""

    def __init__(self, parameters: Sequence[Parameter], base: Mapping[str, Scalar]) -> None:
        """base: every value of the config; those of parameters that are active at a point give way to the point's."""
        self._parameters, self._base = parameters, base
        self._names = {parameter.name for parameter in parameters}
        # What the shared config lacks of the base: all of it where it breaks a rule that the points need not break.
        self._missing: Mapping[str, Scalar] = {}
        try:
            self._shared = config_from(base)
        except ConfigError:
            self._shared, self._missing = TrialConfig(), base

    def at(self, values: Mapping[str, Scalar]) -> TrialConfig:
        """The config of some values; parameters that are not active and those left out take the base's value.

        Raises: ConfigError with every problem, names that are not searched among them.
        """
        strangers = [name for name in values if name not in self._names]
        if strangers:
            raise ConfigError(f"{name}: is not searched here{nearest(name, self._names)}" for name in strangers)
        used = active(self._parameters, self._base, values)
        # By identity: 1 and true, 0.0 and -0.0 are equal.
        own = {name: values[name] for name in used if name in values and values[name] is not self._base[name]}
        return self._shared.with_values({**self._missing, **own})
