"""What a study will do and cost, in words, without training anything: for `--dry-run`."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING, cast

from licap.errors import ConfigError
from licap.fields import Scalar
from licap.spelling import shown
from search.space.grid import grid_points
from search.space.parameter import Parameter
from search.space.rungs import brackets
from search.space.settings import LEARNING

if TYPE_CHECKING:
    from search.space.space import SearchSpace

# Points looked at to see how many trials pretrain at all and how long their stages are: drawn, or all of a grid.
_DRAWS = 500
_LARGEST_GRID = 2_000
_EXAMPLES = 3


@dataclass(frozen=True)
class Estimate:
    """Epochs of a whole study, early stopping by patience left out.

    full: every trial to its end. expected: with the pruner, where every rung keeps its best share and no more.
    pretraining: how many of the expected ones are of stage 1. reaching: trials that reach the first rung, the second,
    …, the end.
    """

    trials: int
    full: int
    expected: int
    pretraining: int
    reaching: tuple[int, ...]


def estimate(space: SearchSpace) -> Estimate:
    """Counts epochs. Not every trial pretrains: which ones do is counted where a grid says it, else drawn."""
    trials, folds = space.num_trials, max(1, len(space.folds))
    lengths = [_epochs(space, values) for values in _typical_points(space)]
    mean_pretrain = sum(pretrain for pretrain, _ in lengths) / len(lengths)
    mean_downstream = sum(downstream for _, downstream in lengths) / len(lengths)
    full = round(trials * folds * (mean_pretrain + mean_downstream))
    stops = (*space.rungs(), *space.fold_rungs())
    if not stops:
        return Estimate(trials, full, full, round(trials * folds * mean_pretrain), (trials,))
    reaching = _reaching(space, trials)
    nominal = cast(int, space.base["pretrain.max_epochs"])
    share = mean_pretrain / nominal

    def pretrained(budget: int) -> float:
        whole, rest = divmod(budget, space.fold_budget)
        return share * (whole * nominal + min(rest, nominal))

    def cost(budget: int) -> float:
        whole, rest = divmod(budget, space.fold_budget)
        return pretrained(budget) + whole * (space.fold_budget - nominal) + max(0, rest - nominal)

    ends = [0, *stops, space.max_budget]
    steps = list(zip(reaching, pairwise(ends), strict=True))
    expected, pretraining = (
        round(sum(n * (spent(end) - spent(start)) for n, (start, end) in steps)) for spent in (cost, pretrained)
    )
    return Estimate(trials, full, expected, pretraining, reaching)


def _reaching(space: SearchSpace, trials: int) -> tuple[int, ...]:
    """Trials that train on to the first rung, the second, …, the end, if every rung keeps its share and no more."""
    on_first, reduction = len(space.rungs()), space.pruner.reduction
    stops = on_first + len(space.fold_rungs())
    reaching = [0] * (stops + 1)
    for first, number in _brackets(space, trials).items():
        for rung in range(stops + 1):
            reaching[rung] += number
            keep = 2 if space.pruner.name == "median" and rung < on_first else reduction
            number = math.ceil(number / keep) if rung >= min(first, on_first) else number
    return tuple(reaching)


def _brackets(space: SearchSpace, trials: int) -> Mapping[int, int]:
    """How many trials are compared first at which rung; of all pruners but hyperband, all at the first."""
    if space.pruner.name != "hyperband":
        return {0: trials}
    return dict(sorted(Counter(islice(brackets(len(space.rungs()), space.pruner.reduction), trials)).items()))


def _typical_points(space: SearchSpace) -> list[Mapping[str, Scalar]]:
    """All that will be tried, where a grid of bearable size says so; else points drawn from the space."""
    if space.sampler.name == "grid" and space.num_trials <= _LARGEST_GRID:
        rest = (point for point in grid_points(space.parameters) if point not in space.starting_points)
        return list(islice(chain(space.starting_points, rest), space.num_trials))
    rng = random.Random(space.seed)
    return [space.sample(rng) for _ in range(_DRAWS)]


def _epochs(space: SearchSpace, values: Mapping[str, Scalar]) -> tuple[int, int]:
    """Epochs of both stages; none where a rule refuses the combination, since its trial ends before it starts."""
    try:
        return _stage_lengths(space, values)
    except ConfigError:
        return 0, 0


def _stage_lengths(space: SearchSpace, values: Mapping[str, Scalar]) -> tuple[int, int]:
    config = space.config_for(values)
    fitted = not config.downstream.model_config.trained
    return (
        config.pretrain.max_epochs if config.pretrains else 0,
        1 if fitted else config.downstream.max_epochs,
    )


def describe(space: SearchSpace) -> str:
    """The resolved space, sample points and the estimate as plain text."""
    return "\n".join(
        [
            *_header(space),
            "",
            *_parameters(space.parameters),
            "",
            "Fixed, where not the default:" if _changed(space) else "Fixed: everything else at its default.",
            *(f"  {name} = {shown(value)}" for name, value in _changed(space).items()),
            "",
            *_points(space),
            "",
            *_cost(space),
            *(f"Note: {note}" for note in space.notes),
        ]
    )


def _header(space: SearchSpace) -> Iterator[str]:
    better = "larger" if space.metric.direction == "max" else "smaller"
    limits = [_trials_text(space)]
    if space.time_budget_s is not None:
        limits.append(f"{space.time_budget_s:g} s at most")
    if space.max_concurrent is not None:
        limits.append(f"{space.max_concurrent} at a time at most")
    slot = space.resources
    yield f"Study {space.name}, from {space.source}"
    yield f"  metric      {space.metric.label} ({better} is better), on the validation nodes"
    yield f"  trials      {', '.join(limits)}; seed {space.seed}"
    yield f"  sampler     {space.sampler.name}" + (
        f", after {space.sampler.startup} random proposals" if space.sampler.name in LEARNING else ""
    )
    yield f"  pruner      {_pruner_text(space)}"
    if space.folds:
        yield f"  folds       {_folds_text(space)}"
    yield f"  slot        {slot.cpus:g} CPU, {slot.gpus:g} GPU; results every {space.report_every} epochs"


def _trials_text(space: SearchSpace) -> str:
    size = space.grid_size
    if size is None:
        once = ", every point of the space once" if space.num_trials < space.trials else ""
        return f"{space.num_trials} trials{once}"
    if space.trials < size:
        return f"{space.trials:,} of the {size:,} points of the grid"
    return f"{size:,} trials, every point of the grid once"


def _pruner_text(space: SearchSpace) -> str:
    pruner, stops = space.pruner, space.rungs()
    epochs = f"{', '.join(map(str, stops))} of {space.fold_budget}"
    if pruner.name == "none":
        return "none"
    if pruner.name == "median":
        return f"median: from epoch {epochs} on, who does worse than half of {pruner.startup} or more others stops"
    text = f"{pruner.name}: the best 1/{pruner.reduction} go on at epochs {epochs}"
    if pruner.name == "asha":
        return text
    shares = _brackets(space, space.num_trials)
    parts = [f"{number} from {stops[k]} on" if k < len(stops) else f"{number} never" for k, number in shares.items()]
    return f"{text} (compared: {', '.join(parts)})"


def _folds_text(space: SearchSpace) -> str:
    first, *others = space.folds
    if not others:
        return str(first)
    further = ", ".join(map(str, others))
    if not space.fold_rungs():
        return f"{first}, {further}, all of them in every trial; values are means over them"
    reduction = space.pruner.reduction
    return f"{first}, then {further}, for the best 1/{reduction} each time that the best does not surely beat"


def _parameters(parameters: Sequence[Parameter]) -> Iterator[str]:
    rows = [("Searched", "type", "range", "counts when")]
    return _table([*rows, *((p.name, p.kind, p.range_text(), p.when_text() or "always") for p in parameters)])


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _changed(space: SearchSpace) -> dict[str, Scalar]:
    specs = {parameter.name for parameter in space.parameters}
    defaults = type(space.config_for({}))().flat()
    return {name: value for name, value in space.base.items() if name not in specs and value != defaults[name]}


def _points(space: SearchSpace) -> Iterator[str]:
    rng = random.Random(space.seed)
    starts = space.starting_points[: min(_EXAMPLES, space.trials)]
    draws = [space.sample(rng) for _ in range(_EXAMPLES)]
    heads = [f"start {i + 1}" for i in range(len(starts))] + [f"example {i + 1}" for i in range(len(draws))]
    rows = [["Points", *heads]]
    for parameter in space.parameters:
        rows.append([parameter.name, *(_cell(point, parameter.name) for point in (*starts, *draws))])
    yield from _table(rows)
    if len(space.starting_points) > len(starts):
        yield f"and {len(space.starting_points) - len(starts)} more starting points"


def _cell(point: Mapping[str, Scalar], name: str) -> str:
    if name not in point:
        return "-"
    value = point[name]
    return f"{value:.4g}" if isinstance(value, float) else shown(value)


def _cost(space: SearchSpace) -> Iterator[str]:
    cost = estimate(space)
    yield f"Cost: {cost.trials:,} trials, {cost.full:,} epochs if none stops early."
    if space.rungs():
        reached = ", ".join(map(str, cost.reaching))
        median = space.pruner.name == "median"
        kept = "half of the trials stop there" if median else f"every rung keeps its best 1/{space.pruner.reduction}"
        yield (
            f"  With the pruner about {cost.expected:,} epochs, if {kept} "
            f"(trials on the way to each rung and the end: {reached})."
        )
        yield "  Trials that come first at a rung go on without competition, so the true number lies between the two."
