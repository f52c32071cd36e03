"""Compiled kernels of relation attention and of the neighbour sum; one call does some chunks of a graph.

Arrays are flat. Notation: N nodes, H heads, D width; edges grouped by one end, the group of node v at indptr[v] …
indptr[v + 1], with their other ends and relations beside each other; chunks of nodes at bounds[c] … bounds[c + 1].
A block is the edges of a few whole groups, so that its [edges, H] arrays stay in the cache.

No [E, H] array is kept: the backward pass computes each edge's weight again from lse, the logarithm of its node's sum
of exponentials. Every sum belongs to one node or one chunk, and its order depends on the graph alone, so threads change
no bits. No fast-math flag assumes away NaN or infinity.
"""

from __future__ import annotations

import math

import numpy as np

from licap.ops.numba_rows import (
    Array,
    add_product,
    add_row,
    add_scaled,
    dot,
    exp_in_place,
    inlined,
    kernel,
    raise_to_row,
    set_product,
    set_row,
    set_sum,
    subtract_row,
)


@inlined
def end_of_block(indptr: Array, first: int, last: int, edges: int) -> int:  # pragma: no cover - compiled, as all below
    """The node behind a block that starts at `first`: as many whole groups as have that many edges, at least one."""
    end = first + 1
    while end < last and indptr[end + 1] - indptr[first] <= edges:
        end += 1
    return end


@inlined
def softmax_of_groups(
    logits: Array, indptr: Array, first: int, end: int, heads: int, lse: Array, sums: Array
) -> None:  # pragma: no cover
    """Turns a block's logits into exponentials relative to each group's largest, which goes to lse."""
    start = int(indptr[first])
    for v in range(first, end):
        if indptr[v] == indptr[v + 1]:
            continue
        low, high = (int(indptr[v]) - start) * heads, (int(indptr[v + 1]) - start) * heads
        set_row(heads, sums, 0, logits, low)
        for at in range(low + heads, high, heads):
            raise_to_row(heads, sums, 0, logits, at)
        for at in range(low, high, heads):
            subtract_row(heads, logits, at, sums, 0)
        set_row(heads, lse, v * heads, sums, 0)
    exp_in_place(logits, (int(indptr[end]) - start) * heads)


@inlined
def split_weights(logits: Array, weights: Array, apart: Array, count: int, row: int) -> None:  # pragma: no cover
    """Puts weights of logits from zero on into `logits`, leaves the others in `weights`; apart: 0 and `row` for these.

    Three loops without branches, as the signs are as good as random.
    """
    for i in range(count):
        apart[i] = row if logits[i] < 0 else 0
    for i in range(count):
        logits[i] = 0 if logits[i] < 0 else weights[i]
    for i in range(count):
        weights[i] -= logits[i]


@kernel
def relation_forward(
    chunk: int,
    last_chunk: int,
    bounds: Array,
    indptr: Array,
    src: Array,
    rel: Array,
    room: int,
    block: int,
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
    """out [N, H, D] and lse [N, H] of some chunks, edges grouped by destination.

    rising: [N, H, D] and share: [N, H] are the parts of `out`, and of the weights, that come over edges with logits
    not below zero. room: edges of the largest group. block: edges of a block.
    """
    size = (block + room) * heads
    x, w, apart = np.empty(size, z.dtype), np.empty(size, z.dtype), np.empty(size, np.int32)
    sums, total = np.empty(heads, z.dtype), np.empty(2 * heads * width, z.dtype)
    first, last = bounds[chunk], bounds[last_chunk]
    while first < last:
        end = end_of_block(indptr, first, last, block)
        start = int(indptr[first])
        count = (int(indptr[end]) - start) * heads
        for v in range(first, end):
            for e in range(int(indptr[v]), int(indptr[v + 1])):
                set_sum(heads, x, (e - start) * heads, el, src[e] * heads, er, v * heads, em, rel[e] * heads)
        for i in range(count):
            w[i] = x[i] * slope if x[i] < 0 else x[i]
        softmax_of_groups(w, indptr, first, end, heads, lse, sums)
        split_weights(x, w, apart, count, heads * width)
        for v in range(first, end):
            sum_messages(indptr, v, start, src, heads, width, z, x, w, apart, total)
            sum_weights(indptr, v, start, heads, x, w, share, sums)
            finish_node(v, heads, width, total, sums, out, lse, rising, share)
        first = end


@inlined
def sum_messages(
    indptr: Array,
    v: int,
    start: int,
    src: Array,
    heads: int,
    width: int,
    z: Array,
    x: Array,
    w: Array,
    apart: Array,
    total: Array,
) -> None:  # pragma: no cover
    """total: [2, H, D] messages of node v, weighted with x, and with w."""
    row = heads * width
    total[:] = 0
    if width == 1:
        for e in range(int(indptr[v]), int(indptr[v + 1])):
            add_product(heads, total, 0, x, (e - start) * heads, z, src[e] * heads)
            add_product(heads, total, heads, w, (e - start) * heads, z, src[e] * heads)
        return
    for e in range(int(indptr[v]), int(indptr[v + 1])):
        for h in range(heads):
            at = (e - start) * heads + h
            add_scaled(width, total, apart[at] + h * width, x[at] + w[at], z, src[e] * row + h * width)


@inlined
def sum_weights(
    indptr: Array, v: int, start: int, heads: int, x: Array, w: Array, share: Array, sums: Array
) -> None:  # pragma: no cover
    """Sums of x into share [N, H], of w into sums [H]."""
    share[v * heads : (v + 1) * heads] = 0
    sums[:] = 0
    for e in range(int(indptr[v]), int(indptr[v + 1])):
        add_row(heads, share, v * heads, x, (e - start) * heads)
        add_row(heads, sums, 0, w, (e - start) * heads)


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
        weight = share[v * heads + h] + sums[h]
        if weight == 0:
            weight = total.dtype.type(1)
            lse[v * heads + h] = 0
        inverse = 1 / weight
        lse[v * heads + h] += math.log(weight)
        share[v * heads + h] *= inverse
        for d in range(h * width, (h + 1) * width):
            rising[v * row + d] = total[d] * inverse
            out[v * row + d] = (total[d] + total[row + d]) * inverse


@kernel
def relation_backward_by_dst(
    chunk: int,
    last_chunk: int,
    bounds: Array,
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
    for v in range(bounds[chunk], bounds[last_chunk]):
        for h in range(heads):
            at = v * heads + h
            delta = dot(width, g, at * width, out, at * width)
            d_er[at] = (1 - slope) * (dot(width, g, at * width, rising, at * width) - delta * share[at])
            at_dst[3 * v * heads + h] = er[at]
            at_dst[(3 * v + 1) * heads + h] = lse[at]
            at_dst[(3 * v + 2) * heads + h] = delta


@kernel
def relation_backward_by_src(
    chunk: int,
    last_chunk: int,
    bounds: Array,
    indptr: Array,
    dst: Array,
    rel: Array,
    room: int,
    block: int,
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
    size = (block + room) * heads
    x, w, delta, p = (
        np.empty(size, z.dtype),
        np.empty(size, z.dtype),
        np.empty(size, z.dtype),
        np.empty(size, z.dtype),
    )
    for c in range(chunk, last_chunk):
        part = c * em.size
        d_em[part : part + em.size] = 0
        first = bounds[c]
        while first < bounds[c + 1]:
            end = end_of_block(indptr, first, bounds[c + 1], block)
            start = int(indptr[first])
            count = (int(indptr[end]) - start) * heads
            for u in range(first, end):
                for e in range(int(indptr[u]), int(indptr[u + 1])):
                    at, v = (e - start) * heads, 3 * dst[e] * heads
                    set_sum(heads, x, at, el, u * heads, at_dst, v, em, rel[e] * heads)
                    set_row(heads, w, at, at_dst, v + heads)
                    set_row(heads, delta, at, at_dst, v + 2 * heads)
            for i in range(count):
                w[i] = (x[i] * slope if x[i] < 0 else x[i]) - w[i]
            exp_in_place(w, count)
            if d_z.size:
                for u in range(first, end):
                    return_messages(indptr, u, start, dst, heads, width, w, g, d_z)
            if d_el.size:
                for u in range(first, end):
                    dots_with_source(indptr, u, start, dst, heads, width, g, z, p)
                for i in range(count):
                    p[i] = w[i] * (p[i] - delta[i])
                for i in range(count):
                    p[i] = p[i] * slope if x[i] < 0 else p[i]
                for u in range(first, end):
                    return_logits(indptr, u, start, rel, heads, p, d_el, d_em, part)
            first = end


@inlined
def dots_with_source(
    indptr: Array, u: int, start: int, dst: Array, heads: int, width: int, g: Array, z: Array, p: Array
) -> None:  # pragma: no cover
    """p = ⟨g[v], z[u]⟩ of node u's edges to v, per head."""
    row = heads * width
    if width == 1:
        for e in range(int(indptr[u]), int(indptr[u + 1])):
            set_product(heads, p, (e - start) * heads, g, dst[e] * heads, z, u * heads)
        return
    for e in range(int(indptr[u]), int(indptr[u + 1])):
        for h in range(heads):
            p[(e - start) * heads + h] = dot(width, g, dst[e] * row + h * width, z, u * row + h * width)


@inlined
def return_messages(
    indptr: Array, u: int, start: int, dst: Array, heads: int, width: int, w: Array, g: Array, d_z: Array
) -> None:  # pragma: no cover
    """d_z[u] = Σ w · g[v] over node u's edges to v."""
    row = heads * width
    d_z[u * row : (u + 1) * row] = 0
    if width == 1:
        for e in range(int(indptr[u]), int(indptr[u + 1])):
            add_product(heads, d_z, u * row, w, (e - start) * heads, g, dst[e] * heads)
        return
    for e in range(int(indptr[u]), int(indptr[u + 1])):
        for h in range(heads):
            add_scaled(width, d_z, u * row + h * width, w[(e - start) * heads + h], g, dst[e] * row + h * width)


@inlined
def return_logits(
    indptr: Array, u: int, start: int, rel: Array, heads: int, p: Array, d_el: Array, d_em: Array, part: int
) -> None:  # pragma: no cover
    """Adds the gradients p of node u's logits up, per source and per relation."""
    d_el[u * heads : (u + 1) * heads] = 0
    for e in range(int(indptr[u]), int(indptr[u + 1])):
        add_row(heads, d_el, u * heads, p, (e - start) * heads)
        add_row(heads, d_em, part + rel[e] * heads, p, (e - start) * heads)
