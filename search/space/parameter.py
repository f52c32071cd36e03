"""One searched parameter: what values it may take, how to draw one, and under which conditions it counts."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, cast

from licap.config import TrialConfig
from licap.fields import FieldSpec, Scalar, specs_of
from licap.spelling import shown

Kind = Literal["float", "int", "categorical"]

# Beyond this the tolerance below tells no steps apart.
MOST_STEPS = 1_000_000
# Two floats on a grid of steps are the same step where they differ by less than this share of one.
STEP_TOLERANCE = 1e-8


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A field of the trial config that is searched. Made by `search.space.declare`, which checks it.

    low, high, log, step: of a float or int, both ends included. choices: of a categorical. when: for each parent
    parameter the values under which this one counts; all must hold, and the parents must count themselves.
    """

    name: str
    kind: Kind
    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    step: float | int | None = None
    choices: tuple[Scalar, ...] = ()
    when: Mapping[str, tuple[Scalar, ...]] = field(default_factory=dict)

    @property
    def spec(self) -> FieldSpec:
        """The rules of the trial config's field."""
        return specs_of(TrialConfig)[self.name]

    @property
    def bounds(self) -> tuple[float, float]:
        """Both ends of a float or int."""
        return cast(float, self.low), cast(float, self.high)

    def values(self) -> Sequence[Scalar] | None:
        """Every value in ascending order (choices as written), or None for a float without step."""
        if self.kind == "categorical":
            return self.choices
        if self.kind == "int":
            return range(cast(int, self.low), cast(int, self.high) + 1, cast(int, self.step))
        if self.step is None:
            return None
        return tuple(self.at_step(k) for k in range(self._num_steps() + 1))

    def count(self) -> float:
        """How many values there are; infinity for a float without step."""
        if self.kind == "categorical":
            return len(self.choices)
        return math.inf if self.step is None else self._num_steps() + 1

    def extremes(self) -> tuple[Scalar, ...]:
        """The values worth checking: both ends, or every choice."""
        return self.choices if self.kind == "categorical" else (self.low, self.high)

    def contains(self, value: object) -> bool:
        """Whether a value of the field's type is one of this parameter's."""
        if self.kind == "categorical":
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        low, high = self.bounds
        return low <= value <= high and (self.step is None or self._on_step(value))

    def counts(self, chosen: Mapping[str, Scalar]) -> bool:
        """Whether the conditions hold, given the values of the parents that count themselves."""
        return all(parent in chosen and chosen[parent] in allowed for parent, allowed in self.when.items())

    def parse(self, value: object) -> Scalar:
        """Converts and checks a value that a file or command line gave. Raises: ValueError naming value and range."""
        parsed = self.spec.parse(value)
        if not self.contains(parsed):
            raise ValueError(f"{shown(parsed)} lies outside the space: {self.range_text()}")
        return parsed

    def sample(self, rng: random.Random) -> Scalar:
        """Draws a value, uniformly or log-uniformly."""
        if self.kind == "categorical":
            return rng.choice(self.choices)
        low, high = self.bounds
        if self.log:
            # An int stands for the half below and above it, as in Optuna, so that both ends keep their share.
            margin = 0.5 if self.kind == "int" else 0.0
            drawn = math.exp(rng.uniform(math.log(low - margin), math.log(high + margin)))
            return self._clamped(round(drawn) if self.kind == "int" else drawn)
        if self.step is not None:
            return self.at_step(rng.randint(0, self._num_steps()))
        return self._clamped(rng.uniform(low, high))

    def range_text(self) -> str:
        """The range in words: `0.02 to 0.3 (log)`, `2 to 8 in steps of 2`, `length or quantile`."""
        if self.kind == "categorical":
            return "one of " + ", ".join(map(shown, self.choices))
        words = f"{shown(self.low)} to {shown(self.high)}"
        if self.log:
            return f"{words} (log)"
        plain = self.step is None or (self.kind == "int" and self.step == 1)
        return words if plain else f"{words} in steps of {shown(self.step)}"

    def when_text(self) -> str:
        """The conditions in words: `pretrain.bins.kind = quantile or equal-width`; empty without any."""
        return ", ".join(f"{parent} = {' or '.join(map(shown, values))}" for parent, values in self.when.items())

    def to_mapping(self) -> dict[str, Any]:
        """The declaration as a space file spells it, everything explicit."""
        declaration: dict[str, Any] = {"type": self.kind}
        if self.kind == "categorical":
            declaration["choices"] = list(self.choices)
        else:
            declaration |= {"low": self.low, "high": self.high, "log": self.log, "step": self.step}
        if self.when:
            declaration["when"] = {parent: list(values) for parent, values in self.when.items()}
        return declaration

    def _num_steps(self) -> int:
        return num_steps(*self.bounds, cast(float, self.step))

    def at_step(self, k: int) -> float | int:
        """The value k steps above the low end."""
        # In decimal, so that 0.1 + 2 · 0.1 is the 0.3 that people write.
        value = Decimal(str(self.low)) + k * Decimal(str(self.step))
        return int(value) if self.kind == "int" else float(value)

    def is_at_step(self, value: float) -> bool:
        """Whether a value is one of those of a grid, to the last bit."""
        return value == self.at_step(round((value - self.bounds[0]) / cast(float, self.step)))

    def _on_step(self, value: float) -> bool:
        position = (value - self.bounds[0]) / cast(float, self.step)
        return abs(position - round(position)) < STEP_TOLERANCE

    def _clamped(self, value: float) -> float:
        low, high = self.bounds
        return min(max(value, low), high)


def num_steps(low: float, high: float, step: float) -> int:
    """How many whole steps fit between two ends, counted in decimal."""
    return int((Decimal(str(high)) - Decimal(str(low))) // Decimal(str(step)))
