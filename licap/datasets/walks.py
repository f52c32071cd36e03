"""Second-order random walks of node2vec over the undirected graph, in a numba kernel.

Notation: N nodes, W walks of L nodes, p return and q in-out parameter. A walk that came from t to v goes on to x with
probability proportional to m(v, x)·a, m the number of edges between v and x, and a = 1/p where x = t, 1 where x and t
are neighbours, 1/q elsewhere. Source: Grover & Leskovec, KDD 2016, section 3.2; drawn by rejection as in KnightKing
(Yang et al., SOSP 2019), so that no alias table per edge exists. Knows nothing of embeddings.

Each walk has a random stream of its own, made of seed, start node and walk number: neither the batch that a
walk stands in nor the number of threads changes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from licap.compiled import compiled
from licap.graph import KnowledgeGraph

# After so many refusals the next node is drawn by its exact probability: with p = 1e-4 hardly a proposal is accepted.
_MAX_REFUSALS = 24

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class Neighbours:
    """The undirected graph as walks see it.

    indptr: [N + 1]; the neighbours of node v stand, ascending, at nodes[indptr[v]:indptr[v + 1]]. Each edge counts in
    both directions, and parallel edges stand as often as they occur, so that a uniform draw is one by multiplicity.
    Self loops are left out: a walk that stays where it is says nothing about structure.
    """

    indptr: NDArray[np.int64]
    nodes: NDArray[np.int32]

    @property
    def degree(self) -> NDArray[np.int64]:
        """[N] edges of each node that a walk can take."""
        return np.diff(self.indptr)


def undirected_neighbours(graph: KnowledgeGraph) -> Neighbours:
    """The graph's edges in both directions, grouped by node and sorted."""
    proper = graph.src != graph.dst
    ends = graph.src[proper], graph.dst[proper]
    keys = np.concatenate([ends[0], ends[1]]).astype(np.int64)
    keys *= graph.num_nodes
    keys += np.concatenate([ends[1], ends[0]])
    keys.sort()
    indptr = np.zeros(graph.num_nodes + 1, dtype=np.int64)
    np.cumsum(np.bincount(keys // graph.num_nodes, minlength=graph.num_nodes), out=indptr[1:])
    return Neighbours(indptr, (keys % graph.num_nodes).astype(np.int32))


def random_walks(
    neighbours: Neighbours, starts: NDArray[np.int64], *, number: int, length: int, p: float, q: float, seed: int
) -> NDArray[np.int32]:
    """The `number`-th walk from each of the start nodes.

    starts: [W], nodes with at least one neighbour. Returns: [W, L] node ids, each beside its predecessor in the graph.
    """
    walks = np.empty((starts.size, length), dtype=np.int32)
    _fill_walks(neighbours.indptr, neighbours.nodes, starts, number, 1.0 / p, 1.0 / q, seed, walks)
    return walks


@compiled
def _scramble(state: np.uint64) -> np.uint64:  # pragma: no cover - compiled, as all below
    """The output function of splitmix64 (Steele, Lea & Flood, OOPSLA 2014)."""
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))


@compiled
def _unit(state: np.uint64) -> float:  # pragma: no cover
    """A float in [0, 1) from the upper 53 bits of the scrambled state."""
    return np.float64(_scramble(state) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@compiled
def _contains(nodes: NDArray[np.int32], low: int, high: int, wanted: int) -> bool:  # pragma: no cover
    """Whether `wanted` stands in the ascending nodes[low:high]."""
    end = high
    while low < high:
        middle = (low + high) // 2
        if nodes[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low < end and nodes[low] == wanted


@compiled
def _bias(
    indptr: NDArray[np.int64], nodes: NDArray[np.int32], previous: int, candidate: int, back: float, out: float
) -> float:  # pragma: no cover
    """The factor a of the module's head."""
    if candidate == previous:
        return back
    if out == 1.0 or _contains(nodes, indptr[previous], indptr[previous + 1], candidate):
        return 1.0
    return out


@compiled
def _exact(
    indptr: NDArray[np.int64],
    nodes: NDArray[np.int32],
    previous: int,
    here: int,
    back: float,
    out: float,
    share: float,
) -> int:  # pragma: no cover
    """The neighbour at a share of the whole weight: two looks at every neighbour, no refusals."""
    total = 0.0
    for place in range(indptr[here], indptr[here + 1]):
        total += _bias(indptr, nodes, previous, nodes[place], back, out)
    left = share * total
    for place in range(indptr[here], indptr[here + 1]):
        left -= _bias(indptr, nodes, previous, nodes[place], back, out)
        if left < 0.0:
            return int(nodes[place])
    return int(nodes[indptr[here + 1] - 1])


@compiled
def _fill_walks(
    indptr: NDArray[np.int64],
    nodes: NDArray[np.int32],
    starts: NDArray[np.int64],
    number: int,
    back: float,
    out: float,
    seed: int,
    walks: NDArray[np.int32],
) -> None:  # pragma: no cover
    """Writes one walk per start node. Not parallel: skip-gram takes longer, and numba's threads disturb torch's."""
    largest = max(back, 1.0, out)
    unbiased = back == 1.0 and out == 1.0
    for row in range(starts.size):
        state = _scramble(_scramble(np.uint64(seed) + _GOLDEN) ^ np.uint64(starts[row]))
        state = _scramble(state ^ (np.uint64(number) * _GOLDEN))
        previous, here = -1, int(starts[row])
        walks[row, 0] = here
        for step in range(1, walks.shape[1]):
            low, degree = indptr[here], indptr[here + 1] - indptr[here]
            refusals = 0
            while True:
                state += _GOLDEN
                candidate = nodes[low + np.int64(_unit(state) * degree)]
                if previous < 0 or unbiased:
                    break
                state += _GOLDEN
                if _unit(state) * largest < _bias(indptr, nodes, previous, candidate, back, out):
                    break
                refusals += 1
                if refusals == _MAX_REFUSALS:
                    state += _GOLDEN
                    candidate = _exact(indptr, nodes, previous, here, back, out, _unit(state))
                    break
            previous, here = here, int(candidate)
            walks[row, step] = here
