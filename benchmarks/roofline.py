"""How near a primitive comes to what the memory allows: the bytes that it must move, and the bandwidth measured here.

All primitives do a few operations for each number they read, so memory bounds them, not arithmetic. Bytes are counted
for float32 numbers and int32 ids, in two ways that bracket the truth:

gathered: a row that an edge asks for is read anew for every edge, as if there were no cache. True of graphs whose
arrays of nodes are far larger than the caches; on smaller ones more than the whole can be reached.
once: every array is read or written once, as if the cache held all of them.

No [E, H] array is counted, since none is needed: weights can be computed again from the logarithm of a node's sum.
Notation: N nodes, E edges, R relations, H heads, D width; a word is 4 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch

from benchmarks.measuring import timed
from licap.graph import KnowledgeGraph

_WORD = 4
# 128 MB each, and 1 GB on a GPU, where a launch takes some of the time: several times any cache.
_STREAM = {"cpu": 2**25, "cuda": 2**28}


@dataclass(frozen=True)
class Traffic:
    """Bytes of one pass, by either count."""

    gathered: int
    once: int


@dataclass(frozen=True)
class Moved:
    """Bytes of a primitive's two passes."""

    forward: Traffic
    backward: Traffic


def relation_attention(graph: KnowledgeGraph, heads: int, width: int) -> Moved:
    """Forward, an edge: ids of source and relation, the source's message (H D) and term (H), the relation's term (H).
    A node: where its edges begin, its term (H), the output and the part of it that came over edges with logits not
    below zero (2 H D), the logarithm of its sum and that part of the weights (2 H).

    Backward, an edge, by source: ids of destination and relation, the destination's gradient (H D), term, logarithm and
    delta (3 H), the relation's term (H). A node: where its edges begin, message and term and their gradients
    (2 H D + 2 H). As a destination: gradient, output and part (3 H D) and share (H), of which delta and the gradient of
    its term (H) are made without a look at its edges. A relation: the gradient of its term (H).
    """
    nodes, edges, relations = graph.num_nodes, graph.num_edges, graph.num_relations
    row = heads * width
    forward = _traffic(
        ids=2 * edges,
        gathered=edges * (row + 2 * heads),
        tables=nodes * (row + heads) + relations * heads,
        own=nodes * (1 + 2 * row + 3 * heads),
    )
    backward = _traffic(
        ids=2 * edges,
        gathered=edges * (row + 4 * heads),
        tables=nodes * (row + 3 * heads) + relations * heads,
        own=nodes * (1 + 5 * row + 4 * heads) + relations * heads,
    )
    return Moved(forward, backward)


def dot_attention(graph: KnowledgeGraph, heads: int, width: int) -> Moved:
    """Forward, an edge: ids of source and relation, the source's key and value (2 H D), gain and shift (2 H). A node:
    where its edges begin, its query (H D), the output (H D), the logarithm of its sum (H).

    Backward goes over the edges twice, as queries add up at destinations, keys and values at sources. By destination,
    an edge: as forward. A node: where its edges begin, query, gradient and output (3 H D), logarithm and delta (2 H),
    the query's gradient (H D). By source, an edge: ids of destination and relation, the destination's query and
    gradient (2 H D), logarithm and delta (2 H), gain and shift (2 H). A node: where its edges begin, key and value
    (2 H D) and their gradients (2 H D).
    """
    nodes, edges, relations = graph.num_nodes, graph.num_edges, graph.num_relations
    row = heads * width
    of_relations = 2 * relations * heads
    forward = _traffic(
        ids=2 * edges,
        gathered=edges * (2 * row + 2 * heads),
        tables=2 * nodes * row + of_relations,
        own=nodes * (1 + 2 * row + heads),
    )
    backward = _traffic(
        ids=4 * edges,
        gathered=edges * (2 * row + 2 * heads) + edges * (2 * row + 4 * heads),
        tables=2 * nodes * row + nodes * (2 * row + 2 * heads) + 2 * of_relations,
        own=nodes * (1 + 4 * row + 2 * heads) + nodes * (1 + 4 * row) + of_relations,
    )
    return Moved(forward, backward)


def neighbour_sum(graph: KnowledgeGraph, heads: int, width: int) -> Moved:
    """Either way, an edge: the other end's id and row (H D). A node: where its edges begin, and the sum (H D)."""
    nodes, edges, row = graph.num_nodes, graph.num_edges, heads * width
    each = _traffic(ids=edges, gathered=edges * row, tables=nodes * row, own=nodes * (1 + row))
    return Moved(each, each)


def stream_bandwidth(device: str) -> float:
    """Bytes a second of a triad, a = b + 3 c, over large arrays, on torch's threads or on a GPU.

    Counts what is read and written (12 bytes an element), as STREAM does (McCalpin, 1995).
    """
    a, b, c = _arrays(device)
    _, seconds = timed(lambda: torch.add(b, c, alpha=3.0, out=a))
    return 3 * _WORD * a.numel() / seconds


@cache
def _arrays(device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Made once: the first touch of a page costs more than any later one."""
    a, b, c = (torch.ones(_STREAM[torch.device(device).type], device=device) for _ in range(3))
    return a, b, c


def _traffic(*, ids: int, gathered: int, tables: int, own: int) -> Traffic:
    """Words to bytes. gathered: rows read for edges. tables: the arrays that these rows come from. own: of nodes."""
    return Traffic(_WORD * (ids + gathered + own), _WORD * (ids + tables + own))
