"""Compiled kernels of relation attention and of the neighbour sum; a call does some chunks of a graph.

Arrays of numbers are flat. Notation: N nodes, R relations, H heads, D width, C chunks; blocks as in `numba_blocks`.

No [E, H] array is kept: the backward pass computes each edge's weight again from lse, the logarithm of its node's sum
of exponentials. Every sum belongs to one node or one chunk, and its order depends on the graph alone, so threads change
no bits. No fast-math flag assumes away NaN or infinity.
"""

from __future__ import annotations

import numpy as np

from licap.ops.numba_blocks import (
    add_over_ends,
    dots_with_ends,
    edges_per_block,
    end_of_block,
    finish_weights,
    softmax_of_groups,
    span,
    start_of,
)
from licap.ops.numba_edges import Edges
from licap.ops.numba_rows import (
    Array,
    add_gathered,
    add_row,
    add_rows,
    dot,
    exp_in_place,
    inlined,
    kernel,
    set_row,
    set_sum,
)


@kernel
def relation_forward(
    chunk: int,
    last_chunk: int,
    edges: Edges,
    heads: int,
    width: int,
    slope: float,
    z: Array,
    el: Array,
    er: Array,
    em: Array,
    out: Array,
    lse: Array,
    rising: Array,
    share: Array,
) -> None:  # pragma: no cover
    """out [N, H, D] and lse [N, H]; edges grouped by destination.

    rising: [N, H, D] and share: [N, H] are the parts of `out`, and of the weights, that come over edges with logits
    not below zero.
    """
    indptr, row = edges.indptr, heads * width
    size = (edges_per_block(row) + edges.room) * heads
    x, w = np.empty(size, z.dtype), np.empty(size, z.dtype)
    sums, total = np.empty(heads, z.dtype), np.empty(2 * row, z.dtype)
    first, last = edges.bounds[chunk], edges.bounds[last_chunk]
    while first < last:
        end = end_of_block(indptr, first, last, row)
        start = start_of(indptr, first)
        count = (start_of(indptr, end) - start) * heads
        for v in range(first, end):
            low, high = span(indptr, v)
            for e in range(low, high):
                u, r = edges.ends[e], edges.rel[e]
                set_sum(heads, x, (e - start) * heads, el, u * heads, er, v * heads, em, r * heads)
        for i in range(count):
            w[i] = x[i] * slope if x[i] < 0 else x[i]
        softmax_of_groups(w, indptr, first, end, heads, lse, sums)
        split_weights(x, w, count)
        for v in range(first, end):
            low, high = span(indptr, v)
            total[:] = 0
            add_over_ends(indptr, edges.ends, v, start, heads, width, x, z, total, 0)
            add_over_ends(indptr, edges.ends, v, start, heads, width, w, z, total, row)
            share[v * heads : (v + 1) * heads] = 0
            sums[:] = 0
            add_rows(heads, share, v * heads, high - low, x, (low - start) * heads, heads)
            add_rows(heads, sums, 0, high - low, w, (low - start) * heads, heads)
            finish_node(v, heads, width, total, sums, out, lse, rising, share)
        first = end


@inlined
def split_weights(logits: Array, weights: Array, count: int) -> None:  # pragma: no cover
    """Moves the weights of logits from zero on into `logits`; two loops without branches, as signs are as random."""
    for i in range(count):
        logits[i] = 0 if logits[i] < 0 else weights[i]
    for i in range(count):
        weights[i] -= logits[i]


@inlined
def finish_node(
    v: int,
    heads: int,
    width: int,
    total: Array,
    sums: Array,
    out: Array,
    lse: Array,
    rising: Array,
    share: Array,
) -> None:  # pragma: no cover
    """Divides node v's sums by the sum of its weights; a node without edges gets zeros."""
    row = heads * width
    for h in range(heads):
        at = v * heads + h
        inverse = finish_weights(at, share[at] + sums[h], lse)
        share[at] *= inverse
        for d in range(h * width, (h + 1) * width):
            rising[v * row + d] = total[d] * inverse
            out[v * row + d] = (total[d] + total[row + d]) * inverse


@kernel
def relation_backward_by_dst(
    chunk: int,
    last_chunk: int,
    edges: Edges,
    heads: int,
    width: int,
    slope: float,
    g: Array,
    er: Array,
    out: Array,
    lse: Array,
    rising: Array,
    share: Array,
    at_dst: Array,
    d_er: Array,
) -> None:  # pragma: no cover
    """d_er [N, H], and at_dst [N, 3, H]: what the pass over sources asks of an edge's destination, in one row.

    These are er, lse and δ = ⟨g, out⟩. A logit's gradient is α (⟨g, z⟩ - δ), times the slope where it is below zero.
    Without the slope these sum to zero over a node's edges, so only those not below zero are needed: their part of
    `out` and of the weights is at hand, and no edge is looked at.
    """
    for v in range(edges.bounds[chunk], edges.bounds[last_chunk]):
        for h in range(heads):
            at, to = v * heads + h, 3 * v * heads + h
            delta = dot(width, g, at * width, out, at * width)
            d_er[at] = (1 - slope) * (dot(width, g, at * width, rising, at * width) - delta * share[at])
            at_dst[to], at_dst[to + heads], at_dst[to + 2 * heads] = er[at], lse[at], delta


@kernel
def relation_backward_by_src(
    chunk: int,
    last_chunk: int,
    edges: Edges,
    heads: int,
    width: int,
    slope: float,
    z: Array,
    el: Array,
    em: Array,
    g: Array,
    at_dst: Array,
    d_z: Array,
    d_el: Array,
    d_em: Array,
) -> None:  # pragma: no cover
    """d_z [N, H, D], d_el [N, H] and d_em [C, R, H], a part per chunk; edges grouped by source.

    Gradients that nobody asks for have no elements: d_z, or d_el and d_em both.
    """
    indptr, row = edges.indptr, heads * width
    size = (edges_per_block(row) + edges.room) * heads
    x, w, p, delta = np.empty(size, z.dtype), np.empty(size, z.dtype), np.empty(size, z.dtype), np.empty(size, z.dtype)
    for c in range(chunk, last_chunk):
        part = c * em.size
        if d_el.size:
            d_em[part : part + em.size] = 0
        first, last = edges.bounds[c], edges.bounds[c + 1]
        while first < last:
            end = end_of_block(indptr, first, last, row)
            start = start_of(indptr, first)
            count = (start_of(indptr, end) - start) * heads
            for u in range(first, end):
                low, high = span(indptr, u)
                for e in range(low, high):
                    at, v = (e - start) * heads, 3 * edges.ends[e] * heads
                    set_sum(heads, x, at, el, u * heads, at_dst, v, em, edges.rel[e] * heads)
                    set_row(heads, w, at, at_dst, v + heads)
                    set_row(heads, delta, at, at_dst, v + 2 * heads)
            for i in range(count):
                w[i] = (x[i] * slope if x[i] < 0 else x[i]) - w[i]
            exp_in_place(w, count)
            if d_z.size:
                for u in range(first, end):
                    d_z[u * row : (u + 1) * row] = 0
                    add_over_ends(indptr, edges.ends, u, start, heads, width, w, g, d_z, u * row)
            if d_el.size:
                for u in range(first, end):
                    dots_with_ends(edges, u, start, heads, width, g, z, p)
                for i in range(count):
                    p[i] = w[i] * (p[i] - delta[i])
                for i in range(count):
                    p[i] = p[i] * slope if x[i] < 0 else p[i]
                for u in range(first, end):
                    sum_logits(edges, u, start, heads, p, d_el, d_em, part)
            first = end


@inlined
def sum_logits(
    edges: Edges, u: int, start: int, heads: int, p: Array, d_el: Array, d_em: Array, part: int
) -> None:  # pragma: no cover
    """Adds the gradients p of node u's logits up, per source and per relation."""
    low, high = span(edges.indptr, u)
    d_el[u * heads : (u + 1) * heads] = 0
    add_rows(heads, d_el, u * heads, high - low, p, (low - start) * heads, heads)
    for e in range(low, high):
        add_row(heads, d_em, part + edges.rel[e] * heads, p, (e - start) * heads)


@kernel
def sum_of_ends(
    chunk: int, last_chunk: int, edges: Edges, width: int, x: Array, out: Array
) -> None:  # pragma: no cover
    """out[v] = Σ x[other end] over node v's edges. x, out: [N, D]."""
    for v in range(edges.bounds[chunk], edges.bounds[last_chunk]):
        low, high = span(edges.indptr, v)
        out[v * width : (v + 1) * width] = 0
        add_gathered(width, out, v * width, high - low, x, 0, width, edges.ends, low)


@kernel
def dots_of_nodes(
    chunk: int, last_chunk: int, edges: Edges, heads: int, width: int, x: Array, y: Array, dots: Array
) -> None:  # pragma: no cover
    """dots [N, H] = ⟨x, y⟩ of two [N, H, D]: torch's sum may depend on its threads."""
    for at in range(edges.bounds[chunk] * heads, edges.bounds[last_chunk] * heads):
        dots[at] = dot(width, x, at * width, y, at * width)
