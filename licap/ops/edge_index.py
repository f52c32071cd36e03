"""A graph's index arrays as tensors of one device, in the orders that the backends walk them; made once per graph.

Notation: edges sorted by destination are "in order"; a transposed order lists positions in that order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from licap.graph import KnowledgeGraph
from licap.ops.per_graph import PerGraph


@dataclass(frozen=True, eq=False)
class Grouping:
    """Edges grouped by one key, in CSR form.

    indptr: [K + 1]. edges: [E] positions in destination order. in_order: whether these are 0, 1, 2, …
    """

    indptr: Tensor
    edges: Tensor
    in_order: bool


@dataclass(frozen=True, eq=False)
class EdgeIndex:
    """Edges in destination order, and their groupings.

    src, dst, rel: [E]. All int32 where the graph's are.
    """

    src: Tensor
    dst: Tensor
    rel: Tensor
    by_dst: Grouping
    by_src: Grouping
    by_rel: Grouping


@PerGraph
def edge_index(graph: KnowledgeGraph, device: torch.device) -> EdgeIndex:
    """The graph's tensors on a device."""
    order = graph.incoming.order
    src, dst, rel = graph.src[order], graph.dst[order], graph.rel[order]

    def tensor(array: NDArray[np.int32] | NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(array.astype(graph.src.dtype)).to(device)

    def grouping(keys: NDArray[np.int32] | NDArray[np.int64], count: int) -> Grouping:
        indptr = np.concatenate([[0], np.cumsum(np.bincount(keys, minlength=count))])
        return Grouping(tensor(indptr), tensor(np.argsort(keys, kind="stable")), in_order=keys is dst)

    return EdgeIndex(
        src=tensor(src),
        dst=tensor(dst),
        rel=tensor(rel),
        by_dst=grouping(dst, graph.num_nodes),
        by_src=grouping(src, graph.num_nodes),
        by_rel=grouping(rel, graph.num_relations),
    )
