"""Top-nodes-preferred hierarchical sampling: which nodes the losses contrast, in which bins, how close bins are.

Notation: n training nodes, s their labels, γ imp_ratio, ρ nontop_ratio; T top nodes, B finer bins, B' of them with
nodes; t = s - border of the top nodes; β [B, B] closeness. Arrays only: no graph, no torch.
Source: LICAP (arXiv 2402.17791), and the details of zhangtia16/LICAP, commit ad3ef2a.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from licap.config import BetaConfig, BinsConfig, PretrainConfig
from licap.errors import DataError

Ids = NDArray[np.int64]

# More bins than this come from a bins.length that is a slip of the pen.
_MOST_BINS = 1_000_000


@dataclass(frozen=True, eq=False)
class HierarchicalSample:
    """What the pretraining losses of one fold contrast.

    border, border2: labels at which the top bin and the non-top pool end. top, pool, drawn: node ids; top and pool
    ascend, drawn keeps the order of the draw. bin_of_top: [T] finer bin of each top node. bins: [B] 0 to B - 1.
    nonempty_bins: [B'] those that hold a top node. closeness_of_top: [T, B'] β of each top node's bin to those.
    """

    border: np.float32
    border2: np.float32
    top: Ids
    pool: Ids
    drawn: Ids
    bin_of_top: Ids
    bins: Ids
    nonempty_bins: Ids
    closeness_of_top: NDArray[np.float64]

    @property
    def column_of_top(self) -> Ids:
        """[T] where each top node's bin stands in `nonempty_bins`: its column in `closeness_of_top`."""
        return np.searchsorted(self.nonempty_bins, self.bin_of_top).astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Tiers:
    """Labels at which the top bin and the pool end, and the node ids of both, ascending."""

    border: np.float32
    border2: np.float32
    top: Ids
    pool: Ids


def sample_fold(labels: NDArray[np.float32], trains: Sequence[Ids], config: PretrainConfig) -> HierarchicalSample:
    """The sample of the last of the given folds.

    labels: [N] transformed. trains: training nodes of folds 0 to k; fold k's draw is the k-th of one stream that starts
    at `config.sampling_seed`, so the folds before it are drawn too.
    Raises: DataError where the fold's labels do not allow what the config asks for, naming the key to change.
    """
    stream = np.random.RandomState(config.sampling_seed)
    for train in trains[:-1]:
        earlier = _tiers(labels, train, imp_ratio=config.imp_ratio, nontop_ratio=config.nontop_ratio)
        _draw(earlier.pool, stream)
    return hierarchical_sample(labels, trains[-1], config, stream)


def hierarchical_sample(
    labels: NDArray[np.float32], train: Ids, config: PretrainConfig, stream: np.random.RandomState
) -> HierarchicalSample:
    """Top bin, half of the non-top pool drawn from `stream`, finer bins and their closeness.

    labels: [N] transformed. train: node ids, ascending. Raises: DataError as `sample_fold`.
    """
    tiers = _tiers(labels, train, imp_ratio=config.imp_ratio, nontop_ratio=config.nontop_ratio)
    _check_tiers(tiers, labels[train], config)
    drawn = _draw(tiers.pool, stream)
    bin_of_top, num_bins = finer_bins(labels[tiers.top] - tiers.border, config.bins)
    nonempty, column = np.unique(bin_of_top, return_inverse=True)
    beta = _weights(nonempty, num_bins, config.beta)
    return HierarchicalSample(
        border=tiers.border,
        border2=tiers.border2,
        top=tiers.top,
        pool=tiers.pool,
        drawn=drawn,
        bin_of_top=bin_of_top,
        bins=np.arange(num_bins),
        nonempty_bins=nonempty,
        closeness_of_top=beta[column],
    )


def _tiers(labels: NDArray[np.float32], train: Ids, *, imp_ratio: float, nontop_ratio: float) -> _Tiers:
    s = labels[train]
    if not train.size:
        empty = np.empty(0, dtype=np.int64)
        return _Tiers(np.float32(np.nan), np.float32(np.nan), empty, empty)
    descending = np.sort(s)[::-1]
    border, border2 = _element(descending, imp_ratio), _element(descending, imp_ratio * nontop_ratio)
    return _Tiers(border, border2, train[s >= border], train[(border2 <= s) & (s < border)])


def top_bin(labels: NDArray[np.float32], imp_ratio: float) -> tuple[np.float32, NDArray[np.float32]]:
    """Border and labels of the top bin, where all of the labels are those of training nodes."""
    tiers = _tiers(labels, np.arange(labels.size), imp_ratio=imp_ratio, nontop_ratio=1.0)
    return tiers.border, labels[tiers.top]


def _element(descending: NDArray[np.float32], share: Any) -> Any:
    """The label at a share (or an array of shares) of the nodes, with halves rounded to even, as published."""
    return descending[np.minimum(np.rint(share * descending.size).astype(np.int64), descending.size - 1)]


def fitting_imp_ratio(
    labels: NDArray[np.float32], trains: Sequence[Ids], *, imp_ratio: float, nontop_ratio: float
) -> float | None:
    """The `imp_ratio` itself, or else the nearest below it, or else above, that gives every fold its sets.

    These are a top bin of two nodes or more, and nodes below it to draw from. Ties at the border can forbid a ratio,
    and few distinct labels all of them: then it is None.

    labels: [N] transformed. trains: training nodes of the folds.
    """
    for digits in (2, 3):
        ratios = np.append(_rounded_numbers(digits), imp_ratio)
        fits = np.ones(ratios.size, dtype=np.bool_)
        for train in trains:
            fits &= _fits(labels[train], ratios, nontop_ratio)
        fitting, below = ratios[fits], ratios[fits & (ratios <= imp_ratio)]
        if fitting.size:
            return float(below.max() if below.size else fitting.min())
    return None


def _fitting_nontop_ratio(s: NDArray[np.float32], config: PretrainConfig) -> float | None:
    """The smallest nontop_ratio of two digits above the config's that leaves a node to draw; s: training labels."""
    ratios = 10 * _rounded_numbers(2) / config.imp_ratio
    ratios = np.array([float(f"{ratio:.2g}") for ratio in ratios[ratios > config.nontop_ratio]])
    fitting = ratios[_fits(s, config.imp_ratio, ratios)] if ratios.size else ratios
    return float(fitting.min()) if fitting.size else None


def _rounded_numbers(digits: int) -> NDArray[np.float64]:
    """All numbers of so many significant digits from 1e-7 to below 1."""
    first = 10 ** (digits - 1)
    mantissas = range(first, 10 * first)
    return np.array([float(f"{each}e-{power}") for power in range(digits, digits + 7) for each in mantissas])


def _fits(s: NDArray[np.float32], imp_ratio: Any, nontop_ratio: Any) -> Any:
    """Whether ratios (one of the two may be an array) give labels s a top bin and a pool of which some are drawn."""
    if not s.size:
        return np.zeros(np.broadcast(imp_ratio, nontop_ratio).shape, dtype=np.bool_)
    ascending = np.sort(s)
    border, border2 = (_element(ascending[::-1], share) for share in (imp_ratio, np.multiply(imp_ratio, nontop_ratio)))
    top, both = (s.size - np.searchsorted(ascending, each) for each in (border, border2))
    # Of one node in the pool, half is none.
    return (top >= 2) & (top < s.size) & (both - top >= 2)


def _check_tiers(tiers: _Tiers, s: NDArray[np.float32], config: PretrainConfig) -> None:
    """s: training labels. Raises: DataError where a set is too small, with its cause and the values that fit."""
    given = f"pretrain.imp_ratio {config.imp_ratio:g}"
    if tiers.top.size < 2:
        problem = f"the top bin holds {tiers.top.size} of {s.size} training nodes, at least 2 are needed ({given})"
    elif tiers.top.size == s.size:
        problem = f"the top bin holds all {s.size} training nodes, so nothing is left to contrast it with ({given})"
    elif round(tiers.pool.size / 2) == 0:
        problem = (
            f"no non-top node to contrast with: the pool below the top bin holds {tiers.pool.size} of {s.size} "
            f"training nodes, and half of it is drawn ({given}, pretrain.nontop_ratio {config.nontop_ratio:g})"
        )
    else:
        return
    raise DataError(f"{problem}{_ties(tiers, s)}. {_remedy(tiers, s, config)}")


def _ties(tiers: _Tiers, s: NDArray[np.float32]) -> str:
    equal = int(np.count_nonzero(s == tiers.border))
    return f"; {equal} of them have the label at its border, {float(tiers.border):g}" if equal > 1 else ""


def _remedy(tiers: _Tiers, s: NDArray[np.float32], config: PretrainConfig) -> str:
    imp_ratio = fitting_imp_ratio(s, [np.arange(s.size)], imp_ratio=config.imp_ratio, nontop_ratio=config.nontop_ratio)
    nontop_ratio = _fitting_nontop_ratio(s, config) if 2 <= tiers.top.size < s.size else None
    ways = [
        f"{'Lower' if value < own else 'Raise'} {key} to {value:g}"
        for key, own, value in (
            ("pretrain.nontop_ratio", config.nontop_ratio, nontop_ratio),
            ("pretrain.imp_ratio", config.imp_ratio, imp_ratio),
        )
        if value is not None
    ]
    if ways:
        return f"{', or '.join([ways[0], *(way[0].lower() + way[1:] for way in ways[1:])])}."
    distinct = np.unique(s).size
    return (
        f"No ratio fits, for there are {distinct} distinct labels among {s.size} nodes. Give scores that differ, or to "
        "more nodes; or set downstream.input to features, which needs no pretraining."
    )


def _draw(pool: Ids, stream: np.random.RandomState) -> Ids:
    return stream.choice(pool, round(pool.size / 2), replace=False)


def finer_bins(t: NDArray[np.float32], bins: BinsConfig) -> tuple[Ids, int]:
    """Finer bins of the top nodes; a value on a bound belongs to the bin below it, and bin 0 holds t = 0 too.

    length: bin i holds (i · length, (i + 1) · length], as many as reach the largest t.
    equal-width: `bins.count` bins of one width from 0 to the largest t.
    quantile: `bins.count` bins of as equal numbers of nodes as ties allow. Equal labels share a bin; some can be empty.
    Where all t are 0 there is one bin.

    t: [T] label minus border, 0 or more. Returns: bin of each node, and B.
    Raises: DataError for more bins than top nodes, or a length that asks for more than a million bins.
    """
    if bins.kind != "length" and bins.count > t.size:
        raise DataError(
            f"pretrain.bins.count is {bins.count}, but the top bin holds only {t.size} nodes. "
            "Lower pretrain.bins.count, or raise pretrain.imp_ratio."
        )
    if t.max() == 0:
        return np.zeros(t.size, dtype=np.int64), 1
    upper: NDArray[Any] = _UPPER_BOUNDS[bins.kind](t, bins)
    return np.searchsorted(upper, t, side="left").astype(np.int64), upper.size


def _length_bounds(t: NDArray[np.float32], bins: BinsConfig) -> NDArray[np.float32]:
    largest = float(t.max())
    if largest / bins.length > _MOST_BINS:
        raise DataError(
            f"pretrain.bins.length {bins.length:g} cuts the top bin's range of {largest:g} into more than "
            f"{_MOST_BINS} bins. Raise pretrain.bins.length."
        )
    # In float32 like the labels: a label that sits on a bound must compare equal to it.
    with np.errstate(over="ignore"):
        bounds = (np.arange(int(largest / bins.length) + 3) * bins.length).astype(np.float32)
    return bounds[1 : 1 + int(np.count_nonzero(bounds < t.max()))]


def _equal_width_bounds(t: NDArray[np.float32], bins: BinsConfig) -> NDArray[np.float64]:
    return np.linspace(0.0, float(t.max()), bins.count + 1)[1:]


def _quantile_bounds(t: NDArray[np.float32], bins: BinsConfig) -> NDArray[np.float32]:
    # Bounds are labels that occur, at rank ceil(i T / B), in whole numbers: no rounding moves a node.
    ranks = -(-np.arange(1, bins.count + 1) * t.size // bins.count)
    return np.sort(t)[ranks - 1]


_UPPER_BOUNDS: Mapping[str, Callable[[NDArray[np.float32], BinsConfig], NDArray[Any]]] = {
    "length": _length_bounds,
    "equal-width": _equal_width_bounds,
    "quantile": _quantile_bounds,
}


def closeness(num_bins: int, *, p: float, scale: float) -> NDArray[np.float64]:
    """Binomial closeness β between finer bins: pmf(N/2 + |b - b'|; N, p), N = 2 round(scale · max(b, B - 1 - b)).

    p: probability; up to 0.5 β falls with distance. scale: 1 as published, larger is flatter.
    Returns: [B, B]; row b is β(b, ·), divided by its largest value. float64.
    Raises: ValueError if there is no bin, p is outside (0, 1) or scale below 1.
    Source: LICAP (arXiv 2402.17791), the weights in the denominator of L2.
    """
    if num_bins < 1 or not 0 < p < 1 or not scale >= 1:
        raise ValueError(f"needs num_bins >= 1, 0 < p < 1, scale >= 1 (got {num_bins}, {p}, {scale})")
    return _closeness_between(np.arange(num_bins), num_bins, p=p, scale=scale)


def _weights(some: Ids, num_bins: int, config: BetaConfig) -> NDArray[np.float64]:
    if config.kind == "none":
        return np.ones((some.size, some.size))
    return _closeness_between(some, num_bins, p=config.p, scale=config.scale)


def _closeness_between(some: Ids, num_bins: int, *, p: float, scale: float) -> NDArray[np.float64]:
    """β among some of the bins, [B', B']: rows are scaled over the bins that are there, as published."""
    b = some[:, None]
    half = np.rint(scale * np.maximum(b, num_bins - 1 - b))
    distance = np.abs(b - some[None, :])
    # Logarithms, and what all of a row share left out: the pmf itself underflows for some hundred bins.
    log_beta = distance * (np.log(p) - np.log1p(-p)) - gammaln(half + distance + 1) - gammaln(half - distance + 1)
    beta: NDArray[np.float64] = np.exp(log_beta - log_beta.max(axis=1, keepdims=True))
    return beta
