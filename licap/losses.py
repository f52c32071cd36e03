"""Contrastive losses of the pretraining stage: L1 (top against non-top) and L2 (finer bins).

Notation: N nodes, D width, T top nodes, J drawn non-top nodes, B' non-empty finer bins; h [N, D] embeddings, c
centroids (means of raw embeddings, normalised afterwards), β closeness, τ temperature.
Both are means of -log(e^a / Σ e^b), computed as logsumexp(b) - a: equal to the plain form to rounding, finite where the
exponentials overflow. A vector of norm up to 1e-8 has cosine 0 with everything, and a finite gradient.
Functions of tensors only: no epochs, optimisers or graphs. Source: LICAP (arXiv 2402.17791).
"""

from __future__ import annotations

import torch
from torch import Tensor

# The norm up to which torch.nn.functional.cosine_similarity, too, does not divide by it.
_SMALLEST_NORM = 1e-8


def bin_centroids(h: Tensor, top: Tensor, column_of_top: Tensor, num_columns: int) -> Tensor:
    """Mean raw embedding of each non-empty bin.

    h: [N, D]. top: [T] node ids. column_of_top: [T] bin of each top node, counted over the non-empty bins only.
    num_columns: B'. Returns: [B', D].
    """
    sums = h.new_zeros(num_columns, h.shape[1]).index_add(0, column_of_top, h[top])
    return sums / torch.bincount(column_of_top, minlength=num_columns).to(h)[:, None]


def top_bin_loss(h: Tensor, top: Tensor, nontop: Tensor, *, temperature: float) -> Tensor:
    """L1: pulls top nodes to their common centroid, away from the drawn non-top nodes.

    Mean over top nodes i of -log(e^{cos(h_i, c)/τ} / (e^{cos(h_i, c)/τ} + Σ_j e^{cos(h_i, h_j)/τ})).

    h: [N, D]. top: [T], nontop: [J] node ids. Returns: scalar.
    """
    anchors = _unit(h[top])
    positive = anchors @ _unit(h[top].mean(dim=0, keepdim=True)).T
    negative = anchors @ _unit(h[nontop]).T
    logits = torch.cat([positive, negative], dim=1) / temperature
    return (torch.logsumexp(logits, dim=1) - logits[:, 0]).mean()


def finer_bin_loss(
    h: Tensor, top: Tensor, column_of_top: Tensor, closeness_of_top: Tensor, *, temperature: float
) -> Tensor:
    """L2: pulls top nodes to their own bin's centroid; nearer bins weigh more in the denominator.

    Mean over top nodes i of -log(e^{cos(h_i, c_b(i))/τ} / Σ_b' e^{β(b(i), b') cos(h_i, c_b')/τ}). The weight stands
    inside the exponent, and the node's own bin is in the sum with weight 1.

    h: [N, D]. top: [T] node ids. column_of_top: [T] column of each node's own bin. closeness_of_top: [T, B'] β.
    Returns: scalar.
    """
    centroids = bin_centroids(h, top, column_of_top, closeness_of_top.shape[1])
    cosine = _unit(h[top]) @ _unit(centroids).T
    own = cosine.gather(1, column_of_top[:, None])[:, 0] / temperature
    weighted = closeness_of_top.to(h) * cosine / temperature
    return (torch.logsumexp(weighted, dim=1) - own).mean()


def _unit(x: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / torch.where(norm > _SMALLEST_NORM, norm, torch.ones_like(norm))
