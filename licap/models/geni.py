"""GENI: scores aggregated over the graph by predicate-aware attention, scaled by centrality (Park et al., KDD 2019).

Parameters are stacked per head. The scores themselves are the messages (width 1). The heads' scoring networks
run as one product.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from licap.config import DownstreamConfig
from licap.graph import KnowledgeGraph
from licap.models.base import (
    MODELS,
    DownstreamModel,
    Setting,
    dots_of_heads,
    register,
    relation_parameter,
    root_mean_square,
    xavier_normal,
)
from licap.models.dropout import Dropout
from licap.ops import relation_attention


class ScoringNetworks(nn.Module):
    """Per head in → ⌊in / 2⌋ → 1 with ReLU. Source: GENI, equation 1."""

    def __init__(self, in_dim: int, heads: int) -> None:
        super().__init__()
        width = max(1, in_dim // 2)
        self.weight1 = xavier_normal(heads, width, in_dim, fan_in=in_dim, fan_out=width)
        self.bias1 = nn.Parameter(torch.zeros(heads, width))
        self.weight2 = xavier_normal(heads, width, fan_in=width, fan_out=1)
        self.bias2 = nn.Parameter(torch.zeros(heads))

    def forward(self, inputs: Tensor) -> Tensor:
        """inputs: [N, in]. Returns: [N, H]."""
        hidden = nn.functional.linear(inputs, self.weight1.flatten(0, 1), self.bias1.flatten())
        hidden = nn.functional.relu(hidden, inplace=True)
        (scores,) = dots_of_heads(hidden, self.weight2)
        return scores + self.bias2


class ScoreAggregation(nn.Module):
    """Attention over scores: logits leaky_relu(a_src s_u + a_rel·r_e + a_dst s_v). Source: GENI, equations 3 and 4."""

    def __init__(self, heads: int, relation_dim: int) -> None:
        super().__init__()
        fan_in = 2 + relation_dim
        self.attn_src = xavier_normal(heads, fan_in=fan_in, fan_out=1)
        self.attn_dst = xavier_normal(heads, fan_in=fan_in, fan_out=1)
        self.attn_rel = xavier_normal(heads, relation_dim, fan_in=fan_in, fan_out=1)

    def forward(self, scores: Tensor, relations: Tensor, graph: KnowledgeGraph, slope: float, backend: str) -> Tensor:
        """scores: [N, H]. relations: [R, relation width]. Returns: [N, H]."""
        el, er, em = scores * self.attn_src, scores * self.attn_dst, relations @ self.attn_rel.T
        return relation_attention(scores.unsqueeze(-1), el, er, em, graph, slope=slope, backend=backend).squeeze(-1)


@register(MODELS, "geni")
class GENI(DownstreamModel):
    """Scoring networks, layers of aggregation with ELU, mean of heads; between layers that mean goes on to every head.

    With centrality scaling the result is leaky_relu(mean over heads of (c γ + β) h), c the log in-degree; without it,
    the mean of h. With `residual` a layer's input is added before its ELU.

    score_scale: fixed factor on the networks' scores. The ELU of a score far below 0 has no gradient, so that a network
    whose scores spread over more than its bend does not learn; `match_scale` divides by what exceeds 1.
    """

    score_scale: Tensor

    def __init__(
        self,
        *,
        in_dim: int,
        heads: int,
        layers: int,
        relation_dim: int,
        slope: float,
        dropout: float,
        centrality_scaling: bool,
        output_slope: float,
        residual: bool,
        graph: KnowledgeGraph,
        backend: str,
    ) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.scoring = ScoringNetworks(in_dim, heads)
        self.register_buffer("score_scale", torch.ones(()))
        self.relation_embedding = relation_parameter(graph.num_relations, relation_dim)
        self._layers = [ScoreAggregation(heads, relation_dim) for _ in range(layers)]
        for number, layer in enumerate(self._layers):
            self.add_module(f"layer{number}", layer)
        if centrality_scaling:
            self.gamma = nn.Parameter(torch.ones(heads))
            self.beta = nn.Parameter(torch.zeros(heads))
            self.register_buffer("_centrality", torch.tensor(graph.degree_centrality()).unsqueeze(-1), persistent=False)
        self._scaling, self._output_slope, self._residual = centrality_scaling, output_slope, residual
        self._graph, self._slope, self._backend = graph, slope, backend

    @classmethod
    def build(cls, config: DownstreamConfig, setting: Setting) -> GENI:
        """See `DownstreamModel.build`."""
        own = config.geni
        return cls(
            in_dim=setting.in_dim,
            heads=own.heads,
            layers=own.layers,
            relation_dim=own.relation_dim,
            slope=own.negative_slope,
            dropout=own.dropout,
            centrality_scaling=own.centrality_scaling,
            output_slope=own.output_slope,
            residual=own.residual,
            graph=setting.looped,
            backend=setting.backend,
        )

    @torch.no_grad()
    def match_scale(self, channels: Sequence[Tensor], labels: Tensor, train: Tensor) -> None:
        """See `ImportanceModule.match_scale`."""
        (inputs,) = channels
        self.score_scale.copy_(1 / root_mean_square(self.scoring(inputs)).clamp(min=1.0))

    def forward(self, *channels: Tensor) -> Tensor:
        """channels: one, [N, in_dim]. Returns: scores [N]."""
        (inputs,) = channels
        scores: Tensor = self.scoring(self.dropout(inputs)) * self.score_scale
        for number, layer in enumerate(self._layers):
            if number:
                scores = scores.mean(1, keepdim=True).expand_as(scores)
            out = layer(scores, self.relation_embedding, self._graph, self._slope, self._backend)
            scores = nn.functional.elu(out + scores if self._residual else out)
        if not self._scaling:
            return scores.mean(1)
        centrality = self.get_buffer("_centrality")
        scaled = ((centrality * self.gamma + self.beta) * scores).mean(1)
        return nn.functional.leaky_relu(scaled, self._output_slope)
