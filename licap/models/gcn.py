"""GCN as published for importance estimation: sums of neighbours, unnormalised (Kipf & Welling, ICLR 2017)."""

from __future__ import annotations

from torch import Tensor, nn

from licap.config import DownstreamConfig
from licap.graph import KnowledgeGraph
from licap.models.base import MODELS, DownstreamModel, Setting, register
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
        hidden = nn.functional.relu(self._convolve(self.layer1, inputs))
        return self._convolve(self.layer2, hidden).squeeze(-1)

    def _convolve(self, layer: nn.Linear, h: Tensor) -> Tensor:
        # The sum and the product commute: whichever comes first, the sum runs over the narrower of the two widths.
        if layer.in_features < layer.out_features:
            out: Tensor = layer(neighbour_sum(h, self._graph, backend=self._backend))
            return out
        return neighbour_sum(h @ layer.weight.T, self._graph, backend=self._backend) + layer.bias
