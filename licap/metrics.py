"""How good predicted importance is: RMSE, MedianAE, Spearman, NDCG@k, Overlap@k, each with its direction and range.

All on log labels, in float64, finite whatever comes in. Where the published code is arbitrary or undefined:
- Equal labels are ranked by node position. Equal predictions are ranked with the lower label first, then by position: a
  model gains nothing from predictions that do not tell nodes apart, however the nodes happen to be ordered.
- Spearman of constant predictions or constant labels is its worst value, -1 (published: NaN).
- NDCG where the best k labels are all 0 is 0: there is nothing to gain.
- k above the number of nodes is capped. `notes` says where one of these happened.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from licap.errors import ConfigError
from licap.fields import nearest

Values = NDArray[np.float64]

CUTOFFS = (20, 50, 100, 200)
# How a note begins that says that ranks are undefined.
_UNDEFINED = "ranks undefined: "


@dataclass(frozen=True)
class Metric:
    """A measure of predictions.

    name: in configs and reports (`ndcg@20`). label: as papers write it (`NDCG@20`). direction: which values are better.
    low, high: the range. worst: the value where the measure is not defined. cutoff: k of NDCG and Overlap.
    compute: (true [n], predicted [n]) -> value, for checked arrays; callers use `evaluate`.
    """

    name: str
    label: str
    direction: Literal["max", "min"]
    low: float
    high: float
    worst: float
    compute: Callable[[Values, Values], float]
    cutoff: int | None = None

    def better(self, a: float, b: float) -> bool:
        """Whether a is strictly better than b. A value that is not finite is worse than any other."""
        return self.rank_key(a) < self.rank_key(b)

    def rank_key(self, value: float) -> tuple[bool, float]:
        """A key that sorts best values first, and what is not finite last."""
        if not math.isfinite(value):
            return True, 0.0
        return False, -value if self.direction == "max" else value


def _rmse(true: Values, predicted: Values) -> float:
    error = _absolute_error(true, predicted)
    largest = error.max()
    # Scaled, because the square of a huge but finite error is not finite.
    return float(largest * np.sqrt(np.mean((error / largest) ** 2))) if largest > 0 else 0.0


def _median_ae(true: Values, predicted: Values) -> float:
    # Halved around the median, which adds the two middle errors.
    return float(2 * np.median(_absolute_error(true, predicted) / 2))


def _absolute_error(true: Values, predicted: Values) -> Values:
    with np.errstate(over="ignore"):
        error: Values = np.minimum(np.abs(true - predicted), np.finfo(np.float64).max)
    return error


def _spearman(true: Values, predicted: Values) -> float:
    a, b = (ranks - ranks.mean() for ranks in (_average_ranks(true), _average_ranks(predicted)))
    spread = math.sqrt(float(a @ a) * float(b @ b))
    return min(1.0, max(-1.0, float(a @ b) / spread)) if spread > 0 else -1.0


def _average_ranks(values: Values) -> Values:
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Values = (np.cumsum(counts) - (counts - 1) / 2)[group]
    return ranks


def _ndcg(true: Values, predicted: Values, k: int) -> float:
    if true.min() < 0:
        raise ValueError(f"NDCG needs labels of at least 0 as gains (got {true.min():g})")
    k = min(k, true.size)
    discount = 1 / np.log2(np.arange(k) + 2)
    ideal = float(true[_by_label(true)[:k]] @ discount)
    gained = float(true[_by_prediction(true, predicted)[:k]] @ discount)
    return min(1.0, gained / ideal) if ideal > 0 else 0.0


def _overlap(true: Values, predicted: Values, k: int) -> float:
    k = min(k, true.size)
    return np.intersect1d(_by_label(true)[:k], _by_prediction(true, predicted)[:k]).size / k


def _by_label(true: Values) -> NDArray[np.intp]:
    return np.argsort(-true, kind="stable")


def _by_prediction(true: Values, predicted: Values) -> NDArray[np.intp]:
    return np.lexsort((true, -predicted))


def _registry() -> Mapping[str, Metric]:
    metrics = [
        Metric("rmse", "RMSE", "min", 0.0, math.inf, math.inf, _rmse),
        Metric("median_ae", "MedianAE", "min", 0.0, math.inf, math.inf, _median_ae),
        Metric("spearman", "Spearman", "max", -1.0, 1.0, -1.0, _spearman),
    ]
    for k in CUTOFFS:
        metrics.append(Metric(f"ndcg@{k}", f"NDCG@{k}", "max", 0.0, 1.0, 0.0, partial(_ndcg, k=k), k))
    for k in CUTOFFS:
        metrics.append(Metric(f"overlap@{k}", f"Overlap@{k}", "max", 0.0, 1.0, 0.0, partial(_overlap, k=k), k))
    return types.MappingProxyType({each.name: each for each in metrics})


METRICS: Mapping[str, Metric] = _registry()

_SPELLINGS = {spelling.lower(): each for each in METRICS.values() for spelling in (each.name, each.label)}


def metric(name: str) -> Metric:
    """The metric of a name in either spelling, whatever its case. Raises: ConfigError with the nearest valid name."""
    found = _SPELLINGS.get(name.strip().lower())
    if found is None:
        near = nearest(name.strip().lower(), _SPELLINGS)
        raise ConfigError(f"unknown metric {name!r}{near} (there are: {', '.join(METRICS)})")
    return found


def evaluate(true: ArrayLike, predicted: ArrayLike, names: Iterable[str] = tuple(METRICS)) -> dict[str, float]:
    """Metrics by name, in the order asked for; every value is finite.

    true, predicted: [n] log labels and predictions of the same nodes.
    Raises: ValueError where there are no nodes, lengths differ, a value is not finite, or NDCG meets a negative label.
    """
    a, b = _checked(true, predicted)
    return {name: METRICS[name].compute(a, b) for name in names}


def says_nothing(note: str) -> bool:
    """Whether a note of `notes` says that ranks were undefined: a trial with it is no candidate for the best."""
    return note.startswith(_UNDEFINED)


def notes(true: ArrayLike, predicted: ArrayLike, names: Iterable[str] = tuple(METRICS)) -> tuple[str, ...]:
    """What a reader must know about values of `evaluate` on the same arrays; mostly nothing. Raises: as `evaluate`."""
    a, b = _checked(true, predicted)
    asked = [METRICS[name] for name in names]
    found = []
    for what, values in (("all predictions", b), ("all labels", a)):
        if values.min() == values.max():
            found.append(
                f"{_UNDEFINED}{what} are equal. Spearman is set to its worst value, -1; NDCG and Overlap say nothing"
            )
    capped = [each.label for each in asked if each.cutoff is not None and each.cutoff > a.size]
    if capped:
        found.append(f"k is capped at the number of nodes, {a.size}: {', '.join(capped)}")
    trivial = [each.label for each in asked if each.name.startswith("overlap") and (each.cutoff or 0) >= a.size]
    if trivial:
        found.append(f"can only be 1 with {a.size} nodes: {', '.join(trivial)}")
    if a.max() == 0 and any(each.name.startswith("ndcg") for each in asked):
        found.append("all labels are 0: NDCG has nothing to gain and is set to 0")
    return tuple(found)


def _checked(true: ArrayLike, predicted: ArrayLike) -> tuple[Values, Values]:
    a, b = np.asarray(true, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"labels and predictions must be two lists of one length (got {a.shape} and {b.shape})")
    if not a.size:
        raise ValueError("there are no nodes to evaluate")
    for what, values in (("labels", a), ("predictions", b)):
        if not np.isfinite(values).all():
            raise ValueError(f"{what} must be finite (got {values[~np.isfinite(values)][0]})")
    return a, b
