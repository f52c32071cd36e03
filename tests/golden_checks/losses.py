"""Centroids, L1, L2 and their gradients with respect to the embeddings."""

from __future__ import annotations

import numpy as np
import torch
from golden_checks.case import Case

from licap.losses import bin_centroids, finer_bin_loss, top_bin_loss


def check(case: Case) -> None:
    """Both losses unweighted, in float64."""
    embeddings = torch.from_numpy(case["in.embeddings"])
    top, nontop = (torch.from_numpy(case[f"in.{name}"]) for name in ("top", "nontop"))
    nonempty, column = np.unique(case["in.bin_of_top"], return_inverse=True)
    column_of_top = torch.from_numpy(column)
    closeness = torch.from_numpy(case["in.closeness_of_top"])
    temperature = case.number("in.temperature")

    case.close(bin_centroids(embeddings, top, column_of_top, len(nonempty)), "out.centroids", 1e-8)
    for name in ("l1", "l2"):
        h = embeddings.clone().requires_grad_()
        if name == "l1":
            loss = top_bin_loss(h, top, nontop, temperature=temperature)
        else:
            loss = finer_bin_loss(h, top, column_of_top, closeness, temperature=temperature)
        (gradient,) = torch.autograd.grad(loss, h)
        case.close(loss, f"out.{name}", 1e-8)
        case.close(gradient, f"grad.{name}", 1e-6)
