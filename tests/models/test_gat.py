"""GAT as an encoder and as a model against its definition written out in loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_every_model import GRAPH, make, make_inputs
from torch import nn

from licap.config import DownstreamConfig, PretrainConfig

SLOPES = {"encoder": PretrainConfig().negative_slope, "model": DownstreamConfig().gat.negative_slope}


def plain_layer(layer: nn.Module, h: np.ndarray, slope: float) -> np.ndarray:
    """[N, H · D]: each head attends over incoming edges, a loop at each node among them."""
    graph = GRAPH.with_self_loops()
    weights, of_src, of_dst = (each.detach().numpy() for each in (layer.weight, layer.attn_src, layer.attn_dst))
    heads = []
    for weight, a_src, a_dst in zip(weights, of_src, of_dst, strict=True):
        z = h @ weight.T
        out = np.zeros_like(z)
        for node in range(graph.num_nodes):
            sources = graph.src[graph.dst == node]
            logits = [float(z[source] @ a_src + z[node] @ a_dst) for source in sources]
            powers = [math.exp(logit if logit > 0 else slope * logit) for logit in logits]
            out[node] = sum(power * z[source] for power, source in zip(powers, sources, strict=True)) / sum(powers)
        heads.append(out)
    return np.concatenate(heads, axis=1)


@pytest.mark.parametrize("kind", ["encoder", "model"])
def test_two_layers_with_elu_in_between(kind: str) -> None:
    module = make(kind, "gat", backend="torch")
    hidden = plain_layer(module.layer1, make_inputs().numpy(), SLOPES[kind])
    assert (hidden < -0.1).any()
    hidden = np.where(hidden > 0, hidden, np.expm1(np.minimum(hidden, 0)))
    expected = plain_layer(module.layer2, hidden, SLOPES[kind])
    np.testing.assert_allclose(
        module(make_inputs()).detach(), expected[:, 0] if kind == "model" else expected, rtol=1e-10, atol=1e-12
    )


def test_nothing_depends_on_relations() -> None:
    other = torch.randperm(GRAPH.num_edges, generator=torch.Generator().manual_seed(0)).numpy()
    renamed = type(GRAPH)(GRAPH.src, GRAPH.dst, GRAPH.rel[other], GRAPH.num_nodes, GRAPH.num_relations)
    for kind in SLOPES:
        torch.testing.assert_close(make(kind, "gat", graph=renamed)(make_inputs()), make(kind, "gat")(make_inputs()))
