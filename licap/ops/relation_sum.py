"""A sum over incoming edges with a matrix per relation (R-GCN), in plain torch; one implementation for all backends.

Edges are taken relation by relation, so that each relation is one matrix product, and in chunks, so that no array of
all edges times the input width exists. Notation: N nodes, E edges, R relations, F and G input and output width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from licap.graph import KnowledgeGraph
from licap.ops.per_graph import PerGraph

# Edges of a chunk: 64 Ki rows of 448 floats are 117 MB.
_CHUNK = 65_536


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Edges of some relations, whole or cut. src, dst: [C]. spans: relation, first and last + 1 position of each."""

    src: Tensor
    dst: Tensor
    spans: tuple[tuple[int, int, int], ...]


def relation_sum(x: Tensor, weight: Tensor, graph: KnowledgeGraph) -> Tensor:
    """out[v] = Σ_{e=(u→v)} x[u] · weight[type(e)], parallel edges counted one by one.

    x: [N, F]. weight: [R, F, G]. float32 or float64, on one device. Differentiable once in both.
    Returns: [N, G], zero where no edge comes in.
    Source: R-GCN (Schlichtkrull et al., ESWC 2018), equation 2 without its normalisation (published).
    """
    out: Tensor = _RelationSum.apply(x, weight, chunks_of(graph, x.device))  # type: ignore[no-untyped-call]
    return out


@PerGraph
def chunks_of(graph: KnowledgeGraph, device: torch.device) -> tuple[_Chunk, ...]:
    """The graph's edges on a device, relation by relation."""
    return tuple(_chunks(graph, device))


def _chunks(graph: KnowledgeGraph, device: torch.device) -> Iterator[_Chunk]:
    order = np.argsort(graph.rel, kind="stable")
    for first in range(0, order.size, _CHUNK):
        edges = order[first : first + _CHUNK]
        rel = graph.rel[edges]
        starts = np.flatnonzero(np.r_[True, rel[1:] != rel[:-1]])
        ends = np.r_[starts[1:], rel.size]
        spans = tuple((int(rel[a]), int(a), int(b)) for a, b in zip(starts, ends, strict=True))
        src, dst = (torch.from_numpy(ids[edges].astype(np.int64)).to(device) for ids in (graph.src, graph.dst))
        yield _Chunk(src, dst, spans)


class _RelationSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, chunks: tuple[_Chunk, ...]) -> Tensor:
        out = x.new_zeros(x.shape[0], weight.shape[2])
        for chunk in chunks:
            rows = x.index_select(0, chunk.src)
            messages = torch.cat([rows[a:b] @ weight[r] for r, a, b in chunk.spans])
            out.index_add_(0, chunk.dst, messages)
        ctx.save_for_backward(x, weight)
        ctx.chunks = chunks
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        d_x, d_weight = (
            torch.zeros_like(each) if wanted else None
            for each, wanted in zip((x, weight), ctx.needs_input_grad[:2], strict=True)
        )
        for chunk in ctx.chunks:
            arrived = grad.index_select(0, chunk.dst)
            if d_weight is not None:
                rows = x.index_select(0, chunk.src)
                for r, a, b in chunk.spans:
                    d_weight[r].addmm_(rows[a:b].T, arrived[a:b])
            if d_x is not None:
                back = torch.cat([arrived[a:b] @ weight[r].T for r, a, b in chunk.spans])
                d_x.index_add_(0, chunk.src, back)
        return d_x, d_weight, None
