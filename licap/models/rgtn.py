"""RGTN: relational graph transformers on structure and on semantics, and their co-attention (Huang et al., KDD 2021).

Relation terms are projected once per relation, not per edge; the gate's batch normalisation, which runs over edges,
weighs each relation with its number of edges. Notation: N nodes, R relations, H heads, D width of a head, W = H · D.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, linear, mse_loss, relu

from licap.config import DownstreamConfig
from licap.graph import KnowledgeGraph
from licap.model_configs import RGTNConfig
from licap.models.base import MODELS, DownstreamModel, Setting, register, relation_parameter, xavier_normal
from licap.models.dropout import Dropout
from licap.ops import dot_attention

CHANNELS = ("struct", "semantic")
# Of each channel's head (published).
_OUTPUT_SLOPE = 0.01
_LIST_EPSILON = 1e-10
_LAYER_NORM_EPSILON = 1e-6


@dataclass(frozen=True, eq=False)
class Edges:
    """What a tower knows of the graph. graph: with loops. per_relation: [R, 1] number of edges, from a buffer."""

    graph: KnowledgeGraph
    per_relation: Tensor
    backend: str


class RelationTerms(nn.Module):
    """W r + b of each relation, and what becomes of it in the attention. Source: RGTN, section 4.1, published modes."""

    def __init__(self, mode: str, heads: int, hidden: int, relation_dim: int) -> None:
        super().__init__()
        out = heads * hidden if mode == "dot" else heads
        self.weight = xavier_normal(out, relation_dim, fan_in=relation_dim, fan_out=out)
        if mode != "dot":
            self.bias = nn.Parameter(torch.zeros(heads))
        if mode == "gate":
            self.bn_weight, self.bn_bias = nn.Parameter(torch.ones(heads)), nn.Parameter(torch.zeros(heads))
            self.register_buffer("running_mean", torch.zeros(heads))
            self.register_buffer("running_var", torch.ones(heads))
        self._mode, self._heads, self._hidden = mode, heads, hidden

    def forward(self, relations: Tensor, edges: Edges) -> list[Tensor]:
        """relations: [R, relation width]. Returns: gain and shift [R, H], and in mode dot key [R, H, D]."""
        one, zero = relations.new_ones(()), relations.new_zeros(())
        shape = relations.shape[0], self._heads
        if self._mode == "dot":
            key = linear(relations, self.weight).view(*shape, self._hidden)
            return [one.expand(shape), zero.expand(shape), key]
        projected = linear(relations, self.weight, self.bias)
        if self._mode == "add":
            return [one.expand(shape), projected]
        gain = projected if self._mode == "mul" else torch.sigmoid(self._normalised(projected, edges.per_relation))
        return [gain, zero.expand(shape)]

    def _normalised(self, values: Tensor, count: Tensor) -> Tensor:
        """Batch normalisation over edges of [R, H] values that depend on the relation alone."""
        mean, variance = self.get_buffer("running_mean"), self.get_buffer("running_var")
        if self.training:
            total = count.sum()
            batch_mean = (count * values).sum(0) / total
            batch_variance = (count * (values - batch_mean).square()).sum(0) / total
            with torch.no_grad():
                mean.lerp_(batch_mean, 0.1)
                variance.lerp_(batch_variance * total / (total - 1).clamp(min=1), 0.1)
            mean, variance = batch_mean, batch_variance
        return (values - mean) * torch.rsqrt(variance + 1e-5) * self.bn_weight + self.bn_bias


class TowerLayer(nn.Module):
    """Attention over incoming edges, linear, residual, BatchNorm; feed-forward, residual, BatchNorm."""

    def __init__(self, in_dim: int, own: RGTNConfig) -> None:
        super().__init__()
        width = own.heads * own.hidden
        self.q, self.k, self.v = (xavier_normal(width, in_dim, fan_in=in_dim, fan_out=width) for _ in range(3))
        self.o = xavier_normal(width, width, fan_in=width, fan_out=width)
        self.residual = None
        if in_dim != width:
            self.residual = xavier_normal(width, in_dim, fan_in=in_dim, fan_out=width)
        self.relation = RelationTerms(own.edge_mode, own.heads, own.hidden, own.relation_dim)
        self.ffn1, self.ffn2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.bn1, self.bn2 = nn.BatchNorm1d(width), nn.BatchNorm1d(width)
        self.dropout = Dropout(own.ffn_dropout)
        self._heads, self._hidden = own.heads, own.hidden

    def attention_inputs(self, h: Tensor, relations: Tensor, edges: Edges) -> list[Tensor]:
        """What `dot_attention` takes: q, k, v [N, H, D], gain and shift [R, H], and in mode dot key [R, H, D].

        h: [N, in]. relations: [R, relation width].
        """
        # One product for the three projections.
        projected = linear(h, torch.cat([self.q / math.sqrt(self._hidden), self.k, self.v]))
        of_nodes = [part.reshape(-1, self._heads, self._hidden) for part in projected.chunk(3, dim=1)]
        return [*of_nodes, *self.relation(relations, edges)]

    def forward(self, h: Tensor, attended: Tensor) -> Tensor:
        """What follows the attention. h: [N, in]. attended: [N, H, D]. Returns: [N, W]."""
        skipped = h if self.residual is None else linear(h, self.residual)
        x = self.bn1(linear(attended.flatten(1), self.o) + skipped)
        normed: Tensor = self.bn2(x + self.ffn2(self.dropout(relu(self.ffn1(x)))))
        return normed


class CoAttention(nn.Module):
    """Each node's channels attend to each other: softmax(q kᵀ / √W) v, feed-forward of half width, LayerNorm."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.q, self.k, self.v = (xavier_normal(width, width, fan_in=width, fan_out=width) for _ in range(3))
        inner = max(1, width // 2)
        self.ffn1, self.ffn2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.layer_norm = nn.LayerNorm(width, eps=_LAYER_NORM_EPSILON)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, 2, W]. Returns: [N, 2, W]."""
        q, k, v = (linear(x, weight) for weight in (self.q, self.k, self.v))
        alpha = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(x.shape[2]), dim=2)
        out = alpha @ v
        normed: Tensor = self.layer_norm(out + self.ffn2(self.dropout(relu(self.ffn1(out)))))
        return normed


class Head(nn.Module):
    """leaky_relu(w·x + b): a channel's own score."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = xavier_normal(width, fan_in=width, fan_out=1)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, W]. Returns: [N]."""
        return leaky_relu(x @ self.weight + self.bias, _OUTPUT_SLOPE)


@register(MODELS, "rgtn")
class RGTN(DownstreamModel):
    """Two towers, co-attention, a score per channel, and their weighted sum.

    With centrality scaling the structural score is relu((c γ + β) · score), c the log in-degree.
    Source: RGTN (KDD 2021), sections 4.1 to 4.4; options and constants as published with LICAP.
    """

    def __init__(self, own: RGTNConfig, *, widths: Sequence[int], graph: KnowledgeGraph, backend: str) -> None:
        super().__init__()
        width = own.heads * own.hidden
        self.relation_embedding = relation_parameter(graph.num_relations, own.relation_dim)
        towers = [[TowerLayer(width if n else in_dim, own) for n in range(own.layers)] for in_dim in widths]
        for name, layers in zip(CHANNELS, towers, strict=True):
            self.add_module(name, nn.ModuleDict({f"layer{n}": layer for n, layer in enumerate(layers)}))
        self._levels = list(zip(*towers, strict=True))
        self.coattention = CoAttention(width, own.coattention_dropout)
        self.bn = nn.ModuleDict({name: nn.BatchNorm1d(width) for name in CHANNELS})
        self.channel_attention = xavier_normal(width, fan_in=width, fan_out=1)
        self.head = nn.ModuleDict({name: Head(width) for name in CHANNELS})
        self.dropout = Dropout(own.input_dropout)
        if own.centrality_scaling:
            self.gamma, self.beta = nn.Parameter(torch.ones(())), nn.Parameter(torch.zeros(()))
            self.register_buffer("_centrality", torch.tensor(graph.degree_centrality()), persistent=False)
        per_relation = np.bincount(graph.rel, minlength=graph.num_relations).astype(np.float32)
        self.register_buffer("_edges_of_relation", torch.from_numpy(per_relation).unsqueeze(-1), persistent=False)
        self._own, self._graph, self._backend = own, graph, backend

    @classmethod
    def build(cls, config: DownstreamConfig, setting: Setting) -> RGTN:
        """See `DownstreamModel.build`."""
        return cls(config.rgtn, widths=setting.widths, graph=setting.looped, backend=setting.backend)

    def forward(self, *channels: Tensor) -> Tensor:
        """channels: structure and semantics, each [N, width]. Returns: scores [N]."""
        return self.combine(*self.channel_scores(channels))

    def combine(self, weights: Tensor, scores: Tensor) -> Tensor:
        """weights, scores: [N, 2]. Returns: [N]."""
        return (weights * scores).sum(1)

    def channel_scores(self, channels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Returns: the channels' weights and their own scores, both [N, 2]."""
        x = self.encode(channels)
        weights = torch.softmax(x @ self.channel_attention, dim=1)
        scores = [self.head[name](x[:, place]) for place, name in enumerate(CHANNELS)]
        if self._own.centrality_scaling:
            scores[0] = relu((self.get_buffer("_centrality") * self.gamma + self.beta) * scores[0])
        return weights, torch.stack(scores, dim=1)

    def encode(self, channels: Sequence[Tensor]) -> Tensor:
        """Both towers and their co-attention. Returns: [N, 2, W]."""
        edges = Edges(self._graph, self.get_buffer("_edges_of_relation"), self._backend)
        towers = [self.dropout(h) for h in channels]
        for layers in self._levels:
            towers = self._layer(layers, towers, edges)
        x = torch.stack(towers, dim=1)
        mixed = self.coattention(x) + x
        return torch.stack([self.bn[name](mixed[:, place]) for place, name in enumerate(CHANNELS)], dim=1)

    def _layer(self, layers: Sequence[TowerLayer], towers: Sequence[Tensor], edges: Edges) -> list[Tensor]:
        """One layer of both towers, whose attention is one: the heads of the second stand behind those of the first."""
        apart = [
            layer.attention_inputs(h, self.relation_embedding, edges) for layer, h in zip(layers, towers, strict=True)
        ]
        q, k, v, gain, shift, *keys = (torch.cat(each, dim=1) for each in zip(*apart, strict=True))
        relation_key = keys[0] if keys else None
        attended = dot_attention(q, k, v, gain, shift, edges.graph, relation_key=relation_key, backend=edges.backend)
        own = attended.chunk(len(layers), dim=1)
        return [layer(h, heads) for layer, h, heads in zip(layers, towers, own, strict=True)]

    def training_loss(self, channels: Sequence[Tensor], labels: Tensor, train: Tensor) -> Tensor:
        """(1 - λ) MSE + λ mean of the channels' MSE + α list loss, over training nodes.

        Source: RGTN, equations 16 to 18, as published with LICAP.
        """
        weights, own = self.channel_scores(channels)
        scores, true = self.combine(weights, own)[train], labels[train]
        by_channel = torch.stack([mse_loss(own[train, place], true) for place in range(2)]).mean()
        blend, alpha = self._own.loss_lambda, self._own.loss_alpha
        return (1 - blend) * mse_loss(scores, true) + blend * by_channel + alpha * self.list_loss(scores, true)

    def list_loss(self, scores: Tensor, true: Tensor) -> Tensor:
        """How far the order of scores is from that of the labels, in lists of a node and others drawn for it.

        Mean over training nodes of -Σ softmax(true) · log(softmax(score) + 1e-10) over the node's list.
        scores, true: [n]. Returns: scalar.
        """
        count = scores.shape[0]
        lists = torch.cat([torch.arange(count, device=scores.device)[:, None], self.draw_lists(count)], dim=1)
        # Selected as one long vector: of a matrix of indices, torch adds up the gradient many times slower.
        wanted, found = (
            torch.softmax(values.index_select(0, lists.view(-1)).view(lists.shape), dim=1) for values in (true, scores)
        )
        found = torch.log(found + _LIST_EPSILON)
        return -(wanted * found).sum(1).mean()

    def draw_lists(self, count: int) -> Tensor:
        """[n, list_num - 1] positions among `count` training nodes, uniform, drawn anew at every call."""
        device = self.channel_attention.device
        return torch.randint(count, (count, self._own.list_num - 1), device=device)
