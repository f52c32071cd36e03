"""A generated knowledge graph of any size, with importance that structure and text both tell something about.

Notation: N nodes, E edges, R relations. Types, circles (groups that prefer each other) and how attractive a node is are
laid out first; then all edges are drawn at once by looking up random numbers in a running sum of attraction, so that
the cost is E log N without a loop over edges.

Random numbers come from numpy's PCG64 with the config's seed: the same config gives the same bits with one numpy
version. Raw importance is a whole number, as page views are, so that the last digits of a logarithm do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from licap.config import SyntheticConfig
from licap.datasets.raw import RawGraph
from licap.datasets.synthetic_names import (
    fame_levels,
    node_descriptions,
    node_names,
    relation_names,
    relation_templates,
)
from licap.datasets.synthetic_words import CIRCLES, NODE_TYPES, NodeType
from licap.graph import KnowledgeGraph

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Exponent of the degrees' power law; knowledge graphs have about 2 to 2.5.
_DEGREE_EXPONENT = 2.2
_ISOLATED_SHARE = 0.01
_INVALID_SHARE = 0.05
_LEAST_VALID = 50
_CIRCLE_PREFERENCE = 0.6
# Popular pairs are drawn often; drawn anew so many times, repeats become about as rare as in real graphs.
_ROUNDS_AGAINST_REPEATS = 3
_REPEATED_SHARE = 0.002
_LOOP_SHARE = 0.001

# What log importance is made of, in standard deviations of each part, and its middle: about 400 page views.
_OWN_DEGREE, _NEIGHBOURHOOD, _TEXT = 0.8, 0.75, 0.65
_MIDDLE = 6.0


def generate(config: SyntheticConfig) -> RawGraph:
    """Generates the graph that a config describes; see the module's head for what is reproducible.

    Degrees follow a power law, relations Zipf's law; edges join plausible types. Among the nodes are isolated ones and
    5 % without a valid score (never fewer than 50 valid ones); among the edges repeated triples and self loops.
    log importance = degree + neighbourhood + fame in the description + noise; raw scores are at least 1.
    """
    rng = np.random.Generator(np.random.PCG64(config.seed))
    layout = _lay_out(config, rng)
    src, dst, rel = _draw_edges(layout, config, rng)
    praise, clause = fame_levels(layout.fame, rng)
    graph = KnowledgeGraph.from_edges(src, dst, rel, num_nodes=config.num_nodes, num_relations=config.num_relations)
    valid = _valid_nodes(config.num_nodes, rng)
    score = _log_importance(graph, praise + clause, config.noise, rng)
    return RawGraph(
        name=f"synthetic-{config.num_nodes}",
        graph=graph,
        importance=np.where(valid, np.rint(np.exp(score)) + 1.0, 0.0).astype(np.float32),
        valid=valid,
        names=node_names(layout.type_of, layout.types, rng),
        relation_names=relation_names(config.num_relations),
        descriptions=node_descriptions(layout.type_of, layout.types, layout.circle, praise, clause, rng),
    )


@dataclass(frozen=True)
class _Layout:
    """What nodes are before there are edges.

    type_of, circle: [N]. fame: [N] about standard normal, shared in part within a circle. attraction: [N] how often
    edges come in, relative to others; 0 for isolated nodes. head_type, tail_type: [R] positions in `types`.
    """

    types: tuple[NodeType, ...]
    type_of: Ints
    circle: Ints
    fame: Floats
    attraction: Floats
    head_type: Ints
    tail_type: Ints


def _lay_out(config: SyntheticConfig, rng: np.random.Generator) -> _Layout:
    templates = relation_templates(config.num_relations)
    joined = {each.head for each in templates} | {each.tail for each in templates}
    types = tuple(each for each in NODE_TYPES if each.name in joined)
    position = {each.name: number for number, each in enumerate(types)}
    type_of = rng.permutation(_apportion(np.array([each.share for each in types]), config.num_nodes, at_least=1))
    num_circles = min(len(CIRCLES), max(2, config.num_nodes // 60))
    circle = rng.integers(num_circles, size=config.num_nodes)
    circle_fame = np.linspace(-1.5, 1.5, num_circles)[rng.permutation(num_circles)]
    fame = 0.6 * circle_fame[circle] + 0.8 * rng.standard_normal(config.num_nodes)
    return _Layout(
        types=types,
        type_of=type_of,
        circle=circle,
        fame=fame,
        attraction=_attraction(type_of, rng),
        head_type=np.array([position[each.head] for each in templates]),
        tail_type=np.array([position[each.tail] for each in templates]),
    )


def _apportion(shares: Floats, total: int, *, at_least: int) -> Ints:
    """[total] category numbers, ascending, as many of each as its share says; the first takes what rounding leaves."""
    counts = np.maximum(np.floor(shares / shares.sum() * total).astype(np.int64), at_least)
    counts[0] += total - counts.sum()
    return np.repeat(np.arange(shares.size), counts)


def _attraction(type_of: Ints, rng: np.random.Generator) -> Floats:
    """[N] quantiles of a power law, shuffled: no seed has an unlucky hub. Some nodes get 0, but not all of a type."""
    num_nodes = type_of.size
    quantile = (np.arange(num_nodes) + 0.5) / num_nodes
    attraction = rng.permutation(quantile ** (-1.0 / (_DEGREE_EXPONENT - 1.0)))
    _, one_of_each = np.unique(type_of, return_index=True)
    isolated = rng.choice(num_nodes, size=max(2, round(_ISOLATED_SHARE * num_nodes)), replace=False)
    attraction[np.setdiff1d(isolated, one_of_each)] = 0.0
    return attraction


def _draw_edges(layout: _Layout, config: SyntheticConfig, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """src, dst, rel: [E], in no particular order."""
    zipf = 1.0 / np.arange(1, config.num_relations + 1)
    rel = rng.permutation(_apportion(zipf, config.num_edges, at_least=0))
    # Being the source of many edges is less concentrated than being the destination of many.
    heads = _Urn.of(layout, np.sqrt(layout.attraction))
    tails = _Urn.of(layout, layout.attraction)
    src = heads.draw_of_type(layout.head_type[rel], rng)
    dst = tails.draw_near(layout.tail_type[rel], layout.circle[src], rng)
    for _ in range(_ROUNDS_AGAINST_REPEATS):
        again = _repeats_and_loops(src, dst, rel)
        src[again] = heads.draw_of_type(layout.head_type[rel[again]], rng)
        dst[again] = tails.draw_of_type(layout.tail_type[rel[again]], rng)
    _repeat_some(src, dst, rel, rng)
    same_type = np.flatnonzero(layout.type_of[src] == layout.type_of[dst])
    loops = rng.choice(same_type, size=min(same_type.size, max(1, round(_LOOP_SHARE * rel.size))), replace=False)
    dst[loops] = src[loops]
    return src, dst, rel


def _repeats_and_loops(src: Ints, dst: Ints, rel: Ints) -> Ints:
    """Numbers of the edges that are self loops or repeat a triple seen before."""
    num_nodes = int(max(src.max(), dst.max())) + 1
    triple = (rel * num_nodes + src) * num_nodes + dst
    order = np.argsort(triple, kind="stable")
    wrong = src == dst
    wrong[order[1:][triple[order[1:]] == triple[order[:-1]]]] = True
    return np.flatnonzero(wrong)


def _repeat_some(src: Ints, dst: Ints, rel: Ints, rng: np.random.Generator) -> None:
    """Turns a few edges into copies of others."""
    count = max(1, round(_REPEATED_SHARE * rel.size))
    chosen = rng.choice(rel.size, size=2 * count, replace=False)
    for ends in (src, dst, rel):
        ends[chosen[:count]] = ends[chosen[count:]]


@dataclass(frozen=True)
class _Urn:
    """Nodes grouped by type and, within, by circle, with a running sum of weights: a draw is one binary search.

    nodes: [N]. running: [N + 1]. group: [types·circles + 1], where each (type, circle) begins in `nodes`.
    """

    nodes: Ints
    running: Floats
    group: Ints
    num_circles: int

    @classmethod
    def of(cls, layout: _Layout, weight: Floats) -> _Urn:
        """Lays out the nodes with these weights, the lightest first in each group."""
        num_circles = int(layout.circle.max()) + 1
        key = layout.type_of * num_circles + layout.circle
        nodes = np.lexsort((weight, key))
        sizes = np.bincount(key, minlength=len(layout.types) * num_circles)
        return cls(nodes, _sum_before(weight[nodes]), _sum_before(sizes).astype(np.int64), num_circles)

    def draw_of_type(self, types: Ints, rng: np.random.Generator) -> Ints:
        """[E] a node of each of the types, by weight."""
        return self._draw(self.group[types * self.num_circles], self.group[(types + 1) * self.num_circles], rng)

    def draw_near(self, types: Ints, circles: Ints, rng: np.random.Generator) -> Ints:
        """[E] as `draw_of_type`, mostly from the given circles where these have such a node."""
        group = types * self.num_circles + circles
        first, last = self.group[group], self.group[group + 1]
        near = (rng.random(types.size) < _CIRCLE_PREFERENCE) & (self.running[first] < self.running[last])
        first = np.where(near, first, self.group[types * self.num_circles])
        last = np.where(near, last, self.group[(types + 1) * self.num_circles])
        return self._draw(first, last, rng)

    def _draw(self, first: Ints, last: Ints, rng: np.random.Generator) -> Ints:
        """A node of nodes[first:last] each, by weight."""
        low, high = self.running[first], self.running[last]
        place = np.searchsorted(self.running, low + rng.random(first.size) * (high - low), side="right") - 1
        # Rounding can reach the end of the range; the last node is its heaviest.
        return self.nodes[np.minimum(place, last - 1)]


def _sum_before(values: NDArray[np.float64] | Ints) -> Floats:
    """[n + 1] sums of all values before each."""
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])


def _valid_nodes(num_nodes: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    valid = np.ones(num_nodes, dtype=np.bool_)
    invalid = min(round(_INVALID_SHARE * num_nodes), num_nodes - _LEAST_VALID)
    valid[rng.choice(num_nodes, size=invalid, replace=False)] = False
    return valid


def _log_importance(graph: KnowledgeGraph, level: Ints, noise: float, rng: np.random.Generator) -> Floats:
    """[N] log importance. level: [N] fame that the description shows, negative where there is none."""
    degree = _standardised(np.log1p((graph.in_degree + graph.out_degree).astype(np.float64)))
    described = level >= 0
    text = np.where(described, level - level[described].mean() if described.any() else 0.0, 0.0)
    text = _standardised(text)
    quality = _standardised(degree + text)
    neighbourhood = _standardised(_mean_over_neighbours(graph, quality))
    signal = _OWN_DEGREE * degree + _NEIGHBOURHOOD * neighbourhood + _TEXT * text
    return _MIDDLE + signal + noise * rng.standard_normal(graph.num_nodes)


def _mean_over_neighbours(graph: KnowledgeGraph, values: Floats) -> Floats:
    """[N] mean over edges in both directions, 0 where there are none."""
    total = np.bincount(graph.dst, weights=values[graph.src], minlength=graph.num_nodes)
    total += np.bincount(graph.src, weights=values[graph.dst], minlength=graph.num_nodes)
    mean: Floats = total / np.maximum(graph.in_degree + graph.out_degree, 1)
    return mean


def _standardised(values: Floats) -> Floats:
    spread = values.std()
    standardised: Floats = (values - values.mean()) / (spread if spread > 0 else 1.0)
    return standardised
