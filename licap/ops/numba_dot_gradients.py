"""Compiled kernels of dot attention's gradients; notation, blocks and sums as in `numba_kernels`.

One pass over the edges computes the weights α, the gradients of the logits, and what these mean for relations. For wide
heads it goes over destinations, and leaves both in an [E, 2, H] array for another pass over sources, which would have
to gather twice as much without. Heads of width 1 need one pass alone, over sources: what q gets as destinations has a
closed form, from sums that the forward pass has kept.

An empty array stands for a relation key that is not there, and for what nobody asks for.
"""

from __future__ import annotations

import numpy as np

from licap.ops.numba_blocks import add_over_ends, dots_with_ends, edges_per_block, end_of_block, span, start_of
from licap.ops.numba_dot_kernels import logits_from_dots
from licap.ops.numba_edges import Edges
from licap.ops.numba_rows import (
    Array,
    add_product,
    add_row,
    add_scaled_row,
    exp_in_place,
    inlined,
    kernel,
    set_product,
    set_row,
    subtract_row,
)


@inlined
def gradients_of_block(
    edges: Edges,
    first: int,
    end: int,
    heads: int,
    width: int,
    q: Array,
    k: Array,
    v: Array,
    gain: Array,
    shift: Array,
    key: Array,
    g: Array,
    lse: Array,
    delta: Array,
    from_ends: bool,
    y: Array,
    x: Array,
    p: Array,
) -> None:  # pragma: no cover
    """y, x, p: [edges, H] dot products ⟨q, k⟩, weights α, and the logits' gradients α (⟨g, v⟩ - δ), δ = ⟨g, out⟩."""
    start = start_of(edges.indptr, first)
    count = (start_of(edges.indptr, end) - start) * heads
    for n in range(first, end):
        if from_ends:
            dots_with_ends(edges, n, start, heads, width, k, q, y)
            dots_with_ends(edges, n, start, heads, width, v, g, p)
        else:
            dots_with_ends(edges, n, start, heads, width, q, k, y)
            dots_with_ends(edges, n, start, heads, width, g, v, p)
    x[:count] = y[:count]
    for n in range(first, end):
        logits_from_dots(edges, n, start, heads, width, q, gain, shift, key, from_ends, x)
        low, high = span(edges.indptr, n)
        for e in range(low, high):
            at, target = (e - start) * heads, (n if from_ends else edges.ends[e]) * heads
            subtract_row(heads, x, at, lse, target)
            subtract_row(heads, p, at, delta, target)
    exp_in_place(x, count)
    for i in range(count):
        p[i] *= x[i]


@inlined
def sum_by_relation(
    edges: Edges,
    n: int,
    start: int,
    heads: int,
    width: int,
    part: int,
    y: Array,
    p: Array,
    q: Array,
    gain: Array,
    key: Array,
    from_ends: bool,
    d_gain: Array,
    d_shift: Array,
    d_key: Array,
) -> None:  # pragma: no cover
    """Adds up what the gradients p of node n's logits mean for relations, in the part of a chunk."""
    row = heads * width
    low, high = span(edges.indptr, n)
    for e in range(low, high):
        at, r = (e - start) * heads, part * gain.size + edges.rel[e] * heads
        if d_shift.size:
            add_row(heads, d_shift, r, p, at)
        if d_gain.size:
            add_product(heads, d_gain, r, p, at, y, at)
    if d_key.size == 0:
        return
    for e in range(low, high):
        r, source = part * key.size + edges.rel[e] * row, (edges.ends[e] if from_ends else n) * row
        for h in range(heads):
            at, place = (e - start) * heads + h, h * width
            add_scaled_row(width, d_key, r + place, 1, p, at, 0, q, source + place, 0)


@inlined
def times_gain(edges: Edges, low: int, high: int, heads: int, gain: Array, p: Array) -> None:  # pragma: no cover
    """p · gain[r] in place of p, for the edges at low … high."""
    for e in range(low, high):
        set_product(heads, p, (e - low) * heads, p, (e - low) * heads, gain, edges.rel[e] * heads)


@inlined
def clear_part(part: int, like: Array, parts: Array) -> None:  # pragma: no cover
    """Zeros where a chunk sums up, if anything is asked for."""
    parts[part * like.size : (part + 1) * like.size] = 0


@kernel
def dot_backward_by_dst(
    chunk: int,
    last_chunk: int,
    edges: Edges,
    heads: int,
    width: int,
    q: Array,
    k: Array,
    v: Array,
    gain: Array,
    shift: Array,
    key: Array,
    g: Array,
    lse: Array,
    delta: Array,
    left: Array,
    d_q: Array,
    d_gain: Array,
    d_shift: Array,
    d_key: Array,
) -> None:  # pragma: no cover
    """d_q [N, H, D] as destinations, d_gain, d_shift [C, R, H] and d_key [C, R, H, D]; edges grouped by destination.

    left: [E, 2, H] α and the logits' gradients, for the pass over sources.
    """
    indptr, row = edges.indptr, heads * width
    size = (edges_per_block(row) + edges.room) * heads
    y, x, p = np.empty(size, q.dtype), np.empty(size, q.dtype), np.empty(size, q.dtype)
    for c in range(chunk, last_chunk):
        clear_part(c, gain, d_gain)
        clear_part(c, gain, d_shift)
        clear_part(c, key, d_key)
        first, last = edges.bounds[c], edges.bounds[c + 1]
        while first < last:
            end = end_of_block(indptr, first, last, row)
            low, high = start_of(indptr, first), start_of(indptr, end)
            gradients_of_block(edges, first, end, heads, width, q, k, v, gain, shift, key, g, lse, delta, True, y, x, p)
            if left.size:
                for e in range(low, high):
                    set_row(heads, left, 2 * e * heads, x, (e - low) * heads)
                    set_row(heads, left, (2 * e + 1) * heads, p, (e - low) * heads)
            for n in range(first, end):
                sum_by_relation(edges, n, low, heads, width, c, y, p, q, gain, key, True, d_gain, d_shift, d_key)
            if d_q.size:
                times_gain(edges, low, high, heads, gain, p)
                for n in range(first, end):
                    d_q[n * row : (n + 1) * row] = 0
                    add_over_ends(indptr, edges.ends, n, low, heads, width, p, k, d_q, n * row)
            first = end


@kernel
def dot_backward_by_src(
    chunk: int,
    last_chunk: int,
    edges: Edges,
    heads: int,
    width: int,
    places: Array,
    q: Array,
    gain: Array,
    key: Array,
    g: Array,
    left: Array,
    d_q: Array,
    d_k: Array,
    d_v: Array,
) -> None:  # pragma: no cover
    """d_k and d_v [N, H, D]; with a key, adds to d_q what q gets as sources. Edges grouped by source.

    left: as above, at places [E].
    """
    indptr, row = edges.indptr, heads * width
    size = (edges_per_block(row) + edges.room) * heads
    x, p = np.empty(size, q.dtype), np.empty(size, q.dtype)
    first, last = edges.bounds[chunk], edges.bounds[last_chunk]
    while first < last:
        end = end_of_block(indptr, first, last, row)
        low, high = start_of(indptr, first), start_of(indptr, end)
        for e in range(low, high):
            set_row(heads, x, (e - low) * heads, left, 2 * places[e] * heads)
            set_row(heads, p, (e - low) * heads, left, (2 * places[e] + 1) * heads)
        return_to_sources(edges, first, end, heads, width, x, p, q, gain, key, g, d_q, d_k, d_v)
        first = end


@inlined
def return_to_sources(
    edges: Edges,
    first: int,
    end: int,
    heads: int,
    width: int,
    x: Array,
    p: Array,
    q: Array,
    gain: Array,
    key: Array,
    g: Array,
    d_q: Array,
    d_k: Array,
    d_v: Array,
) -> None:  # pragma: no cover
    """d_v = Σ α g, d_k = Σ p gain q, and d_q grows by Σ p key, for a block of sources."""
    indptr, row = edges.indptr, heads * width
    low, high = start_of(indptr, first), start_of(indptr, end)
    for u in range(first, end):
        if d_v.size:
            d_v[u * row : (u + 1) * row] = 0
            add_over_ends(indptr, edges.ends, u, low, heads, width, x, g, d_v, u * row)
        if d_q.size and key.size:
            add_over_ends(indptr, edges.rel, u, low, heads, width, p, key, d_q, u * row)
    if d_k.size:
        times_gain(edges, low, high, heads, gain, p)
        for u in range(first, end):
            d_k[u * row : (u + 1) * row] = 0
            add_over_ends(indptr, edges.ends, u, low, heads, width, p, q, d_k, u * row)


@kernel
def dot_backward_of_scalars(
    chunk: int,
    last_chunk: int,
    edges: Edges,
    heads: int,
    q: Array,
    k: Array,
    v: Array,
    gain: Array,
    shift: Array,
    key: Array,
    g: Array,
    lse: Array,
    delta: Array,
    d_q: Array,
    d_k: Array,
    d_v: Array,
    d_gain: Array,
    d_shift: Array,
    d_key: Array,
) -> None:  # pragma: no cover
    """The gradients of heads of width 1, but d_q, to which is added what q gets as sources. Edges grouped by source."""
    indptr = edges.indptr
    size = (edges_per_block(heads) + edges.room) * heads
    y, x, p = np.empty(size, q.dtype), np.empty(size, q.dtype), np.empty(size, q.dtype)
    for c in range(chunk, last_chunk):
        clear_part(c, gain, d_gain)
        clear_part(c, gain, d_shift)
        clear_part(c, key, d_key)
        first, last = edges.bounds[c], edges.bounds[c + 1]
        while first < last:
            end = end_of_block(indptr, first, last, heads)
            low = start_of(indptr, first)
            gradients_of_block(edges, first, end, heads, 1, q, k, v, gain, shift, key, g, lse, delta, False, y, x, p)
            for u in range(first, end):
                sum_by_relation(edges, u, low, heads, 1, c, y, p, q, gain, key, False, d_gain, d_shift, d_key)
            return_to_sources(edges, first, end, heads, 1, x, p, q, gain, key, g, d_q, d_k, d_v)
            first = end
