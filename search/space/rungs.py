"""Where a pruner compares trials, in epochs over both stages (budget): offset + grace · reduction^k below the total."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import cast

from licap.fields import Scalar
from search.space.parameter import Parameter
from search.space.settings import PrunerConfig

STAGE_LENGTHS = ("pretrain.max_epochs", "downstream.max_epochs")
# Of the lengths that were replayed on a recorded study, the shortest that loses no good trial (docs/search.md).
ORDER_SHOWS = Fraction(3, 40)


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
    """Epochs of the stage before the first rung; where not given, the share from which order shows, rounded up."""
    return pruner.grace or math.ceil(stage_length(pruner, base) * ORDER_SHOWS)


def budgets(pruner: PrunerConfig, base: Mapping[str, Scalar]) -> tuple[int, ...]:
    """The rungs, ascending; of median, which compares at every epoch, the first; empty without a pruner.

    Stage lengths are fixed wherever there is a pruner.
    """
    total = sum(cast(int, base[name]) for name in STAGE_LENGTHS)
    found: list[int] = []
    distance = grace(pruner, base)
    while pruner.name != "none" and offset(pruner, base) + distance < total:
        found.append(offset(pruner, base) + distance)
        distance *= pruner.reduction
    return tuple(found[:1] if pruner.name == "median" else found)


def fold_budgets(pruner: PrunerConfig, base: Mapping[str, Scalar], folds: int) -> tuple[int, ...]:
    """The budget of the first report of each fold but the first; empty without a pruner, which trains them all."""
    total = sum(cast(int, base[name]) for name in STAGE_LENGTHS)
    return tuple(place * total + 1 for place in range(1, folds) if pruner.name != "none")


def brackets(num_rungs: int, reduction: int) -> Iterator[int]:
    """Hyperband's plan, without end: for trial 0, 1, 2, … which rung is its first; `num_rungs`: it meets none.

    Of a trial whose first rung is k, s = num_rungs - k rungs lie before the end, and a share of ceil((num_rungs + 1) /
    (s + 1) · reduction^s) trials is of that kind, so that all kinds cost about the same. They are dealt out evenly
    (always the kind that is furthest behind its share): however many trials there are, the numbers are right to about
    one. Source: Li et al. (JMLR 2018), algorithm 1, with B = (s_max + 1) · R.
    """
    kinds = range(num_rungs + 1)
    shares = [
        math.ceil(Fraction((num_rungs + 1) * reduction ** (num_rungs - first), num_rungs - first + 1))
        for first in kinds
    ]
    credit = [0 for _ in kinds]
    while True:
        credit = [have + share for have, share in zip(credit, shares, strict=True)]
        chosen = max(kinds, key=credit.__getitem__)
        credit[chosen] -= sum(shares)
        yield chosen
