"""GAT: attention that knows no relations, as an encoder (LICAP's ablation of PreGAT) and as a model."""

from __future__ import annotations

from torch import Tensor, nn

from licap.config import DownstreamConfig, PretrainConfig
from licap.graph import KnowledgeGraph
from licap.models.base import (
    ENCODERS,
    MODELS,
    DownstreamModel,
    Encoder,
    Setting,
    attention_heads,
    register,
    xavier_normal,
)
from licap.ops import relation_attention


class GATLayer(nn.Module):
    """Logits leaky_relu(a_src·z_u + a_dst·z_v) with z = W h, per head. Source: equations 1 to 4 of the paper."""

    def __init__(self, in_dim: int, width: int, heads: int) -> None:
        super().__init__()
        self.weight = xavier_normal(heads, width, in_dim, fan_in=in_dim, fan_out=width)
        self.attn_src = xavier_normal(heads, width, fan_in=2 * width, fan_out=1)
        self.attn_dst = xavier_normal(heads, width, fan_in=2 * width, fan_out=1)

    def forward(self, h: Tensor, graph: KnowledgeGraph, slope: float, backend: str) -> Tensor:
        """h: [N, in]. Returns: [N, H · D], heads side by side."""
        z, el, er = attention_heads(h, self.weight, self.attn_src, self.attn_dst)
        em = el.new_zeros(graph.num_relations, el.shape[1])
        return relation_attention(z, el, er, em, graph, slope=slope, backend=backend).flatten(1)


@register(ENCODERS, "gat")
class GATEncoder(Encoder):
    """PreGAT without its relation term: two layers, H concatenated heads and ELU, then one head of the output width."""

    def __init__(
        self,
        *,
        in_dim: int,
        hidden: int,
        heads: int,
        out_dim: int,
        slope: float,
        graph: KnowledgeGraph,
        backend: str,
    ) -> None:
        super().__init__()
        self.layer1 = GATLayer(in_dim, hidden, heads)
        self.layer2 = GATLayer(hidden * heads, out_dim, 1)
        self._shared = graph, slope, backend

    @classmethod
    def build(
        cls, config: PretrainConfig, *, in_dim: int, out_dim: int, graph: KnowledgeGraph, backend: str
    ) -> GATEncoder:
        """See `Encoder.build`."""
        return cls(
            in_dim=in_dim,
            hidden=config.hidden,
            heads=config.heads,
            out_dim=out_dim,
            slope=config.negative_slope,
            graph=graph,
            backend=backend,
        )

    def forward(self, features: Tensor) -> Tensor:
        """features: [N, in_dim]. Returns: [N, out_dim]."""
        embeddings: Tensor = self.layer2(nn.functional.elu(self.layer1(features, *self._shared)), *self._shared)
        return embeddings


@register(MODELS, "gat")
class GAT(DownstreamModel):
    """Two layers: H concatenated heads and ELU, then one head of width 1, whose output is the score; loops added.

    Source: the paper's inductive architecture with two layers. The published LICAP code has no GAT to compare to.
    """

    def __init__(
        self, *, in_dim: int, hidden: int, heads: int, slope: float, graph: KnowledgeGraph, backend: str
    ) -> None:
        super().__init__()
        self.layer1 = GATLayer(in_dim, hidden // heads, heads)
        self.layer2 = GATLayer(hidden, 1, 1)
        self._shared = graph, slope, backend

    @classmethod
    def build(cls, config: DownstreamConfig, setting: Setting) -> GAT:
        """See `DownstreamModel.build`."""
        own = config.gat
        return cls(
            in_dim=setting.in_dim,
            hidden=own.hidden,
            heads=own.heads,
            slope=own.negative_slope,
            graph=setting.looped,
            backend=setting.backend,
        )

    def forward(self, *channels: Tensor) -> Tensor:
        """channels: one, [N, in_dim]. Returns: scores [N]."""
        (inputs,) = channels
        scores: Tensor = self.layer2(nn.functional.elu(self.layer1(inputs, *self._shared)), *self._shared)
        return scores.squeeze(-1)
