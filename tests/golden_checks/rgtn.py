"""RGTN in all of its edge modes: scores, loss, all gradients, scores after one update of the running statistics."""

from __future__ import annotations

import torch
from golden_checks.case import Case
from golden_checks.models import close_gradients, graph_with_loops, load_parameters

from licap.model_configs import RGTNConfig
from licap.models.rgtn import RGTN


def make_model(case: Case, prefix: str) -> RGTN:
    """The model with the case's options and parameters; dropout is off in the vectors."""
    own = RGTNConfig(
        layers=case.number("in.layers"),
        heads=case.number("in.heads"),
        hidden=case.number("in.hidden"),
        edge_mode=case.number("in.edge_mode").lower(),
        list_num=case.number("in.list_num"),
        loss_lambda=case.number("in.loss_lambda"),
        loss_alpha=case.number("in.loss_alpha"),
        centrality_scaling=bool(case.number("in.centrality_scaling")),
        input_dropout=0.0,
        ffn_dropout=0.0,
        coattention_dropout=0.0,
    )
    widths = case["in.features"].shape[1], case["in.features2"].shape[1]
    model = RGTN(own, widths=widths, graph=graph_with_loops(case), backend="auto")
    load_parameters(model, case, prefix)
    return model


def check(case: Case) -> None:
    """One forward and backward pass. Centrality is float32, hence the wider tolerance where it takes part."""
    model = make_model(case, "param")
    draws = torch.from_numpy(case["in.list_draws"]).long()
    model.draw_lists = lambda count: draws.view(count, -1)
    channels = [torch.from_numpy(case[f"in.{name}"]) for name in ("features", "features2")]
    labels, train = (torch.from_numpy(case[f"in.{name}"]) for name in ("labels", "train"))
    rtol = 1e-6 if case.number("in.centrality_scaling") else 1e-8
    loss = model.training_loss(channels, labels, train)
    loss.backward()
    case.close(loss, "out.loss", rtol)
    close_gradients(model, case, 1e-6)
    with torch.no_grad():
        case.close(model.eval()(*channels), "out.scores_eval_mode_after_one_forward", rtol)
        weights, _ = model.channel_scores(channels)
        embedding = (weights[:, :, None] * model.encode(channels)).sum(1)
        case.close(embedding, "out.node_embedding", rtol)
        # In training mode the statistics of the batch count, so that the scores are those of the first pass.
        case.close(model.train()(*channels), "out.scores_train_mode", rtol)
