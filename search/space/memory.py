"""How much memory a trial takes at its peak, estimated from its config and the size of its graph. No torch here.

Notation: N nodes, E edges with the added loops, R relations with theirs; n training nodes, T top nodes, J drawn non-top
nodes; widths are of arrays on nodes. An estimate counts the arrays that are alive at once, largest first, in multiples
of one edge array [E, heads] or one node array [N, width]: the multiples stand below, one to a line.

How they were found: the peak resident memory (VmHWM) of six epochs of both stages in a fresh process each, on
FB15k-open (14,951 nodes, 381,186 edges) and the generated graph (2,400 and 18,000), every model, inputs of 64 to 448
columns, the backends torch, numba and dgl, float32 and float64, on the CPU with one thread; 60 MB added for what Ray
puts into a worker. Each multiple is what comes out, rounded up. Tests measure some of it again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from licap.config import DataConfig, DownstreamConfig, TrialConfig
from licap.errors import ConfigError
from licap.model_configs import GATConfig, GCNConfig, GENIConfig, GraphSAGEConfig, RGCNConfig, RGTNConfig, SGCConfig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from licap.graph import KnowledgeGraph
    from search.space.space import SearchSpace

# An estimate is meant to lie between a trial's peak and this many times it.
SLACK = 1.5

_MB = 1e6
# Python, torch, numba's compiled kernels and Ray's worker, before there is a graph.
_PROCESS = 430 * _MB
# What scikit-learn adds.
_SKLEARN = 110 * _MB
# The graph as given, with loops, and sorted three ways; int64 while it is made.
_BYTES_OF_EDGE = 200
# Names and titles.
_BYTES_OF_NODE = 400
# Widths of features that a data set computes with a sentence encoder, whose width is not in the config.
_SENTENCE_WIDTH = 384
_TRAIN_SHARE = 0.7
# Of R-GCN's sum, which takes edges in chunks.
_CHUNK = 65_536
# Parameters with their gradient, Adam's two moments, the step, and the best epoch's copy.
_PARAMETER_COPIES = 6
_POINTS = 300


@dataclass(frozen=True)
class GraphSize:
    """What of a data set decides on memory. widths: columns of its channels, as far as they are known."""

    nodes: int
    edges: int
    relations: int
    labelled: int
    widths: Mapping[str, int]

    @classmethod
    def of(
        cls, graph: KnowledgeGraph, valid: NDArray[np.bool_], features: Mapping[str, NDArray[np.float32]]
    ) -> GraphSize:
        """Of a data set, or of what is known of one."""
        widths = {name: array.shape[1] for name, array in features.items()}
        return cls(graph.num_nodes, graph.num_edges, graph.num_relations, int(valid.sum()), widths)

    def width(self, channel: str, data: DataConfig) -> int:
        """Columns of a channel; what the data set has not got is as wide as the config makes it."""
        if channel in self.widths:
            return self.widths[channel]
        if channel == "struct":
            return data.node2vec.dim
        if channel == "semantic":
            return data.text.dim if data.text.encoder == "tfidf" else _SENTENCE_WIDTH
        return self.width("struct", data) + self.width("semantic", data)


def trial_bytes(config: TrialConfig, size: GraphSize) -> int:
    """Peak memory of a process that runs this trial on the CPU, in bytes."""
    shape = _Shape.of(config, size)
    resident = _PROCESS + shape.edges * _BYTES_OF_EDGE + shape.nodes * _BYTES_OF_NODE
    resident += shape.node_array(sum(shape.features))
    own = config.downstream.model_config
    if own.sees_inputs and not own.trained:
        resident += _SKLEARN
    encoding = _encoding(config, shape) if config.downstream.sees_embeddings else 0.0
    training = shape.node_array(shape.width) + _model(config, shape)
    # Joint training holds both at once; otherwise the stages follow each other.
    return int(resident + (encoding + training if config.pretrain.training == "joint" else max(encoding, training)))


@dataclass(frozen=True)
class Span:
    """Bytes that the smallest and the largest trial of a space take."""

    least: int
    most: int


def trial_span(space: SearchSpace, size: GraphSize) -> Span:
    """What trials of a space take: over its edges and some hundred points drawn from it."""
    rng = random.Random(space.seed)
    found = [trial_bytes(config, size) for config in (*_edges(space), *_drawn(space, rng))]
    return Span(min(found), max(found))


def _edges(space: SearchSpace) -> Iterator[TrialConfig]:
    return (config for _, config in space.edge_configs())


def _drawn(space: SearchSpace, rng: random.Random) -> Iterator[TrialConfig]:
    for _ in range(_POINTS):
        try:
            yield space.config_for(space.sample(rng))
        except ConfigError:
            continue  # its trial ends before it starts


@dataclass(frozen=True)
class _Shape:
    """Sizes that the formulas share. features, embeddings: widths by channel. width: of stage 2's input. item: bytes of
    a number."""

    nodes: int
    edges: int
    relations: int
    train: int
    features: tuple[int, ...]
    embeddings: tuple[int, ...]
    width: int
    item: int

    @classmethod
    def of(cls, config: TrialConfig, size: GraphSize) -> _Shape:
        own = config.downstream
        features = tuple(size.width(channel, config.data) for channel in config.data.channels)
        embeddings = tuple(config.pretrain.width_of(channel) for channel in config.data.channels)
        return cls(
            nodes=size.nodes,
            edges=size.edges + size.nodes,
            relations=size.relations + 1,
            train=math.ceil(size.labelled * _TRAIN_SHARE),
            features=features,
            embeddings=embeddings,
            width=own.sees_features * sum(features) + own.sees_embeddings * sum(embeddings),
            item=8 if config.runtime.dtype == "float64" else 4,
        )

    def edge_array(self, heads: int) -> float:
        """Bytes of [E, heads]."""
        return float(self.edges * heads * self.item)

    def node_array(self, width: float) -> float:
        """Bytes of [N, width]."""
        return self.nodes * width * self.item


def _encoding(config: TrialConfig, shape: _Shape) -> float:
    """Stage 1, channel after channel: PreGAT or GAT, the losses, and the ridge probes in float64."""
    own, inner = config.pretrain, config.pretrain.heads * config.pretrain.hidden
    total = 6 * shape.edge_array(own.heads)
    pairs = zip(shape.features, shape.embeddings, strict=True)
    total += max(shape.node_array(5 * seen + 5 * inner + 10 * out) for seen, out in pairs)
    if not config.downstream.needs_pretraining:
        return total
    top = own.imp_ratio * shape.train
    drawn = min(top * (own.nontop_ratio - 1), shape.train - top) / 2
    total += 5 * top * drawn * shape.item
    columns = sum(shape.features) + sum(shape.embeddings)
    # [n, 2 · columns] and what becomes of it; [2 · columns, 2 · columns] and its factors.
    return total + shape.nodes * columns * 20 + 8 * 5 * (2 * columns) ** 2


def _model(config: TrialConfig, shape: _Shape) -> float:
    """Stage 2 beyond its input."""
    own = config.downstream
    if own.model_config.trained:
        formula = _TRAINED.get(own.model)
        return _other(shape) if formula is None else formula(own, shape)
    if not own.model_config.sees_inputs:
        return 16.0 * shape.edges
    # scikit-learn, on a float64 copy.
    trees = own.random_forest.num_trees * shape.train * 160 if own.model == "random_forest" else 0
    return 24 * shape.nodes * shape.width + trees


def _geni(own: GENIConfig, shape: _Shape) -> float:
    # Each head's scoring network is half as wide as the input.
    networks = shape.node_array(4 * own.heads * shape.width / 2 + 6 * shape.width)
    return networks + (own.layers + 4) * shape.edge_array(own.heads)


def _gat(own: GATConfig, shape: _Shape) -> float:
    return 6 * shape.edge_array(own.heads) + shape.node_array(6 * shape.width + 8 * own.hidden)


def _summing(own: GCNConfig | GraphSAGEConfig | SGCConfig, shape: _Shape) -> float:
    return shape.edge_array(4) + shape.node_array(6 * shape.width + 8 * own.hidden)


def _rgcn(own: RGCNConfig, shape: _Shape) -> float:
    matrix = shape.width * own.hidden * shape.item
    matrices = _PARAMETER_COPIES * matrix * (own.num_bases or shape.relations)
    if own.num_bases is not None:
        matrices += 2 * matrix * shape.relations
    chunk = 3 * min(shape.edges, _CHUNK) * (shape.width + own.hidden) * shape.item
    return matrices + chunk + shape.node_array(4 * shape.width + 8 * own.hidden)


def _rgtn(own: RGTNConfig, shape: _Shape) -> float:
    layer = 6 * shape.edge_array(own.heads) + shape.node_array(18 * own.heads * own.hidden)
    return 2 * own.layers * layer + shape.node_array(6 * shape.width) + 40 * shape.train * own.list_num


def _other(shape: _Shape) -> float:
    """A model that has no formula here: as much as one of eight heads of attention in three layers."""
    return 18 * shape.edge_array(8) + shape.node_array(12 * shape.width)


_TRAINED: Mapping[str, Callable[[DownstreamConfig, _Shape], float]] = {
    "geni": lambda own, shape: _geni(own.geni, shape),
    "rgtn": lambda own, shape: _rgtn(own.rgtn, shape),
    "gcn": lambda own, shape: _summing(own.gcn, shape),
    "graphsage": lambda own, shape: _summing(own.graphsage, shape),
    "rgcn": lambda own, shape: _rgcn(own.rgcn, shape),
    "sgc": lambda own, shape: _summing(own.sgc, shape),
    "gat": lambda own, shape: _gat(own.gat, shape),
}
