"""The primitives in Triton kernels, on CUDA; the same inputs give the same bits.

An attention gathers rows [E, H, D] once forward, and once per gradient that needs them backward; none is stored.
Backward keeps one or two numbers per edge and head, from which sums over destinations and relations are made.
Under Triton's interpreter (the environment variable TRITON_INTERPRET) the kernels run on the CPU too, slowly.
Notation: N nodes, E edges, R relations, H heads, D width; g gradient of the output.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from licap.graph import KnowledgeGraph
from licap.ops.registry import Backend, register
from licap.ops.triton_edges import DeviceEdges, device_edges
from licap.ops.triton_launch import (
    attend,
    dot_kernels,
    folded,
    over_heads,
    refuse_wide,
    relation_kernels,
    room,
    slope_in_two,
    sum_of_ends,
)


def relation_attention(z: Tensor, el: Tensor, er: Tensor, em: Tensor, graph: KnowledgeGraph, *, slope: float) -> Tensor:
    """See `licap.ops.relation_attention`. Raises: ConfigError for heads wider than 1,024."""
    refuse_wide(z.shape[2])
    out: Tensor = _RelationAttention.apply(z, el, er, em, device_edges(graph, z.device), slope)  # type: ignore[no-untyped-call]
    return out


def dot_attention(
    q: Tensor, k: Tensor, v: Tensor, gain: Tensor, shift: Tensor, relation_key: Tensor | None, graph: KnowledgeGraph
) -> Tensor:
    """See `licap.ops.dot_attention`. Raises: ConfigError for heads wider than 1,024."""
    refuse_wide(q.shape[2])
    out: Tensor = _DotAttention.apply(q, k, v, gain, shift, relation_key, device_edges(graph, q.device))  # type: ignore[no-untyped-call]
    return out


def neighbour_sum(x: Tensor, graph: KnowledgeGraph) -> Tensor:
    """See `licap.ops.neighbour_sum`."""
    out: Tensor = _NeighbourSum.apply(x, device_edges(graph, x.device))  # type: ignore[no-untyped-call]
    return out


class _RelationAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, el: Tensor, er: Tensor, em: Tensor, edges: DeviceEdges, slope: float) -> Tensor:
        z, el, er, em = (each.contiguous() for each in (z, el, er, em))
        out, lse = room(z, edges.by_dst), room(el, edges.by_dst)
        given = edges.src_by_dst, edges.rel_by_dst, *slope_in_two(slope), z, el, er, em
        attend(relation_kernels().relation_forward, edges.by_dst, *given, out=out, lse=lse)
        ctx.save_for_backward(z, el, er, em, out.whole, lse.whole)
        ctx.edges, ctx.slope = edges, slope
        return out.whole

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        z, el, er, em, out, lse = ctx.saved_tensors
        for_z, for_el, for_er, for_em, *_ = ctx.needs_input_grad
        for_logits = for_el or for_er or for_em
        edges: DeviceEdges = ctx.edges
        grad = grad.contiguous()
        d_z, d_el = room(z, edges.by_src, for_z), room(el, edges.by_src, for_logits)
        terms = el.new_empty(edges.rel_by_src.shape[0] if for_logits else 0, el.shape[1])
        over_heads(
            relation_kernels().relation_backward,
            edges.by_src,
            (z.shape[1], z.shape[2]),
            16,
            edges.dst_by_src,
            edges.rel_by_src,
            *slope_in_two(ctx.slope),
            *(z, el, er, em, lse, _dots(grad, out), grad),
            *(d_z.whole, d_z.parts, d_el.whole, d_el.parts, terms),
            FOR_Z=for_z,
            FOR_LOGITS=for_logits,
        )
        return (
            folded(d_z, edges.by_src) if for_z else None,
            folded(d_el, edges.by_src) if for_el else None,
            sum_of_ends(terms, edges.by_dst, edges.place_by_dst) if for_er else None,
            sum_of_ends(terms, edges.by_rel, edges.place_by_rel) if for_em else None,
            None,
            None,
        )


class _DotAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, gain: Tensor, shift: Tensor, key: Tensor | None, edges: DeviceEdges
    ) -> Tensor:
        q, k, v, gain, shift = (each.contiguous() for each in (q, k, v, gain, shift))
        ctx.with_key = key is not None
        key = q.new_empty(0) if key is None else key.contiguous()
        out, lse = room(v, edges.by_dst), room(q[:, :, 0], edges.by_dst)
        given = edges.src_by_dst, edges.rel_by_dst, q, k, v, gain, shift, key
        attend(dot_kernels().dot_forward, edges.by_dst, *given, out=out, lse=lse, WITH_KEY=ctx.with_key)
        ctx.save_for_backward(q, k, v, gain, shift, key, out.whole, lse.whole)
        ctx.edges = edges
        return out.whole

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, gain, shift, key, out, lse = ctx.saved_tensors
        for_q, for_k, for_v, for_gain, for_shift, for_key, _ = ctx.needs_input_grad
        for_logits = for_q or for_k or for_gain or for_shift or for_key
        edges: DeviceEdges = ctx.edges
        grad = grad.contiguous()
        d_k, d_v = room(k, edges.by_src, for_logits), room(v, edges.by_src, for_v)
        d_q = room(q, edges.by_src, for_logits and ctx.with_key)
        terms = q.new_empty(edges.rel_by_src.shape[0] if for_logits else 0, 2, q.shape[1])
        over_heads(
            dot_kernels().dot_backward,
            edges.by_src,
            (q.shape[1], q.shape[2]),
            16,
            edges.dst_by_src,
            edges.rel_by_src,
            *(q, k, v, gain, shift, key, lse, _dots(grad, out), grad),
            *(d_k.whole, d_k.parts, d_v.whole, d_v.parts, d_q.whole, d_q.parts, terms),
            WITH_KEY=ctx.with_key,
            FOR_V=for_v,
            FOR_LOGITS=for_logits,
        )
        of_relations = sum_of_ends(terms, edges.by_rel, edges.place_by_rel) if for_gain or for_shift else None
        return (
            _query_gradient(terms, k, gain, folded(d_q, edges.by_src), edges) if for_q else None,
            folded(d_k, edges.by_src) if for_k else None,
            folded(d_v, edges.by_src) if for_v else None,
            of_relations[:, 0] if of_relations is not None and for_gain else None,
            of_relations[:, 1] if of_relations is not None and for_shift else None,
            _key_gradient(terms, q, edges) if for_key else None,
            None,
        )


class _NeighbourSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, edges: DeviceEdges) -> Tensor:
        ctx.edges = edges
        return sum_of_ends(x.contiguous(), edges.by_dst, edges.src_by_dst)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None]:
        edges: DeviceEdges = ctx.edges
        return sum_of_ends(grad.contiguous(), edges.by_src, edges.dst_by_src), None


def _dots(left: Tensor, right: Tensor) -> Tensor:
    """⟨left, right⟩ of two [N, H, D]. Returns: [N, H]."""
    return (left * right).sum(-1)


def _query_gradient(terms: Tensor, k: Tensor, gain: Tensor, as_source: Tensor, edges: DeviceEdges) -> Tensor:
    """What q [N, H, D] gets as destination, and as source where there is a relation key.

    terms: [E, 2, H] of `dot_backward`. as_source: [N, H, D], or without elements.
    """
    out = room(k, edges.by_dst)
    given = edges.src_by_dst, edges.place_by_dst, edges.rel_by_dst, terms, gain, k, out.whole, out.parts
    over_heads(dot_kernels().weighted_sum, edges.by_dst, (k.shape[1], k.shape[2]), 32, *given, WITH_GAIN=True)
    d_q = folded(out, edges.by_dst)
    return d_q.add_(as_source) if as_source.numel() else d_q


def _key_gradient(terms: Tensor, q: Tensor, edges: DeviceEdges) -> Tensor:
    """The gradient of the relation key [R, H, D]."""
    out = room(q, edges.by_rel)
    given = edges.src_by_rel, edges.place_by_rel, edges.rel_by_src, terms, q, q, out.whole, out.parts
    over_heads(dot_kernels().weighted_sum, edges.by_rel, (q.shape[1], q.shape[2]), 32, *given, WITH_GAIN=False)
    return folded(out, edges.by_rel)


def _interpreted() -> bool:
    """Whether Triton runs kernels in its interpreter, as it asks the environment itself when it is imported."""
    return os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "yes", "on", "y")


register(
    Backend(
        name="triton",
        installed=lambda: find_spec("triton") is not None,
        device_types=("cpu", "cuda") if _interpreted() else ("cuda",),
        relation_attention=relation_attention,
        dot_attention=dot_attention,
        neighbour_sum=neighbour_sum,
        recordable=not _interpreted(),
    )
)
