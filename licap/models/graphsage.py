"""GraphSAGE with mean aggregation (Hamilton et al., NeurIPS 2017)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from licap.config import DownstreamConfig
from licap.graph import KnowledgeGraph
from licap.models.base import MODELS, DownstreamModel, Setting, linear_of_sums, register
from licap.ops import neighbour_sum


class SAGELayer(nn.Module):
    """h ← W_own h_v + W_neighbour mean_{u→v} h_u + b."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.own = nn.Linear(in_dim, out_dim, bias=False)
        self.neighbour = nn.Linear(in_dim, out_dim, bias=False)
        self.bias = nn.Parameter(torch.zeros(out_dim))

    def forward(self, h: Tensor, inverse_degree: Tensor, graph: KnowledgeGraph, backend: str) -> Tensor:
        """h: [N, in]. inverse_degree: [N, 1]. Returns: [N, out]."""
        arrived = linear_of_sums(
            self.neighbour, h, lambda rows: neighbour_sum(rows, graph, backend=backend) * inverse_degree
        )
        own: Tensor = self.own(h)
        return own + arrived + self.bias


@register(MODELS, "graphsage")
class GraphSAGE(DownstreamModel):
    """Two layers, ReLU in between, loops added.

    Source: algorithm 1 of the paper with the mean aggregator; all neighbours in place of a sample, and no normalisation
    of h (published with LICAP).
    """

    def __init__(self, *, in_dim: int, hidden: int, graph: KnowledgeGraph, backend: str) -> None:
        super().__init__()
        self.layer1, self.layer2 = SAGELayer(in_dim, hidden), SAGELayer(hidden, 1)
        inverse = 1.0 / np.maximum(graph.in_degree, 1)
        self.register_buffer("_inverse_degree", torch.from_numpy(inverse).unsqueeze(-1), persistent=False)
        self._graph, self._backend = graph, backend

    @classmethod
    def build(cls, config: DownstreamConfig, setting: Setting) -> GraphSAGE:
        """See `DownstreamModel.build`."""
        own = config.graphsage
        return cls(in_dim=setting.in_dim, hidden=own.hidden, graph=setting.looped, backend=setting.backend).float()

    def forward(self, *channels: Tensor) -> Tensor:
        """channels: one, [N, in_dim]. Returns: scores [N]."""
        (inputs,) = channels
        shared = self.get_buffer("_inverse_degree"), self._graph, self._backend
        hidden = nn.functional.relu(self.layer1(inputs, *shared))
        scores: Tensor = self.layer2(hidden, *shared)
        return scores.squeeze(-1)
