"""The median rule: a trial stops where more than half of the others did better.

The rule, exactly. It looks at every report from budget `first` on, once for each trial and budget. The others are the
trials that have reported at that budget, and those that the rule stopped before it, with the value at which they
stopped (left out, they would leave the survivors among themselves, and the rule would halve these at every epoch).
Where there are at least `startup` others, and more than half of them are strictly better, the trial stops. A value that
is not finite is worse than any other, and stops the trial whatever the others did.

A stopped trial's value stands for later ones because a downstream model reports its best epoch so far. The probe of
pretraining is another measure, so the rule has no place there. Source: Golovin et al. (KDD 2017), section 3.2; Vizier
compares with the means of the others' curves.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort

from search.strategy.pruner import Decision, Pruner, TrialReport, loss_of


class Median(Pruner):
    """Stops the worse half; remembers the values at each budget."""

    def __init__(self, first: int, *, startup: int, direction: str) -> None:
        """first: the budget from which on trials are compared. direction: max or min."""
        self._first, self._startup, self._direction = first, startup, direction
        # As losses, ascending. Millions of them in a long study, so no lists of objects.
        self._losses: dict[int, array[float]] = {}
        self._stopped: list[tuple[int, float]] = []
        self._seen: dict[int, int] = {}

    def decide(self, report: TrialReport) -> Decision:
        """STOP if the value lies behind more than half of the others'."""
        if report.budget < self._first or report.budget <= self._seen.get(report.trial, 0):
            return Decision.CONTINUE
        self._seen[report.trial] = report.budget
        loss = loss_of(report.value, self._direction)
        losses = self._losses_at(report.budget)
        others, better = len(losses), bisect_left(losses, loss)
        insort(losses, loss)
        if loss < float("inf") and (others < self._startup or 2 * better <= others):
            return Decision.CONTINUE
        self._stop(report.budget, loss)
        return Decision.STOP

    def _losses_at(self, budget: int) -> array[float]:
        if budget not in self._losses:
            stopped = sorted(loss for before, loss in self._stopped if before < budget)
            self._losses[budget] = array("d", stopped)
        return self._losses[budget]

    def _stop(self, budget: int, loss: float) -> None:
        """From here on the trial counts with the value it has."""
        self._stopped.append((budget, loss))
        for later, losses in self._losses.items():
            if later > budget:
                insort(losses, loss)
