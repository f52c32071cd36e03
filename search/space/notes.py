"""What is allowed in a space and yet worth knowing before a study starts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from licap.fields import Scalar
from search.space.parameter import Parameter
from search.space.rungs import budgets, grace, offset
from search.space.settings import SpaceSettings

# Searching one of these compares trials that solve different problems.
_PROBLEM = ("data.dataset", "data.path", "data.synthetic", "fold", "split_seed")


def notes_on(
    settings: SpaceSettings, parameters: Sequence[Parameter], base: Mapping[str, Scalar], num_starting_points: int
) -> Iterator[str]:
    """Sentences for people, one each."""
    yield from _on_comparison(settings, parameters)
    yield from _on_sampler(settings, parameters, num_starting_points)
    yield from _on_pruner(settings, base)


def _on_comparison(settings: SpaceSettings, parameters: Sequence[Parameter]) -> Iterator[str]:
    for parameter in parameters:
        if any(parameter.name == name or parameter.name.startswith(f"{name}.") for name in _PROBLEM):
            yield f"{parameter.name} is searched: trials with different data or folds are ranked against each other."
        if parameter.name == "seed":
            yield "seed is searched: the best trial may owe its rank to a lucky seed."


def _on_sampler(settings: SpaceSettings, parameters: Sequence[Parameter], num_starting_points: int) -> Iterator[str]:
    sampler = settings.sampler
    if num_starting_points > settings.trials:
        yield f"There are {num_starting_points} starting points, {settings.trials} trials: the last are left out."
    if sampler.name in ("tpe", "cmaes") and settings.trials <= sampler.startup:
        yield (
            f"All {settings.trials} trials are random: {sampler.name} takes over after {sampler.startup} "
            "(sampler.startup)."
        )
    if sampler.name == "grid":
        size = math.prod(parameter.count() for parameter in parameters)
        if size > settings.trials:
            yield f"The grid has up to {size:.0f} points, of which {settings.trials} are tried."
    if sampler.name == "cmaes":
        apart = [parameter.name for parameter in parameters if parameter.kind == "categorical" or parameter.when]
        if apart:
            yield f"cmaes learns plain numbers only; these are drawn independently: {', '.join(apart)}."
        if len(parameters) - len(apart) < 2:
            yield "cmaes needs at least two unconditional numbers; with fewer, every value is drawn independently."


def _on_pruner(settings: SpaceSettings, base: Mapping[str, Scalar]) -> Iterator[str]:
    pruner = settings.pruner
    if pruner.name == "none":
        return
    if pruner.stage == "pretrain":
        yield "The pruner judges pretraining by its ridge probe, which has not been shown to predict the final result."
    late = [rung for rung in budgets(pruner, base) if (rung - offset(pruner, base)) % settings.report_every]
    if grace(pruner, base) < settings.report_every and late:
        yield (
            f"A trial pauses every {settings.report_every} epochs (report_every): one that falls behind at epoch "
            f"{late[0]} trains on to the next pause, and what it did beyond is forgotten."
        )
