"""Statistics of a comparison: mean and spread, pairs, the signed-rank test and what it can show, an interval.

Functions of numbers only. What is compared are few pairs (folds, seeds), so everything is exact where that is possible.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

# Digits of the larger of two values that their difference keeps. Beyond is rounding, which would tell equal steps apart
# (0.35 - 0.3 and 0.4 - 0.35) and so decide ranks.
_DIGITS = 12


def mean_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean, and standard deviation with n - 1 in the denominator (ddof 1: folds are a sample); None for one value.

    Raises: ValueError where there is no value.
    """
    if not values:
        raise ValueError("there is no value to take the mean of")
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def improvement_percent(value: float, baseline: float, *, larger_is_better: bool) -> float | None:
    """By how many percent of |baseline| a value is better; negative where it is worse. None for a baseline of 0."""
    if baseline == 0:
        return None
    gain = value - baseline if larger_is_better else baseline - value
    return 100 * gain / abs(baseline)


def differences(first: Sequence[float], second: Sequence[float]) -> tuple[float, ...]:
    """first - second, pair by pair, without the digits that are rounding only."""
    return tuple(_difference(a, b) for a, b in zip(first, second, strict=True))


def _difference(a: float, b: float) -> float:
    largest = max(abs(a), abs(b))
    if a == b or not math.isfinite(a - b):
        return a - b
    return round(a - b, _DIGITS - 1 - math.floor(math.log10(largest)))


def wilcoxon_p(differences: Sequence[float]) -> float:
    """Two-sided p of the Wilcoxon signed-rank test that the differences of pairs lie around 0.

    Differences of 0 say nothing and are left out (Wilcoxon's own rule); 1.0 where none is left. Equally large ones
    share their ranks. Exact for any number of pairs, also with shared ranks: there scipy tries every choice of signs up
    to 13 pairs, which takes its time, and approximates beyond.
    Source: Wilcoxon (Biometrics Bulletin, 1945).
    """
    nonzero = np.asarray([each for each in differences if each != 0], dtype=np.float64)
    # Doubled, so that shared ranks are whole numbers.
    _, group, counts = np.unique(np.abs(nonzero), return_inverse=True, return_counts=True)
    ranks = (2 * np.cumsum(counts) - counts + 1)[group]
    smaller = min(int(ranks[nonzero > 0].sum()), int(ranks[nonzero < 0].sum()))
    # chance[s]: that the ranks of one sign add up to s, if every difference is as likely to have either sign.
    chance = np.zeros(int(ranks.sum()) + 1)
    chance[0] = 1.0
    for rank in ranks:
        halved = chance / 2
        chance = halved.copy()
        chance[rank:] += halved[:-rank]
    return min(1.0, 2 * float(chance[: smaller + 1].sum()))


def smallest_p(pairs: int) -> float:
    """The p of the two-sided test where all pairs point one way: no result of so many pairs has a smaller one."""
    return min(1.0, 2.0 ** (1 - pairs))


def least_pairs(alpha: float) -> int:
    """How many pairs the two-sided test needs so that p can be alpha or less: 6 for 0.05.

    Raises: ValueError where alpha is no level.
    """
    if not 0 < alpha <= 1:
        raise ValueError(f"a level lies above 0 and is at most 1 (got {alpha})")
    return next(pairs for pairs in range(1, 1100) if smallest_p(pairs) <= alpha)


def mean_interval(differences: Sequence[float], level: float) -> tuple[float, float] | None:
    """Both ends of Student's confidence interval of the mean difference; None for fewer than two.

    Holds where the differences are about normal. Source: Student (Biometrika, 1908).
    """
    if len(differences) < 2:
        return None
    # Takes its time to load, and a leaderboard does without.
    from scipy.special import stdtrit

    mean, std = mean_std(differences)
    half = float(stdtrit(len(differences) - 1, (1 + level) / 2)) * (std or 0.0) / math.sqrt(len(differences))
    return mean - half, mean + half
