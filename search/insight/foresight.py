"""Which recorded metric foretells the final value, and how early: Kendall's tau at each budget at which trials could be
compared, with a bootstrap interval over trials."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from licap.metrics import Metric
from search.insight.agreement import kendall_tau, tau_interval
from search.insight.recorded import Recorded, recorded, signal_names
from search.space import PrunerConfig, SearchSpace
from search.space.rungs import budgets
from search.study import Reported, TrialRecord

LEVEL = 0.95
DRAWS = 1000
_LEAST = 3


@dataclass(frozen=True, kw_only=True)
class Foresight:
    """What one metric at one budget says of the final values, turned so that larger is better.

    tau: None where it is undefined, since all are tied. interval: of tau. trials: that have both.
    """

    tau: float | None
    interval: tuple[float, float] | None
    trials: int
    best: bool = False


@dataclass(frozen=True, kw_only=True)
class ForesightTable:
    """A row for each metric, a column for each budget; None where fewer than three trials report it there."""

    study: str
    metric: Metric
    trials: int
    budgets: tuple[int, ...]
    stages: tuple[str, ...]
    names: tuple[str, ...]
    cells: tuple[tuple[Foresight | None, ...], ...]
    notes: tuple[str, ...]


def foresight(
    trials: Iterable[TrialRecord], space: SearchSpace, looks: Sequence[int], *, study: str, seed: int
) -> ForesightTable:
    """Builds the table. looks: budgets. Raises: StoreError for a study without whole curves."""
    found = recorded(trials, space)
    names = signal_names(found)
    columns = [_column(found, names, budget, space, seed) for budget in looks]
    rows = [(name, tuple(column[place] for column in columns)) for place, name in enumerate(names)]
    shown = [(name, cells) for name, cells in rows if any(cells)]
    return ForesightTable(
        study=study,
        metric=found.metric,
        trials=len(found.values),
        budgets=tuple(looks),
        stages=tuple("pretrain" if budget <= _seam(space) else "downstream" for budget in looks),
        names=tuple(name for name, _ in shown),
        cells=tuple(cells for _, cells in shown),
        notes=found.notes,
    )


def candidate_budgets(space: SearchSpace, graces: Sequence[int | None], like: PrunerConfig) -> tuple[int, ...]:
    """Where ASHA would compare in either stage, and the end of pretraining."""
    configs = [
        replace(like, name="asha", grace=grace, stage=stage) for grace in graces for stage in ("pretrain", "downstream")
    ]
    return tuple(sorted({_seam(space), *(rung for config in configs for rung in budgets(config, space.base))}))


def _seam(space: SearchSpace) -> int:
    return cast(int, space.base["pretrain.max_epochs"])


def _column(
    found: Recorded, names: Sequence[str], budget: int, space: SearchSpace, seed: int
) -> list[Foresight | None]:
    """Every metric at one budget; the one that tells most is marked."""
    reports = {trial.number: _at(trial, budget, space) for trial in found.trials if trial.number in found.values}
    cells = [_cell(found, reports, name, seed) for name in names]
    strengths = [abs(cell.tau) if cell is not None and cell.tau is not None else -1.0 for cell in cells]
    strongest = max(strengths, default=-1.0)
    return [
        replace(cell, best=True) if cell is not None and strength == strongest >= 0 else cell
        for cell, strength in zip(cells, strengths, strict=True)
    ]


def _at(trial: TrialRecord, budget: int, space: SearchSpace) -> Reported | None:
    """The last report up to a budget, in the stage that the budget lies in; a stage may have stopped before it."""
    stage = "pretrain" if budget <= _seam(space) else "downstream"
    before = [report for report in trial.reports if report.budget <= budget and report.stage == stage]
    return before[-1] if before else None


def _cell(found: Recorded, reports: dict[int, Reported | None], name: str, seed: int) -> Foresight | None:
    pairs = [
        (report.metrics[name], -found.loss(found.values[number]))
        for number, report in reports.items()
        if report is not None and math.isfinite(report.metrics.get(name, math.nan))
    ]
    if len(pairs) < _LEAST:
        return None
    early, final = (np.array(each) for each in zip(*pairs, strict=True))
    return Foresight(
        tau=kendall_tau(early, final),
        interval=tau_interval(early, final, level=LEVEL, draws=DRAWS, seed=seed),
        trials=len(pairs),
    )
