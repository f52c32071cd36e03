"""Compiled kernel of dot attention; notation, blocks and sums as in `numba_kernels`.

An empty array stands for a relation key that is not there, and for what nobody asks for.
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
    add_rows,
    dot,
    inlined,
    kernel,
    scale_and_shift,
    set_product,
)


@inlined
def logits_from_dots(
    edges: Edges,
    n: int,
    start: int,
    heads: int,
    width: int,
    q: Array,
    gain: Array,
    shift: Array,
    key: Array,
    from_ends: bool,
    x: Array,
) -> None:  # pragma: no cover - compiled, as all below
    """x · gain[r] + shift[r] + ⟨q[source], key[r]⟩ in place of x, for node n's edges. from_ends: ends are sources."""
    row = heads * width
    low, high = span(edges.indptr, n)
    for e in range(low, high):
        r = edges.rel[e] * heads
        scale_and_shift(heads, x, (e - start) * heads, gain, r, shift, r)
    if key.size == 0:
        return
    for e in range(low, high):
        at, r = (e - start) * heads, edges.rel[e] * row
        source = (edges.ends[e] if from_ends else n) * row
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
    pulled: Array,
) -> None:  # pragma: no cover
    """out [N, H, D] and lse [N, H]; edges grouped by destination.

    pulled: [2, N, H] Σ α gain k and Σ α gain k v, for heads of width 1.
    """
    indptr, row = edges.indptr, heads * width
    x = np.empty((edges_per_block(row) + edges.room) * heads, q.dtype)
    sums, nodes = np.empty(heads, q.dtype), lse.size
    first, last = edges.bounds[chunk], edges.bounds[last_chunk]
    while first < last:
        end = end_of_block(indptr, first, last, row)
        start = start_of(indptr, first)
        for n in range(first, end):
            dots_with_ends(edges, n, start, heads, width, k, q, x)
            logits_from_dots(edges, n, start, heads, width, q, gain, shift, key, True, x)
        softmax_of_groups(x, indptr, first, end, heads, lse, sums)
        for n in range(first, end):
            low, high = span(indptr, n)
            out[n * row : (n + 1) * row] = 0
            add_over_ends(indptr, edges.ends, n, start, heads, width, x, v, out, n * row)
            sums[:] = 0
            add_rows(heads, sums, 0, high - low, x, (low - start) * heads, heads)
            if pulled.size:
                for e in range(low, high):
                    at = (e - start) * heads
                    set_product(heads, x, at, x, at, gain, edges.rel[e] * heads)
                    set_product(heads, x, at, x, at, k, edges.ends[e] * heads)
                pulled[n * heads : (n + 1) * heads] = 0
                pulled[nodes + n * heads : nodes + (n + 1) * heads] = 0
                add_rows(heads, pulled, n * heads, high - low, x, (low - start) * heads, heads)
                add_over_ends(indptr, edges.ends, n, start, heads, 1, x, v, pulled, nodes + n * heads)
            for h in range(heads):
                at = n * heads + h
                inverse = finish_weights(at, sums[h], lse)
                for d in range(at * width, (at + 1) * width):
                    out[d] *= inverse
                if pulled.size:
                    pulled[at] *= inverse
                    pulled[nodes + at] *= inverse
        first = end
