"""Folds as the top rungs: a trial earns its next fold by rank, and loses it to a paired test.

Within the first fold another pruner decides. From then on a trial is looked at once for each fold, with the first
report of the next one, when its value is the mean over the folds that have ended:

1. It goes on if it survives as in ASHA, among the trials that have come as far.
2. From two folds on, it also stops where the best of the others that have come as far beats it so evenly on the same
   folds that a one-sided paired t-test says so at 5 %.

Where the first asks who is among the best, the second asks who can still be told from the best: folds differ by more
than trials do, so only differences on the same folds count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.strategy.pruner import ASHA, Decision, Pruner, TrialReport, loss_of

SIGNIFICANCE = 0.05


class Folds(Pruner):
    """Another pruner for the first fold, rank and paired test for the others."""

    def __init__(self, first: Pruner, rungs: Sequence[int], *, reduction: int, direction: str) -> None:
        """rungs: the budget of the first report of each fold but the first. reduction: one in so many survives."""
        self._first, self._direction = first, direction
        self._rank = ASHA(rungs, reduction=reduction, direction=direction)
        # By trial: the latest loss of each fold, in the order of folds.
        self._losses: dict[int, list[float]] = {}

    def decide(self, report: TrialReport) -> Decision:
        """STOP if the first fold's pruner, the rank or the test says so."""
        losses = self._losses.setdefault(report.trial, [])
        begins = report.fold == len(losses)
        losses[report.fold :] = [loss_of(report.fold_value, self._direction)]
        if report.fold == 0:
            return self._first.decide(report)
        if not begins:
            return Decision.CONTINUE
        ranked = self._rank.decide(report)
        return Decision.STOP if ranked is Decision.STOP or self._beaten(report) else Decision.CONTINUE

    def _beaten(self, report: TrialReport) -> bool:
        """Whether the best of the others is better on the folds that have ended, and not by chance."""
        ended = report.fold
        rivals = [
            losses[:ended]
            for trial, losses in self._losses.items()
            # Who has not begun a further fold is still at one of these.
            if trial != report.trial and len(losses) > ended
        ]
        if ended < 2 or not rivals:
            return False
        return surely_smaller(min(rivals, key=sum), self._losses[report.trial][:ended])


def surely_smaller(left: Sequence[float], right: Sequence[float]) -> bool:
    """Whether a one-sided paired t-test finds left smaller than right at 5 %; equal differences are no chance at all.

    left, right: [n] finite, n at least 2.
    """
    # Loaded with the first test only: it takes a second.
    from scipy import stats

    differences = np.subtract(left, right)
    mean, error = float(differences.mean()), float(differences.std(ddof=1)) / len(differences) ** 0.5
    if mean >= 0:
        return False
    return error <= 1e-12 * abs(mean) or float(stats.t.cdf(mean / error, len(differences) - 1)) < SIGNIFICANCE
