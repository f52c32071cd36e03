"""How good predicted importance is: RMSE, MedianAE, Spearman, NDCG@k, Overlap@k, each with its direction and range.

All on log labels, in float64, finite whatever comes in, and the same bits in whatever order the nodes come. Where the
published code is arbitrary or undefined:
- Equal predictions are ranked with the lower label first, the least favourable order: a model gains nothing from
  predictions that do not tell nodes apart.
- Where several nodes share the k-th largest label, which of them are among the true top k is open: Overlap@k is its
  mean over all choices. A random order then has k/n, as without ties, and the highest value can be below 1. With
  `label_ties` "position", as the published preset has it, the first nodes are chosen; no other value depends on order.
- NDCG needs no rule for equal labels: they are equal gains.
- Spearman gives equal values their mean rank. For constant predictions or labels it is its worst value, -1
  (published: NaN).
- NDCG where the best k labels are all 0 is 0: there is nothing to gain.
- k above the number of nodes is capped. `notes` says where one of these decides about a value.
Source of the mean over ties: McSherry & Najork, ECIR 2008 (doi 10.1007/978-3-540-78646-7_38).
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from licap.errors import ConfigError
from licap.suggestions import nearest

Values = NDArray[np.float64]

CUTOFFS = (20, 50, 100, 200)
# How a note begins that says that ranks are undefined.
_UNDEFINED = "ranks undefined: "
# An Overlap whose highest value is below this gets a note.
_LOW_CEILING = 0.9


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
    return float(largest * math.sqrt(_sum((error / largest) ** 2) / error.size)) if largest > 0 else 0.0


def _median_ae(true: Values, predicted: Values) -> float:
    # Halved around the median, which adds the two middle errors.
    return float(2 * np.median(_absolute_error(true, predicted) / 2))


def _absolute_error(true: Values, predicted: Values) -> Values:
    with np.errstate(over="ignore"):
        error: Values = np.minimum(np.abs(true - predicted), np.finfo(np.float64).max)
    return error


def _spearman(true: Values, predicted: Values) -> float:
    a, b = _centred_ranks(true), _centred_ranks(predicted)
    spread = math.sqrt(_sum(a * a) * _sum(b * b))
    return min(1.0, max(-1.0, _sum(a * b) / spread)) if spread > 0 else -1.0


def _centred_ranks(values: Values) -> Values:
    """Twice the mean ranks of values, less twice their mean: whole numbers, so that products are exact."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Values = (2 * np.cumsum(counts) - counts - values.size).astype(np.float64)
    return ranks[group]


def _ndcg(true: Values, predicted: Values, k: int) -> float:
    if true.min() < 0:
        raise ValueError(f"NDCG needs labels of at least 0 as gains (got {true.min():g})")
    k = min(k, true.size)
    # In extended precision, whose logarithm does not depend on the vector instructions of the CPU.
    discount: Values = np.asarray(1 / np.log2(np.arange(2, k + 2, dtype=np.longdouble)), dtype=np.float64)
    ideal = _sum(_largest(true, k) * discount)
    gained = _sum(true[_top(true, predicted, k)] * discount)
    return min(1.0, gained / ideal) if ideal > 0 else 0.0


def _overlap(true: Values, predicted: Values, k: int) -> float:
    k = min(k, true.size)
    chosen = true[_top(true, predicted, k)]
    border, share = _border(true, k)
    hits = int(np.count_nonzero(chosen > border)) + share * int(np.count_nonzero(chosen == border))
    return float(hits / k)


def _overlap_by_position(true: Values, predicted: Values, k: int) -> float:
    """As published: of equal labels the first nodes are in the true top k."""
    k = min(k, true.size)
    return np.intersect1d(np.argsort(-true, kind="stable")[:k], _top(true, predicted, k)).size / k


def _border(true: Values, k: int) -> tuple[float, Fraction]:
    """The k-th largest label, and which share of the nodes that have it are among the top k."""
    border = float(_largest(true, k)[-1])
    return border, Fraction(k - int(np.count_nonzero(true > border)), int(np.count_nonzero(true == border)))


def _largest(true: Values, k: int) -> Values:
    return np.sort(true)[::-1][:k]


def _top(true: Values, predicted: Values, k: int) -> NDArray[np.intp]:
    """The k nodes with the largest predictions, best first; of equal predictions those with lower labels."""
    return np.lexsort((true, -predicted))[:k]


def _sum(terms: Values) -> float:
    """Correctly rounded, and so the same in every order and on every CPU."""
    return math.fsum(terms.tolist())


def _registry(overlap: Callable[..., float]) -> Mapping[str, Metric]:
    metrics = [
        Metric("rmse", "RMSE", "min", 0.0, math.inf, math.inf, _rmse),
        Metric("median_ae", "MedianAE", "min", 0.0, math.inf, math.inf, _median_ae),
        Metric("spearman", "Spearman", "max", -1.0, 1.0, -1.0, _spearman),
    ]
    for k in CUTOFFS:
        metrics.append(Metric(f"ndcg@{k}", f"NDCG@{k}", "max", 0.0, 1.0, 0.0, partial(_ndcg, k=k), k))
    for k in CUTOFFS:
        metrics.append(Metric(f"overlap@{k}", f"Overlap@{k}", "max", 0.0, 1.0, 0.0, partial(overlap, k=k), k))
    return types.MappingProxyType({each.name: each for each in metrics})


METRICS: Mapping[str, Metric] = _registry(_overlap)
# What `label_ties` can be in a config, and the metrics that it stands for.
BY_LABEL_TIES: Mapping[str, Mapping[str, Metric]] = types.MappingProxyType(
    {"mean": METRICS, "position": _registry(_overlap_by_position)}
)

_SPELLINGS = {spelling.lower(): each for each in METRICS.values() for spelling in (each.name, each.label)}


def metric(name: str) -> Metric:
    """The metric of a name in either spelling, whatever its case. Raises: ConfigError with the nearest valid name."""
    found = _SPELLINGS.get(name.strip().lower())
    if found is None:
        near = nearest(name.strip().lower(), _SPELLINGS)
        raise ConfigError(f"unknown metric {name!r}{near} (there are: {', '.join(METRICS)})")
    return found


def evaluate(
    true: ArrayLike, predicted: ArrayLike, names: Iterable[str] = tuple(METRICS), *, label_ties: str = "mean"
) -> dict[str, float]:
    """Metrics by name, in the order asked for; every value is finite.

    true, predicted: [n] log labels and predictions of the same nodes. label_ties: a key of BY_LABEL_TIES.
    Raises: ValueError where there are no nodes, lengths differ, a value is not finite, or NDCG meets a negative label.
    """
    a, b = _checked(true, predicted)
    return {name: BY_LABEL_TIES[label_ties][name].compute(a, b) for name in names}


def says_nothing(note: str) -> bool:
    """Whether a note of `notes` says that ranks were undefined: a trial with it is no candidate for the best."""
    return note.startswith(_UNDEFINED)


def notes(
    true: ArrayLike, predicted: ArrayLike, names: Iterable[str] = tuple(METRICS), *, label_ties: str = "mean"
) -> tuple[str, ...]:
    """What a reader must know about values of `evaluate` on the same arguments; mostly nothing. Raises: as it does."""
    a, b = _checked(true, predicted)
    asked = [BY_LABEL_TIES[label_ties][name] for name in names]
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
    if label_ties == "mean" and a.min() < a.max():
        found += (note for each in asked if each.name.startswith("overlap") for note in _on_ties(a, each))
    if a.max() == 0 and any(each.name.startswith("ndcg") for each in asked):
        found.append("all labels are 0: NDCG has nothing to gain and is set to 0")
    return tuple(found)


def _on_ties(true: Values, overlap: Metric) -> Iterator[str]:
    highest = overlap.compute(true, true)
    if highest < _LOW_CEILING:
        border, _ = _border(true, cast(int, overlap.cutoff))
        tied = np.count_nonzero(true == border)
        yield f"{overlap.label} can be at most {highest:.2f}: {tied} nodes share the label at its border"


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
