"""Keeps one update of a model from moving its scores further than they are off.

Adam's first updates move every weight by the learning rate, all in the direction that lowers the loss. A score then
moves by the learning rate times the sum of its derivatives' absolute values, which grows with the width and the scale
of the input: one epoch throws the scores far beyond the labels, into the flat parts of activations, where no gradient
leads back. The limit is on what the model answers, so it is the same for every model, input and scale of labels.
Source: a trust region (Conn, Gould & Toint, 2000) in the space of the scores. Where it begins below the learning rate
it acts as the warm-up that is usual with Adam (Liu et al., ICLR 2020), as long as this model on these inputs needs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from licap.models.base import root_mean_square
from licap.training import Learner

# A share of the learning rate that was lowered rises by this factor an epoch, up to 1.
_RISE = 1.3
# Shares are linear in the way gone, and scores are not: what is tried next aims a little below the limit.
_AIM = 0.9
_MOST_TRIES = 10
# The least that a halved update must take from the move, as a factor.
_SHRUNK = 0.9


class StepLimit:
    """The limit, and the share of the learning rate that now keeps it. A rate of 1 changes no bit of an update.

    limit: of the move, in units of the error; both are root mean squares over the training nodes.
    """

    def __init__(self, limit: float) -> None:
        self.rate = 1.0
        self._limit = limit

    def update(
        self, learner: Learner, before: Tensor, labels: Tensor, train: Tensor, scores: Callable[[], Tensor]
    ) -> Tensor:
        """One update, taken back in part as often as the training nodes' scores move too far.

        before: [N] scores. labels: [N]. train: node ids. scores: gives the [N] scores of the parameters as they are.
        Returns: [N] scores after the update; if they are not finite, the update is left as it is.
        """
        self.rate = min(1.0, self.rate * _RISE)
        start = learner.values()
        learner.update(self.rate)
        allowed = self._limit * root_mean_square((before - labels)[train]).item()
        last = math.inf
        for _ in range(_MOST_TRIES):
            after = scores()
            moved = root_mean_square((after - before)[train]).item()
            # Without an error, there is nothing to measure a move by. A move that does not shrink with the update is
            # not the update's: running statistics of normalisation layers change too.
            if not math.isfinite(moved) or moved <= allowed or not allowed or moved > _SHRUNK * last:
                return after
            last = moved
            share = min(0.5, _AIM * allowed / moved)
            learner.pull_back(start, share)
            self.rate *= share
        return scores()
