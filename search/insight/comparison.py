"""A study as a table: parameters down and across, metrics in the cells, each column against a baseline column.

Only what has a rank on the leaderboard counts: complete trials that say something. A cell holds every such trial with
its values of the row and column parameters, so folds, seeds and whatever else was searched are what it averages over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from licap.errors import ConfigError
from licap.fields import Scalar
from licap.metrics import METRICS, metric
from search.insight.axes import Axis, axis_of, check_apart, pick_value
from search.insight.cells import MetricTable, Run, metric_table
from search.insight.leaderboard import Leaderboard, leaderboard, none_complete
from search.insight.remarks import averaged_over, remarks
from search.space import SearchSpace
from search.study import TrialRecord


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The whole table. baseline: its column. over: what cells average over. notes: what a reader must know."""

    study: str
    rows: Axis
    columns: Axis
    baseline: int
    over: str
    tables: tuple[MetricTable, ...]
    notes: tuple[str, ...]


def compare(
    trials: Iterable[TrialRecord],
    space: SearchSpace,
    *,
    study: str,
    rows: Sequence[str],
    columns: Sequence[str],
    baseline: str | None,
    metrics: Sequence[str],
) -> Comparison:
    """Builds the table of a study.

    rows, columns: dotted names of the trial config, searched or fixed. baseline: a column, as `features`, or as
    `features,struct` for two parameters; None: the first in the space's order. metrics: names; empty: all there are.
    Raises: ConfigError for names and values that mean nothing here; StoreError where no trial is complete.
    """
    check_apart(rows, columns)
    if space.folds and "fold" in (*rows, *columns):
        raise ConfigError(
            "fold: a trial of this study trains several folds. Leave fold out: values are means over them."
        )
    chosen = [metric(name) for name in metrics]
    board = leaderboard(trials, space)
    if not board.ranked:
        raise none_complete(board, "compare")
    known = _known(board, space)
    down, across = (axis_of(names, space, [config for _, config in known.values()]) for names in (rows, columns))
    base = 0 if baseline is None else pick_value(across, baseline)
    runs, repeated = _without_repeats(_runs(board, known, down, across))
    counted = [run for run in runs if run.counts]
    present = [each for name, each in METRICS.items() if any(f"val.{name}" in run.metrics for run in counted)]
    tables = tuple(
        metric_table(each, counted, (down, across), base, space) for each in dict.fromkeys(chosen or present)
    )
    return Comparison(
        study=study,
        rows=down,
        columns=across,
        baseline=base,
        over=averaged_over(runs, (down, across)),
        tables=tables,
        notes=(*_on_folds(space), *remarks(board, runs, repeated, (down, across), base, tables, space)),
    )


def _on_folds(space: SearchSpace) -> Iterator[str]:
    if space.folds:
        folds = ", ".join(map(str, space.folds))
        yield f"Each trial's value is already a mean over folds {folds}; deviation and p are over what else differs."


def _known(board: Leaderboard, space: SearchSpace) -> dict[int, tuple[frozenset[str], Mapping[str, Scalar]]]:
    """What counts and the complete config of each trial; without those whose config was refused, and that failed."""
    found: dict[int, tuple[frozenset[str], Mapping[str, Scalar]]] = {}
    for row in board:
        try:
            found[row.trial] = (frozenset(space.active(row.values)), space.config_for(row.values).flat())
        except ConfigError:
            if row.rank is not None:
                raise
    return found


def _runs(
    board: Leaderboard, known: Mapping[int, tuple[frozenset[str], Mapping[str, Scalar]]], down: Axis, across: Axis
) -> list[Run]:
    """The trials by number."""
    return [
        Run(
            trial=row.trial,
            config=known[row.trial][1],
            counting=known[row.trial][0],
            place=(down.index_of(known[row.trial][1]), across.index_of(known[row.trial][1])),
            metrics=row.metrics,
            counts=row.rank is not None,
        )
        for row in sorted(board, key=lambda row: row.trial)
        if row.trial in known
    ]


def _without_repeats(runs: Sequence[Run]) -> tuple[list[Run], list[int]]:
    """The runs without those that repeat the config of an earlier one that counts, and the numbers of those."""
    seen: set[tuple[Scalar, ...]] = set()
    kept, repeated = [], []
    for run in runs:
        key = tuple(run.config.values())
        if run.counts and key in seen:
            repeated.append(run.trial)
            continue
        if run.counts:
            seen.add(key)
        kept.append(run)
    return kept, repeated
