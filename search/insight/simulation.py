"""A search over recorded learning curves: trials start in an order, a pruner stops some, and epochs are counted.

An event simulation without training or clock: a slot takes the next trial when its own has ended, every report costs
one epoch, and reports of several slots arrive in turn. Functions of numbers and a pruner; what a curve means is for
others.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.strategy import Decision, Pruner, TrialReport

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A recorded trial.

    budgets: of its reports, one for each epoch it trained. signals: what the pruner is told there; None as long as
    there is nothing to tell. loss: what a search has found when the trial has run to its end, smaller is better; None
    where that is nothing, as for a trial that failed.
    """

    budgets: tuple[int, ...]
    signals: tuple[float | None, ...]
    loss: float | None


@dataclass(frozen=True, kw_only=True)
class Search:
    """What a search came to. finished: trials that ran to their end. found: (epochs, loss) where it became better."""

    epochs: int
    finished: int
    found: tuple[tuple[int, float], ...]

    @property
    def loss(self) -> float:
        """The best that was found; infinity for nothing."""
        return self.found[-1][1] if self.found else math.inf

    def epochs_to(self, loss: float) -> float:
        """Epochs until something at least as good was found; infinity where it was not."""
        return next((float(epochs) for epochs, found in self.found if found <= loss), math.inf)

    def losses_at(self, epochs: Values) -> Values:
        """The best found with so many epochs, for each of them; infinity before there is anything."""
        steps = np.array([math.inf, *(loss for _, loss in self.found)])
        return steps[np.searchsorted([each for each, _ in self.found], epochs, side="right")]


def simulate(curves: Sequence[Curve], pruner: Pruner, *, slots: int) -> Search:
    """Runs all curves, in order, in so many slots. Trials get numbers in order, as in a new search."""
    waiting = iter(enumerate(curves))
    # (epochs that the slot has run, slot, trial, its next report)
    running: list[tuple[int, int, int, int]] = []

    def start(clock: int, slot: int) -> None:
        for number, curve in waiting:
            if curve.budgets:
                heapq.heappush(running, (clock + 1, slot, number, 0))
                return

    for slot in range(slots):
        start(0, slot)
    epochs = finished = 0
    best = math.inf
    found: list[tuple[int, float]] = []
    while running:
        clock, slot, number, place = heapq.heappop(running)
        curve = curves[number]
        epochs += 1
        stop = _stops(pruner, number, curve.budgets[place], curve.signals[place])
        if place + 1 == len(curve.budgets):
            # A trial that has come to its own end is no longer there to be stopped.
            finished += 1
            if curve.loss is not None and curve.loss < best:
                best = curve.loss
                found.append((epochs, best))
            start(clock, slot)
        elif stop:
            start(clock, slot)
        else:
            heapq.heappush(running, (clock + 1, slot, number, place + 1))
    return Search(epochs=epochs, finished=finished, found=tuple(found))


def _stops(pruner: Pruner, number: int, budget: int, signal: float | None) -> bool:
    if signal is None:
        return False
    return pruner.decide(TrialReport(trial=number, budget=budget, value=signal)) is Decision.STOP


def order_of(count: int, seed: int, index: int) -> list[int]:
    """The index-th shuffled order of a seed: a permutation of 0 … count - 1."""
    return [int(place) for place in np.random.default_rng([seed, index]).permutation(count)]


@dataclass(frozen=True)
class Spread:
    """Median, and the ends of the middle 90 %; infinity where so many searches never got there."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Quantiles that are values themselves: between a number and infinity there is nothing to interpolate."""
    low, median, high = np.quantile(np.asarray(values, np.float64), (0.05, 0.5, 0.95), method="inverted_cdf")
    return Spread(float(median), float(low), float(high))


def regret_bands(searches: Sequence[Search], best: float, epochs: Values) -> Values:
    """[3, E] 5 %, median and 95 % of the regret (loss found minus best) after so many epochs; infinity for nothing."""
    regrets = np.stack([search.losses_at(epochs) for search in searches]) - best
    return np.quantile(regrets, (0.05, 0.5, 0.95), axis=0, method="inverted_cdf")
