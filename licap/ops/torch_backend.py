"""The primitives in plain torch, on any device; the same inputs give the same bits.

On the CPU, sums over edges are products of sparse CSR matrices, so that no [E, H, D] array exists; elsewhere messages
are gathered and reduced by segments, which CUDA does in a fixed order. Notation: N nodes, E edges in destination order,
H heads, D width; α [E, H] attention; g gradient of the output.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from licap.graph import KnowledgeGraph
from licap.ops.edge_index import EdgeIndex, Grouping, edge_index
from licap.ops.registry import Backend, register

with warnings.catch_warnings():
    # torch says once, at the first CSR tensor, that their interface may still change.
    warnings.simplefilter("ignore")
    torch.zeros(1, 1).to_sparse_csr()


def relation_attention(z: Tensor, el: Tensor, er: Tensor, em: Tensor, graph: KnowledgeGraph, *, slope: float) -> Tensor:
    """See `licap.ops.relation_attention`."""
    out: Tensor = _RelationAttention.apply(z, el, er, em, edge_index(graph, z.device), slope)  # type: ignore[no-untyped-call]
    return out


def dot_attention(
    q: Tensor, k: Tensor, v: Tensor, gain: Tensor, shift: Tensor, relation_key: Tensor | None, graph: KnowledgeGraph
) -> Tensor:
    """See `licap.ops.dot_attention`."""
    out: Tensor = _DotAttention.apply(q, k, v, gain, shift, relation_key, edge_index(graph, q.device))  # type: ignore[no-untyped-call]
    return out


def neighbour_sum(x: Tensor, graph: KnowledgeGraph) -> Tensor:
    """See `licap.ops.neighbour_sum`."""
    out: Tensor = _NeighbourSum.apply(x, edge_index(graph, x.device))  # type: ignore[no-untyped-call]
    return out


class _RelationAttention(torch.autograd.Function):
    """Written out by hand: autograd would keep several [E, H] arrays, and scatter where CSR products are faster."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, el: Tensor, er: Tensor, em: Tensor, index: EdgeIndex, slope: float) -> Tensor:
        # Rows of expanded tensors (the same score for every head, in GENI) are gathered many times slower.
        z, el, er, em = (each.contiguous() for each in (z, el, er, em))
        logits = el.index_select(0, index.src)
        logits += er.index_select(0, index.dst)
        logits += em.index_select(0, index.rel)
        negative = logits < 0
        torch.nn.functional.leaky_relu(logits, slope, inplace=True)
        alpha = edge_softmax_(logits, index)
        out = weighted_sum(alpha, z, index.by_dst, index.src)
        ctx.save_for_backward(z, alpha, negative, out)
        ctx.index, ctx.slope = index, slope
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        z, alpha, negative, out = ctx.saved_tensors
        for_z, *for_terms, _, _ = ctx.needs_input_grad
        grad = grad.contiguous()
        index: EdgeIndex = ctx.index
        d_z = weighted_sum(alpha, grad, index.by_src, index.dst) if for_z else None
        if not any(for_terms):
            return d_z, None, None, None, None, None
        d_logit = softmax_gradient(edge_dots(grad, z, index), alpha, (grad * out).sum(-1), index)
        d_logit = torch.where(negative, d_logit * ctx.slope, d_logit)
        groupings = index.by_src, index.by_dst, index.by_rel
        d_terms = (
            group_sum(d_logit, grouping) if wanted else None
            for grouping, wanted in zip(groupings, for_terms, strict=True)
        )
        return d_z, *d_terms, None, None


class _DotAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, gain: Tensor, shift: Tensor, key: Tensor | None, index: EdgeIndex
    ) -> Tensor:
        q, k, v = (each.contiguous() for each in (q, k, v))
        dots = edge_dots(q, k, index)
        logits = dots * gain.index_select(0, index.rel)
        logits += shift.index_select(0, index.rel)
        if key is not None:
            logits += (q.index_select(0, index.src) * key.index_select(0, index.rel)).sum(-1)
        alpha = edge_softmax_(logits, index)
        out = weighted_sum(alpha, v, index.by_dst, index.src)
        ctx.save_for_backward(q, k, v, gain, key, dots, alpha, out)
        ctx.index = index
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, gain, key, dots, alpha, out = ctx.saved_tensors
        for_q, for_k, for_v, for_gain, for_shift, for_key, _ = ctx.needs_input_grad
        grad = grad.contiguous()
        index: EdgeIndex = ctx.index
        d_q = d_k = d_gain = d_shift = d_key = None
        d_v = weighted_sum(alpha, grad, index.by_src, index.dst) if for_v else None
        if for_q or for_k or for_gain or for_shift or for_key:
            d_logit = softmax_gradient(edge_dots(grad, v, index), alpha, (grad * out).sum(-1), index)
            d_dot = d_logit * gain.index_select(0, index.rel)
            d_q = weighted_sum(d_dot, k, index.by_dst, index.src) if for_q else None
            d_k = weighted_sum(d_dot, q, index.by_src, index.dst) if for_k else None
            d_gain = group_sum(dots * d_logit, index.by_rel) if for_gain else None
            d_shift = group_sum(d_logit, index.by_rel) if for_shift else None
            if d_q is not None and key is not None:
                d_q += weighted_sum(d_logit, key, index.by_src, index.rel)
            d_key = weighted_sum(d_logit, q, index.by_rel, index.src) if for_key else None
        return d_q, d_k, d_v, d_gain, d_shift, d_key, None


class _NeighbourSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, index: EdgeIndex) -> Tensor:
        ctx.index = index
        return adjacent_sum(x.contiguous(), index.by_dst, index.src)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None]:
        index: EdgeIndex = ctx.index
        return adjacent_sum(grad.contiguous(), index.by_src, index.dst), None


def softmax_gradient(d_alpha: Tensor, alpha: Tensor, dots: Tensor, index: EdgeIndex) -> Tensor:
    """α (dα − Σ α dα), in place of d_alpha [E, H]. dots: [N, H] the sums of a node's edges, which are ⟨g, out⟩."""
    d_alpha -= dots.index_select(0, index.dst)
    d_alpha *= alpha
    return d_alpha


def adjacent_sum(x: Tensor, grouping: Grouping, ends: Tensor) -> Tensor:
    """out[v] = Σ_{e in v's group} x[ends[e]]. x: [N, D]. ends: [E]. Returns: [K, D]."""
    if not grouping.in_order:
        ends = ends.index_select(0, grouping.edges)
    if x.device.type != "cpu":
        return segment_sum(x.index_select(0, ends), grouping.indptr)
    return _csr(grouping.indptr, ends, x.new_ones(ends.shape[0]), x.shape[0]) @ x


def edge_softmax_(logits: Tensor, index: EdgeIndex) -> Tensor:
    """Softmax over each node's incoming edges, in place. logits: [E, H]."""
    if not logits.numel():
        return logits
    offsets = index.by_dst.indptr.long()
    largest = torch.segment_reduce(logits, "max", offsets=offsets, unsafe=True)
    logits -= largest.index_select(0, index.dst)
    logits.exp_()
    logits /= group_sum(logits, index.by_dst).index_select(0, index.dst)
    return logits


def group_sum(values: Tensor, grouping: Grouping) -> Tensor:
    """Sums [E, H] values over each group. Returns: [K, H]."""
    if values.device.type != "cpu":
        return segment_sum(values.index_select(0, grouping.edges), grouping.indptr)
    ones = values.new_ones(values.shape[0])
    return _csr(grouping.indptr, grouping.edges, ones, values.shape[0]) @ values


def weighted_sum(weights: Tensor, messages: Tensor, grouping: Grouping, ends: Tensor) -> Tensor:
    """out[v] = Σ_{e in v's group} weights[e] · messages[ends[e]], per head.

    weights: [E, H]. messages: [N, H, D]. ends: [E]. Returns: [N, H, D].
    """
    if messages.device.type != "cpu":
        return weighted_sum_by_segments(weights, messages, grouping, ends)
    if messages.shape[2] == 1:
        return group_sum(weights * messages.squeeze(-1).index_select(0, ends), grouping).unsqueeze(-1)
    if not grouping.in_order:
        weights, ends = weights.index_select(0, grouping.edges), ends.index_select(0, grouping.edges)
    per_head = weights.t().contiguous()
    matrices = [_csr(grouping.indptr, ends, weight, messages.shape[0]) for weight in per_head]
    return torch.stack([matrix @ messages[:, head] for head, matrix in enumerate(matrices)], dim=1)


def edge_dots(at_dst: Tensor, at_src: Tensor, index: EdgeIndex) -> Tensor:
    """⟨at_dst[v], at_src[u]⟩ of each edge (u → v), per head. Both [N, H, D]. Returns: [E, H]."""
    edges, nodes = index.src.shape[0], at_src.shape[0]
    # torch's product of dense matrices at sparse places refuses more places than the matrix has.
    if at_src.device.type != "cpu" or edges > nodes * nodes:
        return edge_dots_by_gathering(at_dst, at_src, index)
    if at_src.shape[2] == 1:
        return at_dst.squeeze(-1).index_select(0, index.dst).mul_(at_src.squeeze(-1).index_select(0, index.src))
    pattern = _csr(index.by_dst.indptr, index.src, at_src.new_zeros(edges), nodes)
    dots = [
        torch.sparse.sampled_addmm(pattern, at_dst[:, head], at_src[:, head].t(), beta=0.0).values()
        for head in range(at_src.shape[1])
    ]
    return torch.stack(dots, dim=1)


def weighted_sum_by_segments(weights: Tensor, messages: Tensor, grouping: Grouping, ends: Tensor) -> Tensor:
    """`weighted_sum` through an [E, H, D] array."""
    weights, ends = weights.index_select(0, grouping.edges), ends.index_select(0, grouping.edges)
    return segment_sum(messages.index_select(0, ends) * weights.unsqueeze(-1), grouping.indptr)


def edge_dots_by_gathering(at_dst: Tensor, at_src: Tensor, index: EdgeIndex) -> Tensor:
    """`edge_dots` through [E, H, D] arrays."""
    return (at_dst.index_select(0, index.dst) * at_src.index_select(0, index.src)).sum(-1)


def segment_sum(values: Tensor, indptr: Tensor) -> Tensor:
    """Sums [E, …] values, sorted by group, over each group. Returns: [K, …]."""
    if not values.shape[0]:
        return values.new_zeros(indptr.shape[0] - 1, *values.shape[1:])
    return torch.segment_reduce(values, "sum", offsets=indptr.long(), unsafe=True, initial=0.0)


def _csr(indptr: Tensor, columns: Tensor, values: Tensor, num_columns: int) -> Tensor:
    return torch.sparse_csr_tensor(indptr, columns, values, (indptr.shape[0] - 1, num_columns), check_invariants=False)


register(
    Backend(
        name="torch",
        installed=lambda: True,
        device_types=(),
        relation_attention=relation_attention,
        dot_attention=dot_attention,
        neighbour_sum=neighbour_sum,
    )
)
