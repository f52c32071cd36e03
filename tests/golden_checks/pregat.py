"""PreGAT: embeddings, weighted losses, all gradients."""

from __future__ import annotations

import numpy as np
import torch
from golden_checks.case import Case
from golden_checks.models import close_gradients, graph_with_loops, load_parameters

from licap.models.pregat import PreGAT
from licap.pretrain import Contrast

SLOPE = 0.01


def make_encoder(case: Case, prefix: str) -> PreGAT:
    """The encoder with the case's widths and parameters."""
    params = case.below(prefix)
    heads, hidden, in_dim = params["layer1.weight"].shape
    encoder = PreGAT(
        in_dim=in_dim,
        hidden=hidden,
        heads=heads,
        out_dim=params["layer2.weight"].shape[1],
        relation_dim=params["relation_embedding"].shape[1],
        slope=SLOPE,
        graph=graph_with_loops(case),
        backend="auto",
    )
    load_parameters(encoder, case, prefix)
    return encoder


def make_contrast(case: Case) -> Contrast:
    """The sets that the losses contrast."""
    _, column = np.unique(case["in.bin_of_top"], return_inverse=True)
    return Contrast(
        top=torch.from_numpy(case["in.top"]),
        nontop=torch.from_numpy(case["in.nontop"]),
        column_of_top=torch.from_numpy(column),
        closeness_of_top=torch.from_numpy(case["in.closeness_of_top"]),
        temperature=case.number("in.temperature"),
        eta1=case.number("in.eta1"),
        eta2=case.number("in.eta2"),
    )


def check(case: Case) -> None:
    """One forward and backward pass."""
    encoder, contrast = make_encoder(case, "param"), make_contrast(case)
    embeddings = encoder(torch.from_numpy(case["in.features"]))
    losses = contrast.losses(embeddings)
    losses.total.backward()
    case.close(embeddings, "out.embeddings", 1e-8)
    case.close(losses.total, "out.loss", 1e-8)
    case.close(contrast.eta1 * losses.l1, "out.l1_weighted", 1e-8)
    case.close(contrast.eta2 * losses.l2, "out.l2_weighted", 1e-8)
    close_gradients(encoder, case, 1e-6)
