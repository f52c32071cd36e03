"""A graph's edges as the numba kernels take them: grouped by one end, in chunks that threads take turns at.

Needs no numba.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from licap.graph import Adjacency, IndexArray, KnowledgeGraph
from licap.ops.per_graph import PerGraph

# Sums over relations are kept apart per chunk.
_MOST_CHUNKS, _FEWEST_CHUNKS = 32, 8


class Edges(NamedTuple):
    """Edges grouped by one end; the group of node v stands at indptr[v] … indptr[v + 1].

    ends, rel: [E] other ends and relations. bounds: [C + 1] first nodes of the chunks. room: the largest group's edges.
    """

    indptr: IndexArray
    ends: IndexArray
    rel: IndexArray
    bounds: NDArray[np.int64]
    room: int

    @property
    def chunks(self) -> int:
        """C."""
        return self.bounds.size - 1


@dataclass(frozen=True, eq=False)
class BothWays:
    """The same edges grouped by destination and by source.

    places: [E] of those by source among those by destination.
    """

    by_dst: Edges
    by_src: Edges
    places: IndexArray


@PerGraph
def both_ways(graph: KnowledgeGraph) -> BothWays:
    """The graph's edges."""
    incoming, outgoing = graph.incoming.order, graph.outgoing.order
    among_incoming = np.empty_like(incoming)
    among_incoming[incoming] = np.arange(incoming.size)
    return BothWays(
        by_dst=_edges(graph, graph.incoming, graph.src),
        by_src=_edges(graph, graph.outgoing, graph.dst),
        places=among_incoming[outgoing],
    )


def _edges(graph: KnowledgeGraph, adjacency: Adjacency, ends: IndexArray) -> Edges:
    """Chunks depend on nothing but the graph. Few where there are many relations, as each chunk has a sum for each."""
    chunks = min(_MOST_CHUNKS, max(_FEWEST_CHUNKS, graph.num_edges // (4 * max(1, graph.num_relations))))
    # Nodes count as well as edges: each has a row to write.
    work = adjacency.indptr.astype(np.int64) + np.arange(graph.num_nodes + 1)
    bounds = np.searchsorted(work, np.linspace(0, work[-1], chunks + 1).astype(np.int64))
    return Edges(
        # Arrays of a graph are read-only, which is another type to numba.
        indptr=adjacency.indptr.copy(),
        ends=ends[adjacency.order],
        rel=graph.rel[adjacency.order],
        bounds=bounds.astype(np.int64),
        room=int(np.diff(adjacency.indptr).max(initial=0)),
    )
