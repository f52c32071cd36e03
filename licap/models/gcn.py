"""GCN as published for importance estimation: sums of neighbours, unnormalised (Kipf & Welling, ICLR 2017)."""

from __future__ import annotations

from torch import Tensor, nn

from licap.config import DownstreamConfig
from licap.graph import KnowledgeGraph
from licap.models.base import MODELS, DownstreamModel, Setting, linear_of_sums, register
from licap.ops import neighbour_sum


@register(MODELS, "gcn")
class GCN(DownstreamModel):
    """h ← W Σ_{u→v} h_u + b, twice, ReLU in between, loops added.

    Source: equation 2 of the paper, with A in place of its normalised form (published with LICAP).
    """

    def __init__(self, *, in_dim: int, hidden: int, graph: KnowledgeGraph, backend: str) -> None:
        super().__init__()
        self.layer1, self.layer2 = nn.Linear(in_dim, hidden), nn.Linear(hidden, 1)
        self._graph, self._backend = graph, backend

    @classmethod
    def build(cls, config: DownstreamConfig, setting: Setting) -> GCN:
        """See `DownstreamModel.build`."""
        return cls(in_dim=setting.in_dim, hidden=config.gcn.hidden, graph=setting.looped, backend=setting.backend)

    def forward(self, *channels: Tensor) -> Tensor:
        """channels: one, [N, in_dim]. Returns: scores [N]."""
        (inputs,) = channels
        hidden = nn.functional.relu(linear_of_sums(self.layer1, inputs, self._sum))
        return linear_of_sums(self.layer2, hidden, self._sum).squeeze(-1)

    def _sum(self, h: Tensor) -> Tensor:
        return neighbour_sum(h, self._graph, backend=self._backend)
