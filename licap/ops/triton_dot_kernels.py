"""Triton kernels of dot attention; tiles, pieces, sums and notation as in `triton_kernels`."""

from __future__ import annotations

import triton.language as tl

from licap.ops.triton_kernels import LOWEST, attend, columns, heads_at, kernel, meet, own, put, rows_at, step


@kernel
def dot_forward(
    cuts: tl.tensor,
    group: tl.tensor,
    to: tl.tensor,
    groups: tl.tensor,
    ends: tl.tensor,
    rel: tl.tensor,
    q: tl.tensor,
    k: tl.tensor,
    v: tl.tensor,
    gain: tl.tensor,
    shift: tl.tensor,
    key: tl.tensor,
    out: tl.tensor,
    out_parts: tl.tensor,
    lse: tl.tensor,
    lse_parts: tl.tensor,
    H: tl.constexpr,
    D: tl.constexpr,
    WITH_KEY: tl.constexpr,
    BE: tl.constexpr,
    BH: tl.constexpr,
    BD: tl.constexpr,
) -> None:
    """out [N, H, D] and lse [N, H]; edges grouped by destination."""
    h, in_heads, cols, in_row = columns(H, D, BH, BD)
    first, last, node, target = own(cuts, group, to)
    query = tl.load(q + node * (H * D) + cols, mask=in_row, other=0)
    largest = tl.full([BE, BH], LOWEST, q.dtype.element_ty)
    total = tl.zeros([BE, BH], q.dtype.element_ty)
    acc = tl.zeros([BE, BH, BD], q.dtype.element_ty)
    for start in range(first, last, BE):
        _, u, r, there, in_tile = step(start, last, ends, rel, in_heads, in_row, BE)
        x = tl.sum(query * rows_at(k, u, H * D, cols, in_tile), 2)
        x = x * heads_at(gain, r, H, h, there) + heads_at(shift, r, H, h, there)
        if WITH_KEY:
            x += tl.sum(rows_at(q, u, H * D, cols, in_tile) * rows_at(key, r, H * D, cols, in_tile), 2)
        rows = rows_at(v, u, H * D, cols, in_tile)
        largest, total, acc = attend(largest, total, acc, tl.where(there, x, float("-inf")), rows)
    mean, log_sum = meet(largest, total, acc)
    put(out, out_parts, target, groups, H * D, cols, mean[None, :, :], in_row)
    put(lse, lse_parts, target, groups, H, h, log_sum, in_heads)


@kernel
def dot_backward(
    cuts: tl.tensor,
    group: tl.tensor,
    to: tl.tensor,
    groups: tl.tensor,
    ends: tl.tensor,
    rel: tl.tensor,
    q: tl.tensor,
    k: tl.tensor,
    v: tl.tensor,
    gain: tl.tensor,
    shift: tl.tensor,
    key: tl.tensor,
    lse: tl.tensor,
    delta: tl.tensor,
    g: tl.tensor,
    d_k: tl.tensor,
    d_k_parts: tl.tensor,
    d_v: tl.tensor,
    d_v_parts: tl.tensor,
    d_q: tl.tensor,
    d_q_parts: tl.tensor,
    terms: tl.tensor,
    H: tl.constexpr,
    D: tl.constexpr,
    WITH_KEY: tl.constexpr,
    FOR_V: tl.constexpr,
    FOR_LOGITS: tl.constexpr,
    BE: tl.constexpr,
    BH: tl.constexpr,
    BD: tl.constexpr,
) -> None:
    """d_k and d_v [N, H, D], with a key what q gets of it as source, and terms [E, 2, H]; edges grouped by source.

    terms: gradients of an edge's gain and shift; the latter is the logit's, α (⟨g, v⟩ - δ).
    """
    h, in_heads, cols, in_row = columns(H, D, BH, BD)
    first, last, node, target = own(cuts, group, to)
    at_node = node * (H * D) + cols
    k_here, v_here = tl.load(k + at_node, mask=in_row, other=0), tl.load(v + at_node, mask=in_row, other=0)
    sum_k, sum_v = tl.zeros([BE, BH, BD], q.dtype.element_ty), tl.zeros([BE, BH, BD], q.dtype.element_ty)
    if WITH_KEY:
        q_here = tl.load(q + at_node, mask=in_row, other=0)
        sum_q = tl.zeros([BE, BH, BD], q.dtype.element_ty)
    for start in range(first, last, BE):
        e, n, r, there, in_tile = step(start, last, ends, rel, in_heads, in_row, BE)
        queries, rows = rows_at(q, n, H * D, cols, in_tile), rows_at(g, n, H * D, cols, in_tile)
        dots, scale = tl.sum(queries * k_here, 2), heads_at(gain, r, H, h, there)
        x = dots * scale + heads_at(shift, r, H, h, there)
        if WITH_KEY:
            keys = rows_at(key, r, H * D, cols, in_tile)
            x += tl.sum(q_here * keys, 2)
        alpha = tl.where(there, tl.exp(x - heads_at(lse, n, H, h, there)), 0.0)
        if FOR_V:
            sum_v += alpha[:, :, None] * rows
        if FOR_LOGITS:
            d = alpha * (tl.sum(rows * v_here, 2) - heads_at(delta, n, H, h, there))
            sum_k += (d * scale)[:, :, None] * queries
            if WITH_KEY:
                sum_q += d[:, :, None] * keys
            at_e = terms + e[:, None] * (2 * H) + h[None, :]
            tl.store(at_e, d * dots, mask=there)
            tl.store(at_e + H, d, mask=there)
    if FOR_V:
        put(d_v, d_v_parts, target, groups, H * D, cols, tl.sum(sum_v, 0)[None, :, :], in_row)
    if FOR_LOGITS:
        put(d_k, d_k_parts, target, groups, H * D, cols, tl.sum(sum_k, 0)[None, :, :], in_row)
        if WITH_KEY:
            put(d_q, d_q_parts, target, groups, H * D, cols, tl.sum(sum_q, 0)[None, :, :], in_row)


@kernel
def weighted_sum(
    cuts: tl.tensor,
    group: tl.tensor,
    to: tl.tensor,
    groups: tl.tensor,
    ends: tl.tensor,
    places: tl.tensor,
    rel: tl.tensor,
    terms: tl.tensor,
    gain: tl.tensor,
    x: tl.tensor,
    out: tl.tensor,
    out_parts: tl.tensor,
    H: tl.constexpr,
    D: tl.constexpr,
    WITH_GAIN: tl.constexpr,
    BE: tl.constexpr,
    BH: tl.constexpr,
    BD: tl.constexpr,
) -> None:
    """out[group] = Σ d · x[ends[e]] over a group's edges, d the second of terms [E, 2, H] at the edge's place.

    WITH_GAIN: d times gain [R, H] of the edge's relation. x, out: rows of H · D.
    """
    h, in_heads, cols, in_row = columns(H, D, BH, BD)
    first, last, _, target = own(cuts, group, to)
    acc = tl.zeros([BE, BH, BD], x.dtype.element_ty)
    for start in range(first, last, BE):
        e, end, r, there, in_tile = step(start, last, ends, rel, in_heads, in_row, BE)
        d = heads_at(terms + H, tl.load(places + e, mask=e < last, other=0).to(tl.int64), 2 * H, h, there)
        if WITH_GAIN:
            d *= heads_at(gain, r, H, h, there)
        rows = rows_at(x, end, H * D, cols, in_tile)
        acc += d[:, :, None] * rows
    put(out, out_parts, target, groups, H * D, cols, tl.sum(acc, 0)[None, :, :], in_row)
