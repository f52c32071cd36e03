"""A graph's edges as the Triton kernels take them: grouped by one key, and cut into pieces that one program each sums.

A node with very many edges would keep one program busy while all others are done, so its edges are several pieces,
whose sums are folded afterwards in their order. Needs no triton. Notation: E edges, K groups, P pieces, L long groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from licap.graph import IndexArray, KnowledgeGraph
from licap.ops.per_graph import PerGraph

# Edges of a piece: some sixteen steps of a program, so that a row written per piece is little beside the rows read.
PIECE = 256


@dataclass(frozen=True, eq=False)
class Pieces:
    """Edges grouped by a key, in pieces of at most `PIECE` edges of one group; a group without edges has an empty one.

    cuts: [P + 1] first edges of the pieces. group: [P]. to: [P] where a piece's sum goes: its group, or K + its number
    among the parts of long groups. long: [L] groups of several pieces. parts: [L + 1] first parts of these.
    groups, num_parts: K, and the number of parts.
    """

    cuts: Tensor
    group: Tensor
    to: Tensor
    long: Tensor
    parts: Tensor
    groups: int
    num_parts: int

    def __len__(self) -> int:
        return self.group.shape[0]


@dataclass(frozen=True, eq=False)
class DeviceEdges:
    """The same edges in three orders, and what each order's edges have.

    src_by_dst, rel_by_dst, dst_by_src, rel_by_src, src_by_rel: [E] ends and relations. place_by_dst, place_by_rel: [E]
    places of these edges among those by source.
    """

    by_dst: Pieces
    by_src: Pieces
    by_rel: Pieces
    src_by_dst: Tensor
    rel_by_dst: Tensor
    place_by_dst: Tensor
    dst_by_src: Tensor
    rel_by_src: Tensor
    src_by_rel: Tensor
    place_by_rel: Tensor


@PerGraph
def device_edges(graph: KnowledgeGraph, device: torch.device) -> DeviceEdges:
    """The graph's edges on a device, int32 where the graph's are."""
    into, out_of = graph.incoming.order, graph.outgoing.order
    # Edges of a relation are taken by source, as what is summed over them was written in that order.
    place_by_rel = np.argsort(graph.rel[out_of], kind="stable")
    place = np.empty_like(out_of)
    place[out_of] = np.arange(out_of.size)
    indptr_by_rel = np.concatenate([[0], np.cumsum(np.bincount(graph.rel, minlength=graph.num_relations))])

    def tensor(array: IndexArray) -> Tensor:
        return torch.from_numpy(array.astype(graph.src.dtype)).to(device)

    def pieces(indptr: IndexArray) -> Pieces:
        cuts, group, to, long, parts = (tensor(each) for each in _cut(indptr.astype(np.int64)))
        return Pieces(cuts, group, to, long, parts, groups=indptr.size - 1, num_parts=int(parts[-1]))

    return DeviceEdges(
        by_dst=pieces(graph.incoming.indptr),
        by_src=pieces(graph.outgoing.indptr),
        by_rel=pieces(indptr_by_rel),
        src_by_dst=tensor(graph.src[into]),
        rel_by_dst=tensor(graph.rel[into]),
        place_by_dst=tensor(place[into]),
        dst_by_src=tensor(graph.dst[out_of]),
        rel_by_src=tensor(graph.rel[out_of]),
        src_by_rel=tensor(graph.src[out_of][place_by_rel]),
        place_by_rel=tensor(place_by_rel),
    )


def _cut(indptr: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """The five arrays of `Pieces`, from where groups begin and end [K + 1]."""
    groups = indptr.size - 1
    pieces = np.maximum(1, -(-np.diff(indptr) // PIECE))
    group = np.repeat(np.arange(groups), pieces)
    number = np.arange(group.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    cuts = np.append(indptr[group] + number * PIECE, indptr[-1])
    is_part = pieces[group] > 1
    to = np.where(is_part, groups + np.cumsum(is_part) - 1, group)
    long = np.flatnonzero(pieces > 1)
    return cuts, group, to, long, np.concatenate([[0], np.cumsum(pieces[long])])
