"""GENI and RGTN written edge by edge on DGL, as published code writes them: the yardstick of `benchmarks.models`.

Relations are looked up and projected for every edge, queries and keys are gathered to edges, and every intermediate
value of an edge exists as a row of an array. Same parameters, same results as the project's models; nothing is fused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import elu, leaky_relu, linear, relu

from licap.graph import KnowledgeGraph
from licap.models.geni import GENI, ScoreAggregation
from licap.models.rgtn import CHANNELS, RGTN, TowerLayer
from licap.optional import import_dgl


class UnfusedGENI(GENI):
    """Computes what GENI computes, through DGL's message passing."""

    def forward(self, *channels: Tensor) -> Tensor:
        """channels: one, [N, in_dim]. Returns: scores [N]."""
        inputs, scoring = self.dropout(channels[0]), self.scoring
        hidden = [relu(linear(inputs, *layer)) for layer in zip(scoring.weight1, scoring.bias1, strict=True)]
        scores = torch.stack([h @ w + b for h, w, b in zip(hidden, scoring.weight2, scoring.bias2, strict=True)], 1)
        for number, layer in enumerate(self._layers):
            if number:
                scores = scores.mean(1, keepdim=True).expand_as(scores)
            scores = elu(self._aggregate(layer, scores))
        if not self._scaling:
            return scores.mean(1)
        scaled = ((self.get_buffer("_centrality") * self.gamma + self.beta) * scores).mean(1)
        return leaky_relu(scaled, self._output_slope)

    def _aggregate(self, layer: ScoreAggregation, scores: Tensor) -> Tensor:
        graph, rel = on_dgl(self._graph)
        attention = torch.cat([layer.attn_src[:, None], layer.attn_rel, layer.attn_dst[:, None]], dim=1)

        def logits(edges: Any) -> dict[str, Tensor]:
            relations = self.relation_embedding[rel][:, None].expand(-1, scores.shape[1], -1)
            whole = torch.cat([edges.src["s"][..., None], relations, edges.dst["s"][..., None]], dim=2)
            return {"e": leaky_relu((whole * attention).sum(-1), self._slope)}

        with graph.local_scope():
            graph.ndata["s"] = scores.contiguous()
            graph.apply_edges(logits)
            return aggregated(graph, "s", lambda alpha: alpha)


class UnfusedRGTN(RGTN):
    """Computes what RGTN computes in edge mode mul, through DGL's message passing."""

    def encode(self, channels: Sequence[Tensor]) -> Tensor:
        """See `RGTN.encode`."""
        towers = []
        for name, h in zip(CHANNELS, channels, strict=True):
            h = self.dropout(h)
            for layer in self.get_submodule(name).children():
                assert isinstance(layer, TowerLayer)
                h = self._through(layer, h)
            towers.append(h)
        x = torch.stack(towers, dim=1)
        mixed = self.coattention(x) + x
        return torch.stack([self.bn[name](mixed[:, place]) for place, name in enumerate(CHANNELS)], dim=1)

    def _through(self, layer: TowerLayer, h: Tensor) -> Tensor:
        shape = (-1, layer._heads, layer._hidden)
        q, k, v = (linear(h, weight).view(shape) for weight in (layer.q, layer.k, layer.v))
        out = self._attend(layer, q, k, v).flatten(1)
        x = layer.bn1(linear(out, layer.o) + (h if layer.residual is None else linear(h, layer.residual)))
        normed: Tensor = layer.bn2(x + layer.ffn2(layer.dropout(relu(layer.ffn1(x)))))
        return normed

    def _attend(self, layer: TowerLayer, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        graph, rel = on_dgl(self._graph)

        def logits(edges: Any) -> dict[str, Tensor]:
            relations = linear(self.relation_embedding[rel], layer.relation.weight, layer.relation.bias)
            return {"e": (edges.dst["q"] * edges.src["k"]).sum(-1) / math.sqrt(layer._hidden) * relations}

        with graph.local_scope():
            graph.ndata["q"], graph.ndata["k"], graph.ndata["v"] = q, k, v
            graph.apply_edges(logits)
            return aggregated(graph, "v", lambda alpha: alpha.unsqueeze(-1))


@cache
def on_dgl(graph: KnowledgeGraph) -> tuple[Any, Tensor]:
    """The graph in DGL, and the relations of its edges."""
    return graph.to_dgl(), torch.from_numpy(graph.rel.astype("int64"))


def aggregated(graph: Any, messages: str, shaped: Callable[[Tensor], Tensor]) -> Tensor:
    """Softmax of the logits `e` over incoming edges, and the sum of the messages that it weighs."""
    dgl = import_dgl()
    graph.edata["a"] = shaped(dgl.ops.edge_softmax(graph, graph.edata["e"]))
    graph.update_all(lambda edges: {"m": edges.src[messages] * edges.data["a"]}, dgl.function.sum("m", "out"))
    out: Tensor = graph.ndata["out"]
    return out
