"""Compiled kernels of dot attention; notation, blocks and sums as in `numba_kernels`.

An empty array stands for a relation key that is not there, and for a gradient that nobody asks for.
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
    add_product,
    add_row,
    add_rows,
    add_scaled_row,
    dot,
    exp_in_place,
    inlined,
    kernel,
    scale_and_shift,
    set_product,
    subtract_row,
)


@inlined
def logits_from_dots(
    edges: Edges,
    v: int,
    start: int,
    heads: int,
    width: int,
    gain: Array,
    shift: Array,
    q: Array,
    key: Array,
    sources_are_ends: bool,
    x: Array,
) -> None:  # pragma: no cover - compiled, as all below
    """x · gain[r] + shift[r] + ⟨q[source], key[r]⟩ in place of x, for node v's edges."""
    low, high = span(edges.indptr, v)
    for e in range(low, high):
        r = edges.rel[e] * heads
        scale_and_shift(heads, x, (e - start) * heads, gain, r, shift, r)
    if key.size == 0:
        return
    for e in range(low, high):
        at, r = (e - start) * heads, edges.rel[e] * heads * width
        source = (edges.ends[e] if sources_are_ends else v) * heads * width
        if width == 1:
            add_product(heads, x, at, q, source, key, r)
        else:
            for h in range(heads):
                x[at + h] += dot(width, q, source + h * width, key, r + h * width)


@kernel
def dot_forward(
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
    out: Array,
    lse: Array,
) -> None:  # pragma: no cover
    """out [N, H, D] and lse [N, H]; edges grouped by destination."""
    indptr, row = edges.indptr, heads * width
    x = np.empty((edges_per_block(row) + edges.room) * heads, q.dtype)
    sums = np.empty(heads, q.dtype)
    first, last = edges.bounds[chunk], edges.bounds[last_chunk]
    while first < last:
        end = end_of_block(indptr, first, last, row)
        start = start_of(indptr, first)
        for n in range(first, end):
            dots_with_ends(edges, n, start, heads, width, k, q, x)
            logits_from_dots(edges, n, start, heads, width, gain, shift, q, key, True, x)
        softmax_of_groups(x, indptr, first, end, heads, lse, sums)
        for n in range(first, end):
            low, high = span(indptr, n)
            out[n * row : (n + 1) * row] = 0
            add_over_ends(edges, n, start, heads, width, x, v, out, n * row)
            sums[:] = 0
            add_rows(heads, sums, 0, high - low, x, (low - start) * heads, heads)
            for h in range(heads):
                inverse = finish_weights(n * heads + h, sums[h], lse)
                for d in range(n * row + h * width, n * row + (h + 1) * width):
                    out[d] *= inverse
        first = end


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
    out: Array,
    lse: Array,
    g: Array,
    at_dst: Array,
    d_q: Array,
) -> None:  # pragma: no cover
    """d_q [N, H, D] as destinations, and at_dst [N, 2, H]: lse and δ = ⟨g, out⟩. Edges grouped by destination.

    A logit's gradient is α (⟨g, v⟩ - δ).
    """
    for n in range(edges.bounds[chunk], edges.bounds[last_chunk]):
        for h in range(heads):
            at, to = n * heads + h, 2 * n * heads + h
            at_dst[to], at_dst[to + heads] = lse[at], dot(width, g, at * width, out, at * width)
    if d_q.size == 0:
        return
    indptr, row = edges.indptr, heads * width
    size = (edges_per_block(row) + edges.room) * heads
    x, p = np.empty(size, q.dtype), np.empty(size, q.dtype)
    first, last = edges.bounds[chunk], edges.bounds[last_chunk]
    while first < last:
        end = end_of_block(indptr, first, last, row)
        start = start_of(indptr, first)
        count = (start_of(indptr, end) - start) * heads
        for n in range(first, end):
            dots_with_ends(edges, n, start, heads, width, k, q, x)
            logits_from_dots(edges, n, start, heads, width, gain, shift, q, key, True, x)
            dots_with_ends(edges, n, start, heads, width, v, g, p)
            low, high = span(indptr, n)
            for e in range(low, high):
                subtract_row(heads, x, (e - start) * heads, at_dst, 2 * n * heads)
                subtract_row(heads, p, (e - start) * heads, at_dst, (2 * n + 1) * heads)
        exp_in_place(x, count)
        for i in range(count):
            x[i] *= p[i]
        for n in range(first, end):
            low, high = span(indptr, n)
            for e in range(low, high):
                at = (e - start) * heads
                set_product(heads, x, at, x, at, gain, edges.rel[e] * heads)
            d_q[n * row : (n + 1) * row] = 0
            add_over_ends(edges, n, start, heads, width, x, k, d_q, n * row)
        first = end


@kernel
def dot_backward_by_src(
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
    at_dst: Array,
    d_q: Array,
    d_k: Array,
    d_v: Array,
    d_gain: Array,
    d_shift: Array,
    d_key: Array,
) -> None:  # pragma: no cover
    """d_k, d_v [N, H, D], d_gain, d_shift [C, R, H] and d_key [C, R, H, D]; edges grouped by source.

    With a key, adds to d_q what q has got as a source. Without d_k, only d_v is computed.
    """
    indptr, row = edges.indptr, heads * width
    size = (edges_per_block(row) + edges.room) * heads
    y, x, p = np.empty(size, q.dtype), np.empty(size, q.dtype), np.empty(size, q.dtype)
    for c in range(chunk, last_chunk):
        d_gain[c * gain.size : (c + 1) * gain.size] = 0
        d_shift[c * gain.size : (c + 1) * gain.size] = 0
        d_key[c * key.size : (c + 1) * key.size] = 0
        first, last = edges.bounds[c], edges.bounds[c + 1]
        while first < last:
            end = end_of_block(indptr, first, last, row)
            start = start_of(indptr, first)
            count = (start_of(indptr, end) - start) * heads
            for u in range(first, end):
                dots_with_ends(edges, u, start, heads, width, q, k, y)
            x[:count] = y[:count]
            for u in range(first, end):
                logits_from_dots(edges, u, start, heads, width, gain, shift, q, key, False, x)
                low, high = span(indptr, u)
                for e in range(low, high):
                    subtract_row(heads, x, (e - start) * heads, at_dst, 2 * edges.ends[e] * heads)
            exp_in_place(x, count)
            if d_v.size:
                for u in range(first, end):
                    d_v[u * row : (u + 1) * row] = 0
                    add_over_ends(edges, u, start, heads, width, x, g, d_v, u * row)
            if d_k.size:
                for u in range(first, end):
                    dots_with_ends(edges, u, start, heads, width, g, v, p)
                    low, high = span(indptr, u)
                    for e in range(low, high):
                        subtract_row(heads, p, (e - start) * heads, at_dst, (2 * edges.ends[e] + 1) * heads)
                for i in range(count):
                    p[i] *= x[i]
                for u in range(first, end):
                    return_logits(edges, u, start, heads, width, c, y, p, q, gain, key, d_q, d_gain, d_shift, d_key)
                    d_k[u * row : (u + 1) * row] = 0
                    add_over_ends(edges, u, start, heads, width, p, q, d_k, u * row)
            first = end


@inlined
def return_logits(
    edges: Edges,
    u: int,
    start: int,
    heads: int,
    width: int,
    c: int,
    dots: Array,
    p: Array,
    q: Array,
    gain: Array,
    key: Array,
    d_q: Array,
    d_gain: Array,
    d_shift: Array,
    d_key: Array,
) -> None:  # pragma: no cover
    """Adds up what the logits' gradients p mean for relations and for q[u]; then multiplies them with their gain."""
    row = heads * width
    low, high = span(edges.indptr, u)
    for e in range(low, high):
        at, r = (e - start) * heads, edges.rel[e] * heads
        add_row(heads, d_shift, c * gain.size + r, p, at)
        add_product(heads, d_gain, c * gain.size + r, p, at, dots, at)
        if key.size:
            for h in range(heads):
                place = edges.rel[e] * row + h * width
                add_scaled_row(width, d_key, c * key.size + place, 1, p, at + h, 0, q, u * row + h * width, 0)
                if d_q.size:
                    add_scaled_row(width, d_q, u * row + h * width, 1, p, at + h, 0, key, place, 0)
        set_product(heads, p, at, p, at, gain, r)
