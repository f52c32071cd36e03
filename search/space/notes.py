"""What is allowed in a space and yet worth knowing before a study starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from licap.fields import Scalar
from licap.spelling import shown
from search.space.parameter import Parameter
from search.space.rungs import budgets, grace, offset
from search.space.settings import LEARNING, SpaceSettings

# Searching one of these compares trials that solve different problems.
_PROBLEM = ("data.dataset", "data.path", "data.synthetic", "fold", "split_seed", "label_ties")


@dataclass(frozen=True)
class Counts:
    """How many trials there are to be, and how many there could be. points: infinity where a float has no step."""

    trials: int
    points: float
    starting_points: int


def notes_on(
    settings: SpaceSettings, parameters: Sequence[Parameter], base: Mapping[str, Scalar], counts: Counts
) -> Iterator[str]:
    """Sentences for people, one each."""
    yield from _on_comparison(parameters)
    yield from _on_sampler(settings, parameters, counts)
    yield from _on_points(settings, counts)
    yield from _on_grid(settings, counts)
    yield from _on_pruner(settings, base)


def _on_comparison(parameters: Sequence[Parameter]) -> Iterator[str]:
    for parameter in parameters:
        if parameter.count() == 1 and not parameter.when:
            yield f"{parameter.name} has a single value, {shown(parameter.extremes()[0])}: it could stand under config."
        if any(parameter.name == name or parameter.name.startswith(f"{name}.") for name in _PROBLEM):
            yield (
                f"{parameter.name} is searched: trials with different data, folds or rules of evaluation are ranked "
                "against each other. search/compare.py compares them side by side; `folds` judges each trial by "
                "several folds."
            )
        if parameter.name == "seed":
            yield "seed is searched: the best trial may owe its rank to a lucky seed."


def _on_sampler(settings: SpaceSettings, parameters: Sequence[Parameter], counts: Counts) -> Iterator[str]:
    sampler = settings.sampler
    if counts.starting_points > counts.trials:
        yield f"There are {counts.starting_points} starting points, {counts.trials} trials: the last are left out."
    if sampler.name in LEARNING and counts.trials <= sampler.startup:
        yield (
            f"All {counts.trials} trials are random: {sampler.name} takes over after {sampler.startup} "
            "(sampler.startup)."
        )
    if sampler.name in ("gp", "cmaes"):
        yield from _on_what_is_learned(settings, parameters)


def _on_what_is_learned(settings: SpaceSettings, parameters: Sequence[Parameter]) -> Iterator[str]:
    """What gp and cmaes leave to chance."""
    name = settings.sampler.name
    apart = [each.name for each in parameters if each.when or (name == "cmaes" and each.kind == "categorical")]
    if apart:
        what = "plain numbers" if name == "cmaes" else "parameters that always count"
        yield f"{name} learns {what} only; these are drawn independently: {', '.join(apart)}."
    if name == "cmaes" and len(parameters) - len(apart) < 2:
        yield "cmaes needs at least two unconditional numbers; with fewer, every value is drawn independently."
    if settings.pruner.name != "none":
        yield f"{name} learns from complete trials only, and {settings.pruner.name} stops many. tpe learns from both."


def _on_points(settings: SpaceSettings, counts: Counts) -> Iterator[str]:
    """A space of fewer points than trials; no sampler tries one twice."""
    if counts.points >= counts.trials:
        return
    points = f"{counts.points:,.0f} {'point' if counts.points == 1 else 'points'}"
    if settings.sampler.name == "grid":
        yield f"The grid has {points}: the search ends when they are used up."
    else:
        yield f"The space has {points}: the search ends when all of them have been tried, for none is tried twice."


def _on_grid(settings: SpaceSettings, counts: Counts) -> Iterator[str]:
    if settings.sampler.name != "grid":
        return
    if counts.points > counts.trials:
        yield (
            f"The grid has {counts.points:,.0f} points, of which {counts.trials:,} are tried. "
            "Leave out trials to try all."
        )
    if settings.pruner.name != "none":
        yield (
            f"{settings.pruner.name} stops points of the grid early, and a comparison of the grid lacks them. "
            "Set pruner: none to have all of them."
        )


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
