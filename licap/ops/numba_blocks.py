"""Steps that the numba kernels of both attentions are made of, each on a block of edges.

Arrays of numbers are flat. Notation: N nodes, R relations, H heads, D width, C chunks. A block is the edges of a few
whole groups, so that its [edges, H] arrays stay in the cache; `start` is the place of its first edge.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from licap.ops.numba_edges import Edges
from licap.ops.numba_rows import (
    Array,
    add_products,
    add_scaled,
    dot,
    exp_in_place,
    inlined,
    raise_to_rows,
    set_product,
    set_row,
    subtract_row,
)

# Elements of the messages that a block's edges gather: 64 KB of float32.
_BLOCK = 16_384
# Edges.
_FEW = 64


@inlined
def edges_per_block(row: int) -> int:  # pragma: no cover - compiled, as all below
    """For messages of `row` elements."""
    return min(512, max(32, _BLOCK // row))


@inlined
def end_of_block(indptr: Array, first: int, last: int, row: int) -> int:  # pragma: no cover
    """The node behind the block that starts at node `first`, one group at least."""
    end = first + 1
    while end < last and indptr[end + 1] - indptr[first] <= edges_per_block(row):
        end += 1
    return end


@inlined
def start_of(indptr: Array, v: int) -> Any:  # pragma: no cover
    """First place of a node's edges; wide, as the ids' own type need not hold a place times heads."""
    return np.int64(indptr[v])


@inlined
def span(indptr: Array, v: int) -> tuple[Any, Any]:  # pragma: no cover
    """First place, and last + 1, of a node's edges."""
    return start_of(indptr, v), start_of(indptr, v + 1)


@inlined
def softmax_of_groups(
    logits: Array, indptr: Array, first: int, end: int, heads: int, lse: Array, largest: Array
) -> None:  # pragma: no cover
    """Turns a block's logits into exponentials relative to each group's largest, which goes to lse."""
    start = start_of(indptr, first)
    for v in range(first, end):
        low, high = span(indptr, v)
        if low == high:
            continue
        set_row(heads, largest, 0, logits, (low - start) * heads)
        raise_to_rows(heads, largest, 0, high - low, logits, (low - start) * heads, heads)
        for e in range(low, high):
            subtract_row(heads, logits, (e - start) * heads, largest, 0)
        set_row(heads, lse, v * heads, largest, 0)
    exp_in_place(logits, (start_of(indptr, end) - start) * heads)


@inlined
def finish_weights(at: int, weights: float, lse: Array) -> Any:  # pragma: no cover
    """Completes lse[at], which is the largest logit so far. Returns: 1 / weights, 0 where there is no edge."""
    if weights == 0:
        lse[at] = 0
        return lse.dtype.type(0)
    lse[at] += math.log(weights)
    return 1 / weights


@inlined
def dots_with_ends(
    edges: Edges, v: int, start: int, heads: int, width: int, at_end: Array, at_node: Array, dots: Array
) -> None:  # pragma: no cover
    """dots = ⟨at_end[u], at_node[v]⟩ of node v's edges with other ends u, per head."""
    row = heads * width
    low, high = span(edges.indptr, v)
    if width == 1:
        for e in range(low, high):
            set_product(heads, dots, (e - start) * heads, at_end, edges.ends[e] * heads, at_node, v * heads)
        return
    for e in range(low, high):
        for h in range(heads):
            place = h * width
            dots[(e - start) * heads + h] = dot(width, at_end, edges.ends[e] * row + place, at_node, v * row + place)


@inlined
def add_over_ends(
    indptr: Array,
    ends: Array,
    v: int,
    start: int,
    heads: int,
    width: int,
    weights: Array,
    messages: Array,
    out: Array,
    place: int,
) -> None:  # pragma: no cover
    """Adds Σ weight · messages[end], over node v's edges, to the row of `out` at `place`."""
    row = heads * width
    low, high = span(indptr, v)
    if width == 1:
        at = (low - start) * heads
        add_products(heads, out, place, high - low, weights, at, heads, messages, 0, row, ends, low)
        return
    # A few edges at a time, so that the next head finds their messages in the cache.
    for first in range(low, high, _FEW):
        count, at = min(_FEW, high - first), (first - start) * heads
        for h in range(heads):
            to, part = place + h * width, h * width
            add_scaled(width, out, to, count, weights, at + h, heads, messages, part, row, ends, first)
