"""SGC: propagation without nonlinearity (Wu et al., ICML 2019), two layers of it, as published for importance."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from licap.config import DownstreamConfig
from licap.graph import KnowledgeGraph
from licap.models.base import MODELS, DownstreamModel, Setting, linear_of_sums, register
from licap.ops import neighbour_sum


@register(MODELS, "sgc")
class SGC(DownstreamModel):
    """h ← W (D^-½ A D^-½)^k h + b, twice, ReLU in between; D of in-degrees on both sides, loops added.

    Source: equation 8 of the paper; the second layer as published with LICAP.
    """

    def __init__(self, *, in_dim: int, hidden: int, hops: int, graph: KnowledgeGraph, backend: str) -> None:
        super().__init__()
        self.layer1, self.layer2 = nn.Linear(in_dim, hidden), nn.Linear(hidden, 1)
        root = np.maximum(graph.in_degree, 1) ** -0.5
        self.register_buffer("_inverse_root", torch.from_numpy(root).unsqueeze(-1), persistent=False)
        self._hops, self._graph, self._backend = hops, graph, backend

    @classmethod
    def build(cls, config: DownstreamConfig, setting: Setting) -> SGC:
        """See `DownstreamModel.build`."""
        own = config.sgc
        model = cls(
            in_dim=setting.in_dim, hidden=own.hidden, hops=own.hops, graph=setting.looped, backend=setting.backend
        )
        return model.float()

    def forward(self, *channels: Tensor) -> Tensor:
        """channels: one, [N, in_dim]. Returns: scores [N]."""
        (inputs,) = channels
        hidden = nn.functional.relu(linear_of_sums(self.layer1, inputs, self._propagate))
        return linear_of_sums(self.layer2, hidden, self._propagate).squeeze(-1)

    def _propagate(self, h: Tensor) -> Tensor:
        root = self.get_buffer("_inverse_root")
        for _ in range(self._hops):
            h = neighbour_sum(h * root, self._graph, backend=self._backend) * root
        return h
