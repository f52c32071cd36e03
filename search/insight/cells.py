"""Cells of a comparison: mean and spread of their trials, and what sets them apart from the baseline's cell.

A column is tested against the baseline on pairs, which share everything else. Where several trials share it, because a
parameter counts on one side only, their mean makes the pair: one measurement is never used twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from licap.fields import Scalar
from licap.metrics import Metric
from search.insight.axes import Axis
from search.insight.statistics import differences, improvement_percent, mean_interval, mean_std, wilcoxon_p
from search.space import SearchSpace

# Below it p is called clear; 1 - LEVEL is what an interval covers.
LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Run:
    """A trial as a comparison sees it.

    config: every value of the trial. counting: names of the searched parameters that count in it. place: row and
    column. metrics: finite `val.…` values by name. counts: whether it stands in the table.
    """

    trial: int
    config: Mapping[str, Scalar]
    counting: frozenset[str]
    place: tuple[int, int]
    metrics: Mapping[str, float]
    counts: bool


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A cell against the baseline's cell of its row.

    improvement: of the mean, in percent, positive where better; None where the baseline is 0. pairs: trials that share
    all else; differing: those among them whose values differ. difference: mean over the pairs of cell - baseline, with
    its 95 % interval. p: of the signed-rank test; None without a pair.
    """

    improvement: float | None
    pairs: int
    differing: int
    difference: float | None
    interval: tuple[float, float] | None
    p: float | None


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Mean and standard deviation (n - 1) of n trials; None where there are too few. contrast: to the baseline."""

    n: int
    mean: float | None = None
    std: float | None = None
    contrast: Contrast | None = None


@dataclass(frozen=True, kw_only=True)
class MetricTable:
    """One metric: a cell for each row and column."""

    metric: Metric
    cells: tuple[tuple[Cell, ...], ...]

    def best(self, row: int) -> frozenset[int]:
        """The columns with the best mean of a row; none where there is nothing to choose from."""
        found = {column: cell.mean for column, cell in enumerate(self.cells[row]) if cell.mean is not None}
        keys = {column: self.metric.rank_key(mean) for column, mean in found.items()}
        return frozenset(c for c, key in keys.items() if key == min(keys.values())) if len(keys) > 1 else frozenset()


def metric_table(
    measure: Metric, runs: Sequence[Run], axes: tuple[Axis, Axis], baseline: int, space: SearchSpace
) -> MetricTable:
    """The cells of one metric. runs: those that count. axes: rows and columns. baseline: the column to compare with."""
    name = f"val.{measure.name}"
    rows, columns = axes
    places: dict[tuple[int, int], list[Run]] = {}
    for run in runs:
        if name in run.metrics:
            places.setdefault(run.place, []).append(run)

    def cell(row: int, column: int) -> Cell:
        own, base = (places.get((row, each), []) for each in (column, baseline))
        if not own:
            return Cell(n=0)
        mean, std = mean_std([run.metrics[name] for run in own])
        contrast = _contrast(measure, own, base, columns, space) if base and column != baseline else None
        return Cell(n=len(own), mean=mean, std=std, contrast=contrast)

    cells = tuple(tuple(cell(row, column) for column in range(len(columns))) for row in range(len(rows)))
    return MetricTable(metric=measure, cells=cells)


def _contrast(measure: Metric, own: Sequence[Run], base: Sequence[Run], columns: Axis, space: SearchSpace) -> Contrast:
    name = f"val.{measure.name}"
    means = [mean_std([run.metrics[name] for run in side])[0] for side in (own, base)]
    pairs = [
        tuple(mean_std([run.metrics[name] for run in side])[0] for side in both)
        for both in pairs_of(own, base, columns, space)
    ]
    apart = differences([a for a, _ in pairs], [b for _, b in pairs])
    return Contrast(
        improvement=improvement_percent(*means, larger_is_better=measure.direction == "max"),
        pairs=len(pairs),
        differing=sum(each != 0 for each in apart),
        difference=mean_std(apart)[0] if apart else None,
        interval=mean_interval(apart, 1 - LEVEL),
        p=wilcoxon_p(apart) if apart else None,
    )


def pairs_of(
    own: Sequence[Run], base: Sequence[Run], columns: Axis, space: SearchSpace
) -> list[tuple[list[Run], list[Run]]]:
    """Runs of two cells of a row that share every searched parameter but those of the columns.

    A parameter that counts on one side only cannot be shared and is passed over.
    """
    shared = [p.name for p in space.parameters if p.name not in columns.names and _on_both_sides(p.name, own, base)]
    groups: dict[tuple[Scalar, ...], tuple[list[Run], list[Run]]] = {}
    for side, runs in enumerate((own, base)):
        for run in runs:
            key = tuple(run.config[name] for name in shared)
            groups.setdefault(key, ([], []))[side].append(run)
    return [both for both in groups.values() if all(both)]


def _on_both_sides(name: str, own: Sequence[Run], base: Sequence[Run]) -> bool:
    return all(any(name in run.counting for run in side) for side in (own, base))
