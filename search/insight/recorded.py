"""What a study that nobody pruned has recorded: whole learning curves, and the value that each came to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from licap.commands import script
from licap.errors import ConfigError, StoreError
from licap.metrics import METRICS, Metric
from licap.suggestions import nearest
from search.insight.leaderboard import leaderboard
from search.insight.render import trials_text
from search.insight.simulation import Curve
from search.space import SearchSpace
from search.space.rungs import STAGE_LENGTHS
from search.study import TrialRecord

_LEAST = 3
_LOSSES = ("loss", "val_loss", "l1", "l2")


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """The trials of a study that count for a replay, by number.

    trials: complete or failed. values: of those with a rank on the leaderboard, by number. notes: what is left out.
    """

    metric: Metric
    trials: tuple[TrialRecord, ...]
    values: dict[int, float]
    notes: tuple[str, ...]

    @property
    def best(self) -> float:
        """The best value there is."""
        return min(self.values.values(), key=self.metric.rank_key)

    def loss(self, value: float) -> float:
        """A value of the study's metric, turned so that smaller is better."""
        return -value if self.metric.direction == "max" else value


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A recorded metric to rank trials by on the way. direction: max or min."""

    name: str
    direction: str


def recorded(trials: Iterable[TrialRecord], space: SearchSpace) -> Recorded:
    """The curves of a study. Raises: StoreError where they are not whole, or too few have come to an end."""
    there = list(trials)
    _refuse_pruned(there)
    searched = [parameter.name for parameter in space.parameters if parameter.name in STAGE_LENGTHS]
    if searched:
        raise StoreError(
            f"{' and '.join(searched)} was searched, so trials cannot be compared at equal epochs. "
            "Record a study in which it is fixed."
        )
    if len(space.folds) > 1:
        raise StoreError(
            f"trials of this study train folds {', '.join(map(str, space.folds))} one after the other; replay needs "
            "curves of a single one. Record a study without folds."
        )
    board = leaderboard(there, space)
    values = {row.trial: row.value for row in board.ranked if row.value is not None}
    if len(values) < _LEAST:
        raise StoreError(f"there are not enough complete trials, at least {_LEAST} ({board.counts()}). Run more.")
    kept = tuple(trial for trial in there if trial.state in ("complete", "failed"))
    return Recorded(metric=space.metric, trials=kept, values=values, notes=tuple(_notes(there, values)))


def signal_of(text: str | None, found: Recorded) -> Signal:
    """The signal of a command line, as `NAME`, `NAME:max` or `NAME:min`; None: the study's metric.

    Raises: ConfigError for one that no trial reported, or whose direction is neither known nor given.
    """
    if text is None:
        return Signal(name=f"val.{found.metric.name}", direction=found.metric.direction)
    name, _, given = text.partition(":")
    names = signal_names(found)
    if name not in names:
        near = nearest(name, names) or f" (there are: {', '.join(names)})"
        raise ConfigError(f"--signal {name}: no trial reported it{near}")
    direction = given or _direction(name)
    if direction not in ("max", "min"):
        what = "is not known" if not given else f"must be max or min (got {given})"
        raise ConfigError(f"--signal {text}: which way it is good {what}. Write {name}:max or {name}:min.")
    return Signal(name=name, direction=direction)


def signal_names(found: Recorded) -> list[str]:
    """All metrics that trials reported, in the order in which they came."""
    return list(dict.fromkeys(name for trial in found.trials for each in trial.reports for name in each.metrics))


def curves(found: Recorded, signal: Signal) -> list[Curve]:
    """One curve for each trial. Where a report lacks the signal, its last value stands."""
    return [_curve(trial, found, signal) for trial in found.trials]


def _curve(trial: TrialRecord, found: Recorded, signal: Signal) -> Curve:
    told: list[float | None] = []
    for report in trial.reports:
        told.append(report.metrics.get(signal.name, told[-1] if told else None))
    value = found.values.get(trial.number)
    return Curve(
        budgets=tuple(report.budget for report in trial.reports),
        signals=tuple(told),
        loss=None if value is None else found.loss(value),
    )


def _direction(name: str) -> str:
    last = name.rpartition(".")[2]
    if last in METRICS:
        return METRICS[last].direction
    return "min" if last in _LOSSES else ""


def _refuse_pruned(trials: Sequence[TrialRecord]) -> None:
    pruned = [trial.number for trial in trials if trial.state == "pruned"]
    if pruned:
        raise StoreError(
            f"{len(pruned)} of {len(trials)} trials were pruned, so nobody knows what they would have come to. "
            "Record a study in which every trial runs to its end: "
            + script("run.py", "--space", "FILE", "--set", "pruner=none")
        )


def _notes(trials: Sequence[TrialRecord], values: dict[int, float]) -> Iterable[str]:
    for state in ("running", "interrupted"):
        numbers = [trial.number for trial in trials if trial.state == state]
        if numbers:
            yield f"Left out, for they have not come to an end ({state}): {trials_text(numbers)}."
    failed = [trial.number for trial in trials if trial.state == "failed"]
    if failed:
        yield f"Failed, and cost the epochs until then: {trials_text(failed)}."
    empty = [trial.number for trial in trials if trial.state == "complete" and trial.number not in values]
    if empty:
        yield f"Complete without a value that can be ranked, and so never the best: {trials_text(empty)}."
