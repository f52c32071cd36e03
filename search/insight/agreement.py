"""How well two rankings of trials agree: Kendall's tau, with a bootstrap interval. Functions of numbers only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
# Counts are drawn in parts, so that memory stays bounded however many trials there are.
_PART = 128


def kendall_tau(a: Values, b: Values) -> float | None:
    """Tau-b of two rankings: 1 alike, -1 reversed, 0 unrelated; ties are allowed for. None where either has ties only.

    a, b: [n] finite. Source: Kendall (Biometrika, 1945).
    """
    tau = float(_taus(a, b, np.ones((1, a.size)))[0])
    return None if np.isnan(tau) else tau


def tau_interval(a: Values, b: Values, *, level: float, draws: int, seed: int) -> tuple[float, float] | None:
    """Both ends of the percentile bootstrap interval of `kendall_tau` over trials; None where there is no tau.

    a, b: [n]. The same seed draws the same trials for all signals of as many trials.
    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    rng = np.random.default_rng(seed)
    n = a.size
    parts = [min(_PART, draws - done) for done in range(0, draws, _PART)]
    taus = np.concatenate(
        [_taus(a, b, rng.multinomial(n, np.full(n, 1 / n), size=part).astype(np.float64)) for part in parts]
    )
    # A sample of one trial only, drawn again and again, has no order.
    taus = taus[~np.isnan(taus)]
    if not taus.size:
        return None
    low, high = np.quantile(taus, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def _taus(a: Values, b: Values, counts: Values) -> Values:
    """[D] tau-b of samples that hold each trial so many times. counts: [D, n]. NaN where a sample has no order."""
    order_a, order_b = (np.sign(each[:, None] - each[None, :]) for each in (a, b))

    def pairs(weights: Values) -> Values:
        total: Values = np.einsum("dn,dn->d", counts @ weights, counts)
        return total

    agreeing = pairs(order_a * order_b)
    untied = np.sqrt(pairs(np.abs(order_a)) * pairs(np.abs(order_b)))
    with np.errstate(invalid="ignore"):
        taus: Values = agreeing / untied
    return taus
