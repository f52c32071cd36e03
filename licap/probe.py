"""A look at frozen embeddings: ridge regression to the training labels in closed form, float64.

Notation: n training nodes, F features, D width of embeddings. Inputs are standardised with the training nodes' mean and
standard deviation; the intercept is not penalised. Tensors only: no epochs, no graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Added to the penalty, in units of n: keeps the factorisation possible where columns repeat each other.
_SMALLEST_PENALTY = 1e-10


@dataclass(frozen=True, eq=False)
class _Standardised:
    train: Tensor
    asked: Tensor


class RidgeProbe:
    """Fits on training labels, predicts other nodes: from embeddings, and from features and embeddings side by side.

    features: [N, F]. labels: [n] of the nodes `train`. asked: ids of the nodes to predict. penalty: on squared weights.
    The features' part of the normal equations is computed once.
    """

    def __init__(self, features: Tensor, labels: Tensor, *, train: Tensor, asked: Tensor, penalty: float) -> None:
        self._train, self._asked = train, asked
        self._mean = labels.double().mean()
        self._target = labels.double() - self._mean
        self._penalty = penalty + _SMALLEST_PENALTY * train.numel()
        self._features = self._standardise(features)
        self._features_gram = self._features.train.T @ self._features.train
        self._features_moment = self._features.train.T @ self._target

    def predict(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """embeddings: [N, D]. Returns: predictions [asked] from embeddings, and from features and embeddings."""
        own = self._standardise(embeddings)
        gram, moment = own.train.T @ own.train, own.train.T @ self._target
        cross = self._features.train.T @ own.train
        whole = torch.cat([torch.cat([self._features_gram, cross], 1), torch.cat([cross.T, gram], 1)])
        whole_moment = torch.cat([self._features_moment, moment])
        inputs = torch.cat([self._features.asked, own.asked], 1)
        return (
            self._mean + own.asked @ self._solve(gram, moment),
            self._mean + inputs @ self._solve(whole, whole_moment),
        )

    def _standardise(self, values: Tensor) -> _Standardised:
        train, asked = values[self._train].double(), values[self._asked].double()
        mean, deviation = train.mean(0), train.std(0, correction=0)
        # A constant column has a deviation of rounding errors: left unscaled, it weighs nothing.
        deviation = torch.where(deviation > 1e-12 * mean.abs(), deviation, torch.ones_like(deviation))
        return _Standardised((train - mean) / deviation, (asked - mean) / deviation)

    def _solve(self, gram: Tensor, moment: Tensor) -> Tensor:
        penalised = gram + self._penalty * torch.eye(gram.shape[0], dtype=gram.dtype, device=gram.device)
        return torch.cholesky_solve(moment[:, None], torch.linalg.cholesky(penalised))[:, 0]
