"""Who did best: complete trials by the study's metric, then everything else, and the config behind a rank."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import overload

from licap.config import TrialConfig
from licap.errors import StoreError
from licap.fields import Scalar
from licap.metrics import Metric, says_nothing
from search.space import SearchSpace
from search.study import TrialRecord

_ORDER = ("complete", "running", "interrupted", "pruned", "failed")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A trial on the leaderboard.

    rank: from 1; None for a trial that is not compared: not complete, without a value, or flagged. value: the study's
    metric in the last report, None where it is missing or not finite. metrics: all finite `val.…` values there.
    """

    rank: int | None
    trial: int
    state: str
    value: float | None
    metrics: Mapping[str, float]
    budget: int
    seconds: float | None
    values: Mapping[str, Scalar]
    failure: str | None
    message: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Leaderboard(Sequence[Row]):
    """Rows, best first, with what is needed to name their columns."""

    rows: tuple[Row, ...]
    metric: Metric
    parameters: tuple[str, ...]

    @property
    def ranked(self) -> tuple[Row, ...]:
        """The rows that have a rank, best first."""
        return tuple(row for row in self.rows if row.rank is not None)

    def counts(self) -> str:
        """How many trials there are in which state: `12 trials: 8 complete, 4 pruned`."""
        states = Counter(row.state for row in self.rows)
        parts = ", ".join(f"{states[state]} {state}" for state in _ORDER if state in states)
        return f"{len(self.rows)} trial{'' if len(self.rows) == 1 else 's'}" + (f": {parts}" if parts else "")

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Row, ...]: ...

    def __getitem__(self, index: int | slice) -> Row | tuple[Row, ...]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)


def leaderboard(trials: Iterable[TrialRecord], space: SearchSpace) -> Leaderboard:
    """Complete trials by the space's metric, ties by number; then the others by state and number."""
    rows = sorted((_row(trial, space.metric) for trial in trials), key=lambda row: _order(row, space.metric))
    ranked = (replace(row, rank=index) if _comparable(row) else row for index, row in enumerate(rows, start=1))
    return Leaderboard(tuple(ranked), space.metric, tuple(parameter.name for parameter in space.parameters))


def none_complete(board: Leaderboard, purpose: str) -> StoreError:
    """The error of a board without a ranked trial. purpose: what one is wanted to, as `compare`."""
    return StoreError(
        f"there is no complete trial to {purpose} ({board.counts()}). Go on with search/run.py --resume, and more "
        "--trials where all have ended."
    )


def pick(board: Leaderboard, rank: int) -> Row:
    """The row of a rank. Raises: StoreError saying how many ranks there are."""
    ranked = board.ranked
    if not ranked:
        raise none_complete(board, "choose from")
    if not 1 <= rank <= len(ranked):
        raise StoreError(f"there is no rank {rank}: ranks go from 1 to {len(ranked)} ({board.counts()}).")
    return ranked[rank - 1]


def best_config(trials: Iterable[TrialRecord], space: SearchSpace, rank: int) -> TrialConfig:
    """The complete config of the trial with a rank, as it ran. Raises: StoreError as `pick`."""
    return space.config_for(pick(leaderboard(trials, space), rank).values)


def _row(trial: TrialRecord, metric: Metric) -> Row:
    metrics = {
        name: value for name, value in trial.metrics().items() if name.startswith("val.") and math.isfinite(value)
    }
    return Row(
        rank=None,
        trial=trial.number,
        state=trial.state,
        value=trial.final(metric.name),
        metrics=metrics,
        budget=trial.budget,
        seconds=trial.seconds,
        values=trial.values,
        failure=trial.failure,
        message=trial.message,
        notes=trial.notes,
    )


def _comparable(row: Row) -> bool:
    return row.state == "complete" and row.value is not None and not any(says_nothing(note) for note in row.notes)


def _order(row: Row, metric: Metric) -> tuple[bool, tuple[bool, float], int, int]:
    comparable = _comparable(row)
    key = metric.rank_key(row.value) if comparable and row.value is not None else (True, 0.0)
    return not comparable, key, _ORDER.index(row.state), row.trial
