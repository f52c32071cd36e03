"""When an option acts: beside which values of other options. Declared with the option's field, read from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from licap.spelling import shown

if TYPE_CHECKING:
    from licap.fields import FieldSpec, Scalar


@dataclass(frozen=True)
class Condition:
    """What another option must be for an option to act.

    key: its full name in the trial config. fits: whether a value of it will do. words: those values, for people.
    """

    key: str
    fits: Callable[[Scalar], bool]
    words: str


Conditions = tuple[Condition, ...]


def one_of(key: str, *values: Scalar) -> Condition:
    """The other option has one of these values."""
    return Condition(key, lambda value: value in values, " or ".join(map(shown, values)))


def other_than(key: str, value: Scalar, words: str) -> Condition:
    """The other option has any value but this one."""
    return Condition(key, lambda found: found != value, words)


def acting(specs: Mapping[str, FieldSpec], values: Mapping[str, Scalar]) -> tuple[str, ...]:
    """Names of the options that act beside these values, in the order of `specs`. values: one for each option."""
    names = {name for name, spec in specs.items() if all(each.fits(values[each.key]) for each in spec.acts)}
    return tuple(
        name
        for name, spec in specs.items()
        if name in names and (not spec.serves or any(served in names for served in spec.serves))
    )
