"""A look at frozen embeddings: ridge regressions to the training labels in closed form, float64.

Notation: n training nodes, F features, D width of embeddings, x̄ the mean of x over a node's neighbours. Inputs are
standardised with the training nodes' mean and standard deviation; the intercept is not penalised. Tensors only: no
epochs, and a graph only as the function that takes means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# Added to the penalty, in units of n: keeps the factorisation possible where columns repeat each other.
_SMALLEST_PENALTY = 1e-10


@dataclass(frozen=True, eq=False, kw_only=True)
class Predictions:
    """What the probes predict of the asked nodes, [asked] each; NaN where a probe's equations have no solution.

    embeddings: log labels, from embeddings. features_embeddings: log labels, from features and embeddings side by side.
    ranks: normal scores of the labels, from the same. propagated: log labels, from the same and their means over
    neighbours.
    """

    embeddings: Tensor
    features_embeddings: Tensor
    ranks: Tensor
    propagated: Tensor


@dataclass(frozen=True, eq=False)
class _Columns:
    """Centred columns, not yet scaled.

    train: [n, C]. asked: [asked, C]. gram: [C, C] their products over training nodes. deviation: [C] to divide by.
    """

    train: Tensor
    asked: Tensor
    gram: Tensor
    deviation: Tensor


class RidgeProbe:
    """Fits on training labels, predicts other nodes, from several sets of columns that share one matrix of products.

    The propagated probe sees what one layer of a graph model does, untrained (as SGC: Wu et al., ICML 2019).

    features: [N, F]. labels: [n] of the nodes `train`. mean_of_neighbours: [N, width] to the same. asked: ids of the
    nodes to predict. penalty: on squared weights. The features' part of the normal equations is computed once.
    """

    def __init__(
        self,
        features: Tensor,
        labels: Tensor,
        mean_of_neighbours: Callable[[Tensor], Tensor],
        *,
        train: Tensor,
        asked: Tensor,
        penalty: float,
    ) -> None:
        self._train, self._asked, self._mean_of_neighbours = train, asked, mean_of_neighbours
        targets = torch.stack([labels.double(), normal_scores(labels)], 1)
        self._means = targets.mean(0)
        self._targets = targets - self._means
        self._penalty = penalty + _SMALLEST_PENALTY * train.numel()
        self._features = self._with_neighbours(features)
        self._features_moment = self._features.train.T @ self._targets

    def predict(self, embeddings: Tensor) -> Predictions:
        """What each probe predicts from embeddings [N, D]."""
        # Columns: features x, x̄, then embeddings h, h̄. Scaled after the products: it is the same, and cheaper.
        known, own = self._features, self._with_neighbours(embeddings)
        deviation = torch.cat([known.deviation, own.deviation])
        cross = known.train.T @ own.train
        gram = torch.cat([torch.cat([known.gram, cross], 1), torch.cat([cross.T, own.gram], 1)])
        gram = gram / deviation[:, None] / deviation
        moment = torch.cat([self._features_moment, own.train.T @ self._targets]) / deviation[:, None]
        asked = torch.cat([known.asked, own.asked], 1) / deviation

        def fitted(columns: Tensor) -> Tensor:
            weights = self._solve(gram[columns][:, columns], moment[columns])
            return self._means + asked[:, columns] @ weights

        columns = torch.arange(gram.shape[0], device=gram.device)
        x, _, h, _ = columns.tensor_split([cross.shape[0] // 2, cross.shape[0], cross.shape[0] + embeddings.shape[1]])
        side_by_side = fitted(torch.cat([x, h]))
        return Predictions(
            embeddings=fitted(h)[:, 0],
            features_embeddings=side_by_side[:, 0],
            ranks=side_by_side[:, 1],
            propagated=fitted(columns)[:, 0],
        )

    def _with_neighbours(self, values: Tensor) -> _Columns:
        whole = torch.cat([values, self._mean_of_neighbours(values)], 1)
        train, asked = whole[self._train].double(), whole[self._asked].double()
        mean = train.mean(0)
        train -= mean
        asked -= mean
        gram = train.T @ train
        deviation = (gram.diagonal() / train.shape[0]).sqrt()
        # A constant column has a deviation of rounding errors: left unscaled, it weighs nothing.
        deviation = torch.where(deviation > 1e-12 * mean.abs(), deviation, torch.ones_like(deviation))
        return _Columns(train, asked, gram, deviation)

    def _solve(self, gram: Tensor, moment: Tensor) -> Tensor:
        penalised = gram + self._penalty * torch.eye(gram.shape[0], dtype=gram.dtype, device=gram.device)
        factor, failed = torch.linalg.cholesky_ex(penalised)
        return torch.where(failed == 0, torch.cholesky_solve(moment, factor), torch.nan)


def normal_scores(labels: Tensor) -> Tensor:
    """Φ⁻¹(rank / (n + 1)) of labels [n], with the mean rank for ties: van der Waerden's scores, float64."""
    _, group, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum(0) - (counts - 1) / 2)[group]
    scores: Tensor = torch.special.ndtri(ranks.double() / (labels.numel() + 1))
    return scores
