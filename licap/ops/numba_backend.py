"""The primitives in compiled kernels, on the CPU; the same inputs give the same bits, whatever the number of threads.

Each primitive is one pass over the edges forward, and one or two backward. numba is imported at the first call.
Notation: N nodes, E edges, R relations, H heads, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from licap.graph import Adjacency, IndexArray, KnowledgeGraph
from licap.ops.numba_threads import run
from licap.ops.registry import Backend, register
from licap.ops.torch_backend import dot_attention, neighbour_sum

# Chunks are what threads take turns at, and what sums over relations are kept apart for.
_MOST_CHUNKS, _FEWEST_CHUNKS = 32, 8
# Elements of the messages that a block of edges gathers: 64 KB of float32.
_BLOCK = 16_384


@dataclass(frozen=True, eq=False)
class _Grouping:
    """Edges grouped by one end. ends, rel: [E] other ends and relations. room: edges of the largest group.

    bounds: [C + 1] first nodes of the chunks, which have about as many edges each.
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

    def arguments(self, row: int) -> tuple[Any, ...]:
        """What kernels that walk along the edges start with. row: elements of a message."""
        block = min(512, max(32, _BLOCK // max(1, row)))
        return self.bounds, self.indptr, self.ends, self.rel, self.room, block


@dataclass(frozen=True, eq=False)
class _Index:
    """A graph's edges in both groupings."""

    by_dst: _Grouping
    by_src: _Grouping


_CACHE: WeakKeyDictionary[KnowledgeGraph, _Index] = WeakKeyDictionary()


def relation_attention(z: Tensor, el: Tensor, er: Tensor, em: Tensor, graph: KnowledgeGraph, *, slope: float) -> Tensor:
    """See `licap.ops.relation_attention`."""
    out: Tensor = _RelationAttention.apply(z, el, er, em, _index(graph), slope)  # type: ignore[no-untyped-call]
    return out


class _RelationAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, el: Tensor, er: Tensor, em: Tensor, index: _Index, slope: float) -> Tensor:
        z, el, er, em = (each.contiguous() for each in (z, el, er, em))
        out, rising, lse, share = (torch.empty_like(each) for each in (z, z, el, el))
        shape = z.shape[1:]
        grouping = index.by_dst
        run(
            _kernels().relation_forward,
            grouping.chunks,
            *grouping.arguments(shape.numel()),
            *shape,
            *_flat(slope, z, el, er, em, out, lse, rising, share),
        )
        ctx.save_for_backward(z, el, er, em, out, lse, rising, share)
        ctx.index, ctx.slope = index, slope
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        z, el, er, em, out, lse, rising, share = ctx.saved_tensors
        for_z, for_el, for_er, for_em, *_ = ctx.needs_input_grad
        grad = grad.contiguous()
        shape, index = z.shape[1:], ctx.index
        at_dst, d_er = z.new_empty(z.shape[0], 3, z.shape[1]), torch.empty_like(er)
        run(
            _kernels().relation_backward_by_dst,
            index.by_dst.chunks,
            index.by_dst.bounds,
            *shape,
            *_flat(ctx.slope, grad, er, out, lse, rising, share, at_dst, d_er),
        )
        chunks = index.by_src.chunks
        d_z = torch.empty_like(z) if for_z else z.new_empty(0)
        d_el, d_em = (
            (torch.empty_like(el), em.new_empty(chunks, *em.shape))
            if for_el or for_em
            else (el.new_empty(0), em.new_empty(chunks, 0))
        )
        if for_z or for_el or for_em:
            run(
                _kernels().relation_backward_by_src,
                chunks,
                *index.by_src.arguments(shape.numel()),
                *shape,
                *_flat(ctx.slope, z, el, em, grad, at_dst, d_z, d_el, d_em),
            )
        return (
            d_z if for_z else None,
            d_el if for_el else None,
            d_er if for_er else None,
            _sum_of_parts(d_em) if for_em else None,
            None,
            None,
        )


def _sum_of_parts(parts: Tensor) -> Tensor:
    """[C, …] summed over C, one after the other: torch's order depends on its threads."""
    return torch.from_numpy(np.add.reduce(parts.numpy(), axis=0))


def _flat(scalar: float, *tensors: Tensor) -> list[Any]:
    """A scalar and tensors as kernels take them: of one type, without shape."""
    arrays = [tensor.detach().numpy().reshape(-1) for tensor in tensors]
    return [arrays[0].dtype.type(scalar), *arrays]


@cache
def _kernels() -> Any:
    return import_module("licap.ops.numba_kernels")


def _index(graph: KnowledgeGraph) -> _Index:
    if graph not in _CACHE:
        _CACHE[graph] = _Index(
            by_dst=_grouping(graph, graph.incoming, graph.src), by_src=_grouping(graph, graph.outgoing, graph.dst)
        )
    return _CACHE[graph]


def _grouping(graph: KnowledgeGraph, adjacency: Adjacency, ends: IndexArray) -> _Grouping:
    """Chunks depend on nothing but the graph. Few where there are many relations, as each chunk has a sum for each."""
    chunks = min(_MOST_CHUNKS, max(_FEWEST_CHUNKS, graph.num_edges // (4 * max(1, graph.num_relations))))
    # Nodes count as well as edges: each has a row to write.
    work = adjacency.indptr.astype(np.int64) + np.arange(graph.num_nodes + 1)
    bounds = np.searchsorted(work, np.linspace(0, work[-1], chunks + 1).astype(np.int64))
    return _Grouping(
        indptr=adjacency.indptr.copy(),
        ends=ends[adjacency.order],
        rel=graph.rel[adjacency.order],
        bounds=bounds.astype(np.int64),
        room=int(np.diff(adjacency.indptr).max(initial=0)),
    )


register(
    Backend(
        name="numba",
        installed=lambda: find_spec("numba") is not None,
        device_types=("cpu",),
        relation_attention=relation_attention,
        dot_attention=dot_attention,
        neighbour_sum=neighbour_sum,
    )
)
