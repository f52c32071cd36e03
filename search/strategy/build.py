"""Pruners by name."""

from __future__ import annotations

from collections.abc import Sequence

from search.space import PrunerConfig
from search.strategy.folds import Folds
from search.strategy.hyperband import Hyperband
from search.strategy.median import Median
from search.strategy.pruner import ASHA, NoPruner, Pruner


def build_pruner(
    config: PrunerConfig, rungs: Sequence[int], direction: str, *, fold_rungs: Sequence[int] = ()
) -> Pruner:
    """A new pruner, which has seen nothing.

    rungs: budgets at which it compares on the first fold, as `SearchSpace.rungs` gives them; for median the first is
    what counts. direction: of the metric, max or min. fold_rungs: as `SearchSpace.fold_rungs`.
    """
    first = _of_one_fold(config, rungs, direction)
    if not fold_rungs:
        return first
    return Folds(first, fold_rungs, reduction=config.reduction, direction=direction)


def _of_one_fold(config: PrunerConfig, rungs: Sequence[int], direction: str) -> Pruner:
    if config.name == "asha":
        return ASHA(rungs, reduction=config.reduction, direction=direction)
    if config.name == "hyperband":
        return Hyperband(rungs, reduction=config.reduction, direction=direction)
    if config.name == "median":
        return Median(rungs[0], startup=config.startup, direction=direction)
    return NoPruner()
