"""Hyperband: several ASHA side by side, which begin to compare at different rungs.

What is good early need not be good late. So some trials are compared from the first rung on, fewer from the second on,
and so forth, and a few never. Each bracket compares its own trials only. Which bracket a trial is in follows from its
number alone (see `search.space.rungs.brackets`). Source: Li et al. (JMLR 2018); the brackets run at the same time, as
in Li et al. (MLSys 2020).
"""

from __future__ import annotations

from collections.abc import Sequence

from search.space.rungs import brackets
from search.strategy.pruner import ASHA, Decision, Pruner, TrialReport


class Hyperband(Pruner):
    """One ASHA for each rung to begin with, and one without rungs."""

    def __init__(self, rungs: Sequence[int], *, reduction: int, direction: str) -> None:
        """rungs: budgets at which trials are compared. reduction: one in so many survives. direction: max or min."""
        ascending = sorted(set(rungs))
        self._brackets = [
            ASHA(ascending[first:], reduction=reduction, direction=direction) for first in range(len(ascending) + 1)
        ]
        self._plan = brackets(len(ascending), reduction)
        self._dealt: list[int] = []

    def bracket(self, trial: int) -> int:
        """Which rung is a trial's first, from 0."""
        while len(self._dealt) <= trial:
            self._dealt.append(next(self._plan))
        return self._dealt[trial]

    def decide(self, report: TrialReport) -> Decision:
        """What the ASHA of the trial's bracket decides."""
        return self._brackets[self.bracket(report.trial)].decide(report)
