"""Contrastive losses of the pretraining stage: L1 (top against non-top) and L2 (finer bins).

Notation: N nodes, D width, T top nodes, J drawn non-top nodes, B' non-empty finer bins; h [N, D] embeddings, c
centroids (means of raw embeddings, normalised afterwards), β closeness, τ temperature.
Both are means of -log(e^a / Σ e^b), computed as logsumexp(b) - a: equal to the plain form to rounding, finite where the
exponentials overflow. A vector of norm up to 1e-8 has cosine 0 with everything, and a finite gradient.
Functions of tensors only: no epochs, optimisers or graphs. Source: LICAP (arXiv 2402.17791).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Numbers in a block of logits: few enough for a cache, many enough for fast products.
_BLOCK = 2**18
# The norm up to which torch.nn.functional.cosine_similarity, too, does not divide by it.
_SMALLEST_NORM = 1e-8


def bin_centroids(h: Tensor, top: Tensor, column_of_top: Tensor, num_columns: int) -> Tensor:
    """Mean raw embedding of each non-empty bin.

    h: [N, D]. top: [T] node ids. column_of_top: [T] bin of each top node, counted over the non-empty bins only.
    num_columns: B'. Returns: [B', D].
    """
    sums = h.new_zeros(num_columns, h.shape[1]).index_add(0, column_of_top, h[top])
    # Not counted by bincount, for which a GPU stops to see how many bins there are.
    counts = h.new_zeros(num_columns).index_add(0, column_of_top, h.new_ones(top.shape[0]))
    return sums / counts[:, None]


def top_bin_loss(h: Tensor, top: Tensor, nontop: Tensor, *, temperature: float) -> Tensor:
    """L1: pulls top nodes to their common centroid, away from the drawn non-top nodes.

    Mean over top nodes i of -log(e^{cos(h_i, c)/τ} / (e^{cos(h_i, c)/τ} + Σ_j e^{cos(h_i, h_j)/τ})).

    Computed in blocks of rows, so that memory grows with T + J and not with T · J; gradients come with it.

    h: [N, D]. top: [T], nontop: [J] node ids. Returns: scalar, differentiable once.
    """
    of_top = h[top]
    centre = _unit(of_top.mean(dim=0, keepdim=True))
    loss: Tensor = _TopBinLoss.apply(_unit(of_top), centre, _unit(h[nontop]), temperature)  # type: ignore[no-untyped-call]
    return loss


class _TopBinLoss(torch.autograd.Function):
    """L1 of unit vectors a_i [T, D] to their centre [1, D] and the others [J, D].

    With l_ij = a_i·o_j / τ, the logarithm z_i of the whole sum, and p_ij = e^{l_ij - z_i}, whose row sums are w_i:
    τT · ∂/∂a_i = Σ_j p_ij o_j - w_i c, τT · ∂/∂o_j = Σ_i p_ij a_i, τT · ∂/∂c = -Σ_i w_i a_i.
    """

    @staticmethod
    def forward(ctx: Any, anchors: Tensor, centre: Tensor, others: Tensor, temperature: float) -> Tensor:
        differentiable = any(ctx.needs_input_grad)
        near = (anchors @ centre.T) / temperature
        loss, d_anchors, d_others = near.new_zeros(()), torch.empty_like(anchors), torch.zeros_like(others)
        far = near.new_empty(near.shape)
        step = max(1, _BLOCK // max(1, len(others)))
        for first in range(0, len(anchors), step):
            block = slice(first, first + step)
            logits = (anchors[block] / temperature) @ others.T
            highest = torch.maximum(logits.amax(1, keepdim=True), near[block]) if len(others) else near[block]
            powers = logits.sub_(highest).exp_()
            sums = powers.sum(1, keepdim=True)
            whole = sums + (near[block] - highest).exp_()
            loss += (whole.log() + highest - near[block]).sum()
            if differentiable:
                far[block] = sums / whole
                d_anchors[block] = (powers @ others) / whole
                d_others.addmm_(powers.T, anchors[block] / whole)
        if differentiable:
            d_centre = -(far.T @ anchors)
            d_anchors -= far * centre
            ctx.scale = 1 / (temperature * len(anchors))
            ctx.save_for_backward(d_anchors, d_centre, d_others)
        return loss / len(anchors)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return (*(each * (grad * ctx.scale) for each in ctx.saved_tensors), None)


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
