"""PreGAT: predicate-aware graph attention, LICAP's pretraining encoder. Source: LICAP (arXiv 2402.17791), section IV-D.

Parameters are stacked per head: weight [H, D, in], attention parts [H, D], relation part [H, relation width]. Relation
terms of the logits are computed once per relation, not per edge. No bias, no dropout (published).
"""

from __future__ import annotations

from torch import Tensor, nn

from licap.config import PretrainConfig
from licap.graph import KnowledgeGraph
from licap.models.base import ENCODERS, Encoder, attention_heads, register, relation_parameter, xavier_normal
from licap.ops import relation_attention


class PreGATLayer(nn.Module):
    """One layer: logits leaky_relu(a_src·z_u + a_rel·r_e + a_dst·z_v) with z = W h, per head."""

    def __init__(self, in_dim: int, width: int, heads: int, relation_dim: int) -> None:
        super().__init__()
        self.weight = xavier_normal(heads, width, in_dim, fan_in=in_dim, fan_out=width)
        # The three parts are one vector [a_src ‖ a_rel ‖ a_dst] in the paper.
        fan_in = 2 * width + relation_dim
        self.attn_src = xavier_normal(heads, width, fan_in=fan_in, fan_out=1)
        self.attn_rel = xavier_normal(heads, relation_dim, fan_in=fan_in, fan_out=1)
        self.attn_dst = xavier_normal(heads, width, fan_in=fan_in, fan_out=1)

    def forward(self, h: Tensor, relations: Tensor, graph: KnowledgeGraph, slope: float, backend: str) -> Tensor:
        """h: [N, in]. relations: [R, relation width]. Returns: [N, H · D], heads side by side."""
        z, el, er = attention_heads(h, self.weight, self.attn_src, self.attn_dst)
        em = relations @ self.attn_rel.T
        return relation_attention(z, el, er, em, graph, slope=slope, backend=backend).flatten(1)


@register(ENCODERS, "pregat")
class PreGAT(Encoder):
    """Two layers with a shared relation embedding: H concatenated heads and ELU, then one head of the output width."""

    def __init__(
        self,
        *,
        in_dim: int,
        hidden: int,
        heads: int,
        out_dim: int,
        relation_dim: int,
        slope: float,
        graph: KnowledgeGraph,
        backend: str,
    ) -> None:
        super().__init__()
        self.layer1 = PreGATLayer(in_dim, hidden, heads, relation_dim)
        self.layer2 = PreGATLayer(hidden * heads, out_dim, 1, relation_dim)
        self.relation_embedding = relation_parameter(graph.num_relations, relation_dim)
        self._graph, self._slope, self._backend = graph, slope, backend

    @classmethod
    def build(cls, config: PretrainConfig, *, in_dim: int, out_dim: int, graph: KnowledgeGraph, backend: str) -> PreGAT:
        """See `Encoder.build`."""
        return cls(
            in_dim=in_dim,
            hidden=config.hidden,
            heads=config.heads,
            out_dim=out_dim,
            relation_dim=config.relation_dim,
            slope=config.negative_slope,
            graph=graph,
            backend=backend,
        )

    def forward(self, features: Tensor) -> Tensor:
        """features: [N, in_dim]. Returns: [N, out_dim]."""
        shared = self.relation_embedding, self._graph, self._slope, self._backend
        hidden = nn.functional.elu(self.layer1(features, *shared))
        embeddings: Tensor = self.layer2(hidden, *shared)
        return embeddings
