"""R-GCN: a matrix per relation, full or mixed from a few bases (Schlichtkrull et al., ESWC 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from licap.config import DownstreamConfig
from licap.graph import KnowledgeGraph
from licap.models.base import MODELS, DownstreamModel, Setting, register, xavier_normal
from licap.ops import relation_sum


class RGCNLayer(nn.Module):
    """h ← Σ_{e=(u→v)} h_u W_type(e) + h_v W_own + b; with bases W_r = Σ_b c_rb V_b, and `weight` holds the V_b.

    Source: equation 2 of the paper without its normalisation (published with LICAP); equation 3 for the bases.
    """

    def __init__(self, in_dim: int, out_dim: int, num_relations: int, num_bases: int | None) -> None:
        super().__init__()
        num_matrices = num_relations if num_bases is None else num_bases
        self.weight = xavier_normal(num_matrices, in_dim, out_dim, fan_in=in_dim, fan_out=out_dim)
        self.own = xavier_normal(in_dim, out_dim, fan_in=in_dim, fan_out=out_dim)
        self.bias = nn.Parameter(torch.zeros(out_dim))
        self.coefficients = None
        if num_bases is not None:
            self.coefficients = xavier_normal(num_relations, num_bases, fan_in=num_relations, fan_out=num_bases)

    def forward(self, h: Tensor, graph: KnowledgeGraph) -> Tensor:
        """h: [N, in]. Returns: [N, out]."""
        weight = self.weight if self.coefficients is None else torch.tensordot(self.coefficients, self.weight, dims=1)
        return relation_sum(h, weight, graph) + h @ self.own + self.bias


@register(MODELS, "rgcn")
class RGCN(DownstreamModel):
    """Two layers, ReLU in between, loops added as a relation of their own."""

    def __init__(self, *, in_dim: int, hidden: int, num_bases: int | None, graph: KnowledgeGraph) -> None:
        super().__init__()
        self.layer1 = RGCNLayer(in_dim, hidden, graph.num_relations, num_bases)
        self.layer2 = RGCNLayer(hidden, 1, graph.num_relations, num_bases)
        self._graph = graph

    @classmethod
    def build(cls, config: DownstreamConfig, setting: Setting) -> RGCN:
        """See `DownstreamModel.build`."""
        own = config.rgcn
        return cls(in_dim=setting.in_dim, hidden=own.hidden, num_bases=own.num_bases, graph=setting.looped)

    def forward(self, *channels: Tensor) -> Tensor:
        """channels: one, [N, in_dim]. Returns: scores [N]."""
        (inputs,) = channels
        hidden = nn.functional.relu(self.layer1(inputs, self._graph))
        scores: Tensor = self.layer2(hidden, self._graph)
        return scores.squeeze(-1)
