"""The knowledge graph as index arrays: edges as given, sorted by either end, relation ids and degrees.

Messages go from `src` to `dst`. Knows nothing of features, labels or models; dgl only inside `to_dgl`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from licap.errors import DataError
from licap.logarithm import log1p_float32

IndexArray = NDArray[np.int32] | NDArray[np.int64]


@dataclass(frozen=True)
class Adjacency:
    """Edges grouped by one of their ends.

    indptr: [N + 1], edges of node v stand at indptr[v]:indptr[v + 1]. order: [E], their numbers in the graph's order;
    the given order is kept within a node.
    """

    indptr: IndexArray
    order: IndexArray


@dataclass(frozen=True, eq=False)
class KnowledgeGraph:
    """Directed edges with a relation each; parallel edges and self loops are kept as given.

    src, dst, rel: [E], int32 where node, relation and edge counts allow it, else int64. Read-only.
    """

    src: IndexArray
    dst: IndexArray
    rel: IndexArray
    num_nodes: int
    num_relations: int

    @classmethod
    def from_edges(
        cls, src: ArrayLike, dst: ArrayLike, rel: ArrayLike, *, num_nodes: int, num_relations: int
    ) -> KnowledgeGraph:
        """Stores edges as given.

        Raises: DataError where lengths differ, or an id is out of range or no integer.
        """
        arrays = [_index_array(name, ids) for name, ids in (("src", src), ("dst", dst), ("rel", rel))]
        if len({array.size for array in arrays}) > 1:
            raise DataError(f"src, dst and rel must be equally long (got {[array.size for array in arrays]}).")
        for name, array, limit in zip(
            ("src", "dst", "rel"), arrays, (num_nodes, num_nodes, num_relations), strict=True
        ):
            _check_range(name, array, limit)
        largest = max(num_nodes, num_relations, arrays[0].size) + 1
        dtype = np.int32 if largest < np.iinfo(np.int32).max else np.int64
        compact = [_read_only(array.astype(dtype)) for array in arrays]
        return cls(compact[0], compact[1], compact[2], num_nodes, num_relations)

    @property
    def num_edges(self) -> int:
        """E."""
        return int(self.src.size)

    def with_self_loops(self) -> KnowledgeGraph:
        """Appends one self loop to every node in node order, of one new relation, whatever loops exist."""
        nodes = np.arange(self.num_nodes)
        return KnowledgeGraph.from_edges(
            np.concatenate([self.src, nodes]),
            np.concatenate([self.dst, nodes]),
            np.concatenate([self.rel, np.full(self.num_nodes, self.num_relations)]),
            num_nodes=self.num_nodes,
            num_relations=self.num_relations + 1,
        )

    @cached_property
    def incoming(self) -> Adjacency:
        """CSC: edges grouped by destination."""
        return _group(self.dst, self.num_nodes)

    @cached_property
    def outgoing(self) -> Adjacency:
        """CSR: edges grouped by source."""
        return _group(self.src, self.num_nodes)

    @cached_property
    def in_degree(self) -> NDArray[np.int64]:
        """[N], parallel edges counted."""
        return np.bincount(self.dst, minlength=self.num_nodes)

    @cached_property
    def out_degree(self) -> NDArray[np.int64]:
        """[N], parallel edges counted."""
        return np.bincount(self.src, minlength=self.num_nodes)

    def degree_centrality(self) -> NDArray[np.float32]:
        """[N] log(in-degree + 1e-4), in float32. Source: GENI (KDD 2019), section 3.3; published epsilon."""
        shifted = self.in_degree.astype(np.float32) + np.float32(1e-4)
        return log1p_float32(shifted.astype(np.float64) - 1)

    def to_dgl(self) -> Any:
        """The same edges, in the same order, as a DGL graph. Raises: DeviceError where DGL is missing."""
        import torch

        from licap.optional import import_dgl

        ends = [torch.from_numpy(array.astype(np.int64)) for array in (self.src, self.dst)]
        return import_dgl().graph((ends[0], ends[1]), num_nodes=self.num_nodes)


def _index_array(name: str, ids: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(ids)
    if array.ndim != 1:
        raise DataError(f"{name} must be one-dimensional (got shape {array.shape}).")
    if array.size == 0:
        return array.astype(np.int64)
    if not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"{name} must hold integer ids (got {array.dtype}).")
    return array.astype(np.int64)


def _check_range(name: str, array: NDArray[np.int64], limit: int) -> None:
    wrong = np.flatnonzero((array < 0) | (array >= limit))
    if wrong.size:
        place = int(wrong[0])
        raise DataError(
            f"{name}[{place}] is {int(array[place])}, must be 0 to {limit - 1} ({wrong.size} such ids). "
            "Check the ids, or the number of nodes or relations."
        )


def _read_only(array: Any) -> Any:
    array.flags.writeable = False
    return array


def _group(ends: IndexArray, num_nodes: int) -> Adjacency:
    order = np.argsort(ends, kind="stable").astype(ends.dtype)
    indptr = np.zeros(num_nodes + 1, dtype=ends.dtype)
    np.cumsum(np.bincount(ends, minlength=num_nodes), out=indptr[1:])
    return Adjacency(_read_only(indptr), _read_only(order))
