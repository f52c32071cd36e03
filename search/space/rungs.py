"""Where ASHA compares trials, in epochs over both stages (budget): offset + grace · reduction^k below the total."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

from licap.fields import Scalar
from search.space.parameter import Parameter
from search.space.settings import PrunerConfig

STAGE_LENGTHS = ("pretrain.max_epochs", "downstream.max_epochs")


def longest(parameters: Sequence[Parameter], base: Mapping[str, Scalar], names: Sequence[str]) -> int:
    """The sum of some epoch counts, each at its largest where it is searched."""
    searched = {parameter.name: parameter.extremes() for parameter in parameters}
    return sum(max(cast(tuple[int, ...], searched.get(name, (base[name],)))) for name in names)


def offset(pruner: PrunerConfig, base: Mapping[str, Scalar]) -> int:
    """Epochs before the pruner's stage: none for `pretrain`, all of pretraining for `downstream`."""
    return 0 if pruner.stage == "pretrain" else cast(int, base["pretrain.max_epochs"])


def stage_length(pruner: PrunerConfig, base: Mapping[str, Scalar]) -> int:
    """Epochs of the stage in which rungs start."""
    return cast(int, base[f"{pruner.stage}.max_epochs"])


def grace(pruner: PrunerConfig, base: Mapping[str, Scalar]) -> int:
    """Epochs of the stage before the first rung; where not given, two rungs within the stage.

    Rounded up: rounded down, a third rung would stand just before the end and stop trials that are all but done.
    """
    return pruner.grace or math.ceil(stage_length(pruner, base) / pruner.reduction**2)


def budgets(pruner: PrunerConfig, base: Mapping[str, Scalar]) -> tuple[int, ...]:
    """The rungs, ascending; empty without a pruner. Stage lengths are fixed wherever there is one."""
    total = sum(cast(int, base[name]) for name in STAGE_LENGTHS)
    found: list[int] = []
    distance = grace(pruner, base)
    while pruner.name == "asha" and offset(pruner, base) + distance < total:
        found.append(offset(pruner, base) + distance)
        distance *= pruner.reduction
    return tuple(found)
