"""GENI: scores, loss, all gradients."""

from __future__ import annotations

import torch
from golden_checks.case import Case
from golden_checks.models import close_gradients, graph_with_loops, load_parameters

from licap.models.geni import GENI


def make_model(case: Case, prefix: str, *, residual: bool) -> GENI:
    """The model with the case's options and parameters; dropout is off in the vectors."""
    graph = graph_with_loops(case)
    params = case.below(prefix)
    model = GENI(
        in_dim=params["scoring.weight1"].shape[2],
        heads=case.number("in.heads"),
        layers=case.number("in.layers"),
        relation_dim=params["relation_embedding"].shape[1],
        slope=case.number("in.negative_slope"),
        dropout=0.0,
        centrality_scaling=bool(case.number("in.centrality_scaling")),
        output_slope=0.01,
        residual=residual,
        graph=graph,
        backend="auto",
    )
    load_parameters(model, case, prefix)
    return model


def check(case: Case) -> None:
    """One forward and backward pass. Centrality is float32, hence the wider tolerance where it takes part."""
    model = make_model(case, "param", residual=bool(case.number("in.residual")))
    features = torch.from_numpy(case["in.features"])
    scores = model(features)
    loss = model.training_loss([features], torch.from_numpy(case["in.labels"]), torch.from_numpy(case["in.train"]))
    loss.backward()
    rtol = 1e-6 if case.number("in.centrality_scaling") else 1e-8
    case.close(scores, "out.scores", rtol)
    case.close(loss, "out.loss", rtol)
    close_gradients(model, case, 1e-6)
