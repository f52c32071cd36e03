"""The primitives in compiled kernels, on the CPU; the same inputs give the same bits, whatever the number of threads.

An attention is one pass over the edges forward, and one or two backward. numba is imported at the first call.
Notation: N nodes, E edges, R relations, H heads, D width, C chunks.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from licap.graph import KnowledgeGraph
from licap.ops.numba_edges import BothWays, both_ways
from licap.ops.numba_threads import run
from licap.ops.registry import Backend, register


def relation_attention(z: Tensor, el: Tensor, er: Tensor, em: Tensor, graph: KnowledgeGraph, *, slope: float) -> Tensor:
    """See `licap.ops.relation_attention`."""
    out: Tensor = _RelationAttention.apply(z, el, er, em, both_ways(graph), slope)  # type: ignore[no-untyped-call]
    return out


def dot_attention(
    q: Tensor, k: Tensor, v: Tensor, gain: Tensor, shift: Tensor, relation_key: Tensor | None, graph: KnowledgeGraph
) -> Tensor:
    """See `licap.ops.dot_attention`."""
    out: Tensor = _DotAttention.apply(q, k, v, gain, shift, relation_key, both_ways(graph))  # type: ignore[no-untyped-call]
    return out


def neighbour_sum(x: Tensor, graph: KnowledgeGraph) -> Tensor:
    """See `licap.ops.neighbour_sum`."""
    out: Tensor = _NeighbourSum.apply(x, both_ways(graph))  # type: ignore[no-untyped-call]
    return out


class _RelationAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, el: Tensor, er: Tensor, em: Tensor, edges: BothWays, slope: float) -> Tensor:
        z, el, er, em = (each.contiguous() for each in (z, el, er, em))
        out, lse, rising, share = (torch.empty_like(each) for each in (z, el, z, el))
        each = _flat(z, el, er, em, out, lse, rising, share)
        run(_relation().relation_forward, edges.by_dst, *z.shape[1:], each[0].dtype.type(slope), *each)
        ctx.save_for_backward(z, el, er, em, out, lse, rising, share)
        ctx.edges, ctx.slope = edges, slope
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        z, el, _, em = ctx.saved_tensors[:4]
        for_z, for_el, for_er, for_em, *_ = ctx.needs_input_grad
        edges: BothWays = ctx.edges
        grad = grad.contiguous()
        slope = _flat(z)[0].dtype.type(ctx.slope)
        at_dst, d_er = _at_destinations(ctx, grad, slope)
        # At an epoch's peak, two more arrays of the size of z would be held for nobody; kept where the graph is.
        ctx.maybe_clear_saved_tensors()
        d_z = _room(z, for_z)
        d_el, d_em = _room(el, for_el or for_em), _room(em, for_el or for_em, edges.by_src.chunks)
        if for_z or for_el or for_em:
            each = _flat(z, el, em, grad, at_dst, d_z, d_el, d_em)
            run(_relation().relation_backward_by_src, edges.by_src, *z.shape[1:], slope, *each)
        return (
            d_z if for_z else None,
            d_el if for_el else None,
            d_er if for_er else None,
            _sum_of_parts(d_em) if for_em else None,
            None,
            None,
        )


def _at_destinations(ctx: Any, grad: Tensor, slope: Any) -> tuple[Tensor, Tensor]:
    """What the pass over destinations leaves: at_dst [N, 3, H] for the pass over sources, and d_er [N, H]."""
    z, _, er, _, out, lse, rising, share = ctx.saved_tensors
    at_dst, d_er = z.new_empty(z.shape[0], 3, z.shape[1]), torch.empty_like(er)
    each = _flat(grad, er, out, lse, rising, share, at_dst, d_er)
    run(_relation().relation_backward_by_dst, ctx.edges.by_dst, *z.shape[1:], slope, *each)
    return at_dst, d_er


class _DotAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, gain: Tensor, shift: Tensor, key: Tensor | None, edges: BothWays
    ) -> Tensor:
        q, k, v, gain, shift = (each.contiguous() for each in (q, k, v, gain, shift))
        key = q.new_empty(0) if key is None else key.contiguous()
        out, lse, pulled = torch.empty_like(v), q.new_empty(q.shape[:2]), _room(q, q.shape[2] == 1, 2)
        run(_dot().dot_forward, edges.by_dst, *q.shape[1:], *_flat(q, k, v, gain, shift, key, out, lse, pulled))
        ctx.save_for_backward(q, k, v, gain, shift, key, out, lse, pulled)
        ctx.edges = edges
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, gain, shift, key, out, lse, pulled = ctx.saved_tensors
        for_q, for_k, for_v, for_gain, for_shift, for_key, _ = ctx.needs_input_grad
        edges: BothWays = ctx.edges
        grad = grad.contiguous()
        delta = torch.empty_like(lse)
        run(_relation().dots_of_nodes, edges.by_dst, *q.shape[1:], *_flat(grad, out, delta))
        d_k, d_v = _room(k, for_k), _room(v, for_v)
        narrow = q.shape[2] == 1
        chunks = edges.by_src.chunks if narrow else edges.by_dst.chunks
        relations = (gain, for_gain), (shift, for_shift), (key, for_key)
        parts = [_room(each, asked, chunks) for each, asked in relations]
        given = q, k, v, gain, shift, key, grad, lse, delta
        if narrow:
            d_q = grad * pulled[1] - out * grad * pulled[0] if for_q else q.new_empty(0)
            each = _flat(*given, d_q, d_k, d_v, *parts)
            run(_dot_gradients().dot_backward_of_scalars, edges.by_src, q.shape[1], *each)
        else:
            d_q = _room(q, for_q)
            to_sources = for_k or for_v or (for_q and key.numel() > 0)
            left = q.new_empty(edges.places.size if to_sources else 0, 2, q.shape[1])
            run(_dot_gradients().dot_backward_by_dst, edges.by_dst, *q.shape[1:], *_flat(*given, left, d_q, *parts))
            if to_sources:
                each = _flat(q, gain, key, grad, left, d_q, d_k, d_v)
                run(_dot_gradients().dot_backward_by_src, edges.by_src, *q.shape[1:], edges.places, *each)
        of_nodes = (d_q, for_q), (d_k, for_k), (d_v, for_v)
        return (
            *(each if asked else None for each, asked in of_nodes),
            *(_sum_of_parts(part) if asked else None for part, (_, asked) in zip(parts, relations, strict=True)),
            None,
        )


class _NeighbourSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, edges: BothWays) -> Tensor:
        ctx.edges = edges
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        run(_relation().sum_of_ends, edges.by_dst, x.shape[1], *_flat(x.contiguous(), out))
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None]:
        out = torch.empty_like(grad, memory_format=torch.contiguous_format)
        run(_relation().sum_of_ends, ctx.edges.by_src, grad.shape[1], *_flat(grad.contiguous(), out))
        return out, None


def _room(like: Tensor, wanted: bool, *parts: int) -> Tensor:
    """Uninitialised, of [*parts, …] the shape of `like`; without elements if nobody wants it."""
    return like.new_empty(*parts, *like.shape) if wanted else like.new_empty(0)


def _sum_of_parts(parts: Tensor) -> Tensor:
    """[C, …] summed over C, one after the other: torch's order depends on its threads."""
    return torch.from_numpy(np.add.reduce(parts.numpy(), axis=0))


def _flat(*tensors: Tensor) -> list[NDArray[Any]]:
    """Tensors as kernels take them: arrays on the same memory, without shape."""
    return [tensor.detach().numpy().reshape(-1) for tensor in tensors]


@cache
def _relation() -> Any:
    return import_module("licap.ops.numba_kernels")


@cache
def _dot() -> Any:
    return import_module("licap.ops.numba_dot_kernels")


@cache
def _dot_gradients() -> Any:
    return import_module("licap.ops.numba_dot_gradients")


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
