"""Who stops a trial early: one method, asked once per report, in order of arrival.

ASHA is the asynchronous successive halving of Li et al. (MLSys 2020) in its stopping variant: instead of pausing every
trial at a rung and promoting the best later, a trial runs on unless its value is too poor for the rung when it gets
there.

The rule, exactly. A report reaches a rung if its budget is at least the rung's and the trial has no value there yet.
The value joins those of the rung, n of them now. The trial survives if n < reduction, or if fewer than
floor(n / reduction) of them are strictly better. So the best so far always survives, ties survive, and who comes early
has it easier.

A report that jumps over rungs (pretraining that stopped early) counts for each rung passed, with the same value; the
trial goes on if it survives all of them. A value that is not finite joins a rung as worse than any other, and stops the
trial there whatever n is; below the first rung nobody is stopped, the trial itself ends when it diverges.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum


class Decision(Enum):
    """What becomes of a trial after a report."""

    CONTINUE = "continue"
    STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class TrialReport:
    """A trial's value of the study's metric at a budget (epochs over both stages, folds one after the other).

    fold: which of the study's folds is trained, in their order. own: that fold's own value; None where it is `value`,
    as on the first fold.
    """

    trial: int
    budget: int
    value: float
    fold: int = 0
    own: float | None = None

    @property
    def fold_value(self) -> float:
        """The value on the fold that is trained."""
        return self.value if self.own is None else self.own


class Pruner(ABC):
    """Decides on reports; what it remembers follows from the reports it was given, and nothing else."""

    @abstractmethod
    def decide(self, report: TrialReport) -> Decision:
        """CONTINUE or STOP."""


def loss_of(value: float, direction: str) -> float:
    """A value as a loss: smaller is better, infinity for one that is not finite. direction: max or min."""
    if not math.isfinite(value):
        return math.inf
    return -value if direction == "max" else value


class NoPruner(Pruner):
    """Every trial runs to its end."""

    def decide(self, report: TrialReport) -> Decision:
        """CONTINUE."""
        return Decision.CONTINUE


class _Rung:
    """The values that trials had when they got to one budget, as losses: smaller is better, infinity for not finite."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._losses: list[float] = []
        self._trials: set[int] = set()

    def is_new_to(self, report: TrialReport) -> bool:
        """Whether the report is the trial's first at or above this rung."""
        return report.budget >= self.budget and report.trial not in self._trials

    def admit(self, trial: int, loss: float, reduction: int) -> bool:
        """Takes in a trial's value. Returns whether it survives."""
        self._trials.add(trial)
        insort(self._losses, loss)
        if math.isinf(loss):
            return False
        count = len(self._losses)
        better = bisect_left(self._losses, loss)
        return count < reduction or better < count // reduction


class ASHA(Pruner):
    """Asynchronous successive halving, stopping variant; the rungs are its only memory."""

    def __init__(self, rungs: Sequence[int], *, reduction: int, direction: str) -> None:
        """rungs: budgets at which trials are compared. reduction: one in so many survives. direction: max or min."""
        self._rungs = [_Rung(budget) for budget in sorted(set(rungs))]
        self._reduction = reduction
        self._direction = direction

    def decide(self, report: TrialReport) -> Decision:
        """STOP if the value is too low for a rung that the report reaches."""
        loss = loss_of(report.value, self._direction)
        reached = [rung for rung in self._rungs if rung.is_new_to(report)]
        survived = [rung.admit(report.trial, loss, self._reduction) for rung in reached]
        return Decision.CONTINUE if all(survived) else Decision.STOP


def replay(pruner: Pruner, reports: Iterable[TrialReport]) -> list[Decision]:
    """The decisions on recorded reports, in order of arrival; afterwards the pruner knows what it knew then."""
    return [pruner.decide(report) for report in reports]
