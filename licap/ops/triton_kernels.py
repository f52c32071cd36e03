"""Triton kernels of relation attention and of sums over edges; a program does one piece of a group for some heads.

Tiles are [edges, heads, columns], powers of two: rows are read along their columns, and each place of the edge axis
keeps its own running sums, which meet once, at the end of a piece. No atomics: every sum has one owner, and its order
depends on the graph alone. Numbers of rows times widths may pass 2³¹, so rows are counted in 64 bits.
Notation: N nodes, E edges, R relations, H heads, D width; BE, BH and BD sizes of a tile; pieces as in `triton_edges`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import triton
import triton.language as tl

F = TypeVar("F", bound=Callable[..., Any])

# Below every logit, and finite: the difference of two of them is 0, where that of two infinities is no number.
LOWEST = tl.constexpr(-3.4e38)


def kernel(function: F) -> F:
    """Compiles at the first call; kept on disk for later processes."""
    return cast(F, triton.jit(function))


def inlined(function: F) -> F:
    """For what kernels call."""
    return cast(F, triton.jit(function))


@inlined
def columns(H: tl.constexpr, D: tl.constexpr, BH: tl.constexpr, BD: tl.constexpr) -> tl.tensor:
    """This program's heads [BH], where a row has their columns [1, BH, BD], and which of both there are."""
    h = tl.program_id(1) * BH + tl.arange(0, BH)
    d = tl.arange(0, BD)
    there = (h < H)[:, None] & (d < D)[None, :]
    return h, h < H, (h[:, None] * D + d[None, :])[None, :, :], there[None, :, :]


@inlined
def own(cuts: tl.tensor, group: tl.tensor, to: tl.tensor) -> tl.tensor:
    """The first and last + 1 edge of this program's piece, its group, and where its sum goes."""
    piece = tl.program_id(0)
    node, target = tl.load(group + piece).to(tl.int64), tl.load(to + piece).to(tl.int64)
    return tl.load(cuts + piece), tl.load(cuts + piece + 1), node, target


@inlined
def step(
    start: tl.tensor,
    last: tl.tensor,
    ends: tl.tensor,
    rel: tl.tensor,
    in_heads: tl.tensor,
    in_row: tl.tensor,
    BE: tl.constexpr,
) -> tl.tensor:
    """The next edges [BE] of a piece, their other ends and relations, and what of [BE, BH] and of a tile there is."""
    e = start + tl.arange(0, BE)
    here = e < last
    end, r = tl.load(ends + e, mask=here, other=0), tl.load(rel + e, mask=here, other=0)
    there, in_tile = here[:, None] & in_heads[None, :], here[:, None, None] & in_row
    return e.to(tl.int64), end.to(tl.int64), r.to(tl.int64), there, in_tile


@inlined
def heads_at(x: tl.tensor, ids: tl.tensor, H: tl.constexpr, h: tl.tensor, there: tl.tensor) -> tl.tensor:
    """[BE, BH] of x [·, H] at ids [BE]."""
    return tl.load(x + ids[:, None] * H + h[None, :], mask=there, other=0)


@inlined
def rows_at(x: tl.tensor, ids: tl.tensor, size: tl.constexpr, cols: tl.tensor, there: tl.tensor) -> tl.tensor:
    """[BE, BH, BD] of x, whose rows have this size, at ids [BE]."""
    return tl.load(x + ids[:, None, None] * size + cols, mask=there, other=0)


@inlined
def put(
    whole: tl.tensor,
    parts: tl.tensor,
    to: tl.tensor,
    groups: tl.tensor,
    size: tl.constexpr,
    at: tl.tensor,
    values: tl.tensor,
    there: tl.tensor,
) -> None:
    """Writes what a piece sums up: into its group's row of `whole`, or into a row of `parts`. size: of a row."""
    if to < groups:
        tl.store(whole + to * size + at, values, mask=there)
    else:
        tl.store(parts + (to - groups) * size + at, values, mask=there)


@inlined
def attend(largest: tl.tensor, total: tl.tensor, acc: tl.tensor, logits: tl.tensor, rows: tl.tensor) -> tl.tensor:
    """Takes one more edge at each place of the edge axis into running softmax sums.

    largest, total, logits: [BE, BH]. acc, rows: [BE, BH, BD]. A logit of minus infinity is of no edge.
    """
    new = tl.maximum(largest, logits)
    shrink, weight = tl.exp(largest - new), tl.exp(logits - new)
    return new, total * shrink + weight, acc * shrink[:, :, None] + weight[:, :, None] * rows


@inlined
def meet(largest: tl.tensor, total: tl.tensor, acc: tl.tensor) -> tl.tensor:
    """Running sums of all places together: the weighted mean [BH, BD], zero without edges, and lse [BH]."""
    top = tl.max(largest, 0)
    shrink = tl.exp(largest - top[None, :])
    whole = tl.sum(total * shrink, 0)
    whole = tl.where(whole == 0, 1.0, whole)
    return tl.sum(acc * shrink[:, :, None], 0) / whole[:, None], top + tl.log(whole)


@kernel
def relation_forward(
    cuts: tl.tensor,
    group: tl.tensor,
    to: tl.tensor,
    groups: tl.tensor,
    ends: tl.tensor,
    rel: tl.tensor,
    slope: tl.tensor,
    slope_rest: tl.tensor,
    z: tl.tensor,
    el: tl.tensor,
    er: tl.tensor,
    em: tl.tensor,
    out: tl.tensor,
    out_parts: tl.tensor,
    lse: tl.tensor,
    lse_parts: tl.tensor,
    H: tl.constexpr,
    D: tl.constexpr,
    BE: tl.constexpr,
    BH: tl.constexpr,
    BD: tl.constexpr,
) -> None:
    """out [N, H, D] and lse [N, H], the logarithm of a node's sum of exponentials; edges grouped by destination.

    slope, slope_rest: sum up to the slope, as Triton takes a number for float32.
    """
    h, in_heads, cols, in_row = columns(H, D, BH, BD)
    first, last, node, target = own(cuts, group, to)
    at_node = tl.load(er + node * H + h, mask=in_heads, other=0)
    largest = tl.full([BE, BH], LOWEST, z.dtype.element_ty)
    total = tl.zeros([BE, BH], z.dtype.element_ty)
    acc = tl.zeros([BE, BH, BD], z.dtype.element_ty)
    for start in range(first, last, BE):
        _, u, r, there, in_tile = step(start, last, ends, rel, in_heads, in_row, BE)
        x = heads_at(el, u, H, h, there) + at_node[None, :] + heads_at(em, r, H, h, there)
        x = tl.where(x < 0, x * slope + x * slope_rest, x)
        rows = rows_at(z, u, H * D, cols, in_tile)
        largest, total, acc = attend(largest, total, acc, tl.where(there, x, float("-inf")), rows)
    mean, log_sum = meet(largest, total, acc)
    put(out, out_parts, target, groups, H * D, cols, mean[None, :, :], in_row)
    put(lse, lse_parts, target, groups, H, h, log_sum, in_heads)


@kernel
def relation_backward(
    cuts: tl.tensor,
    group: tl.tensor,
    to: tl.tensor,
    groups: tl.tensor,
    ends: tl.tensor,
    rel: tl.tensor,
    slope: tl.tensor,
    slope_rest: tl.tensor,
    z: tl.tensor,
    el: tl.tensor,
    er: tl.tensor,
    em: tl.tensor,
    lse: tl.tensor,
    delta: tl.tensor,
    g: tl.tensor,
    d_z: tl.tensor,
    d_z_parts: tl.tensor,
    d_el: tl.tensor,
    d_el_parts: tl.tensor,
    terms: tl.tensor,
    H: tl.constexpr,
    D: tl.constexpr,
    FOR_Z: tl.constexpr,
    FOR_LOGITS: tl.constexpr,
    BE: tl.constexpr,
    BH: tl.constexpr,
    BD: tl.constexpr,
) -> None:
    """d_z [N, H, D], d_el [N, H] and terms [E, H], the gradients of sums el + er + em; edges grouped by source.

    g: [N, H, D] gradient of the output. delta: [N, H] ⟨g, out⟩. A logit's gradient is α (⟨g, z⟩ - δ).
    """
    h, in_heads, cols, in_row = columns(H, D, BH, BD)
    first, last, node, target = own(cuts, group, to)
    at_node = tl.load(el + node * H + h, mask=in_heads, other=0)
    message = tl.load(z + node * (H * D) + cols, mask=in_row, other=0)
    sum_z, sum_el = tl.zeros([BE, BH, BD], z.dtype.element_ty), tl.zeros([BE, BH], z.dtype.element_ty)
    for start in range(first, last, BE):
        e, v, r, there, in_tile = step(start, last, ends, rel, in_heads, in_row, BE)
        x = heads_at(er, v, H, h, there) + at_node[None, :] + heads_at(em, r, H, h, there)
        y = tl.where(x < 0, x * slope + x * slope_rest, x)
        alpha = tl.where(there, tl.exp(y - heads_at(lse, v, H, h, there)), 0.0)
        rows = rows_at(g, v, H * D, cols, in_tile)
        if FOR_Z:
            sum_z += alpha[:, :, None] * rows
        if FOR_LOGITS:
            d = alpha * (tl.sum(rows * message, 2) - heads_at(delta, v, H, h, there))
            d = tl.where(x < 0, d * slope + d * slope_rest, d)
            sum_el += d
            tl.store(terms + e[:, None] * H + h[None, :], d, mask=there)
    if FOR_Z:
        put(d_z, d_z_parts, target, groups, H * D, cols, tl.sum(sum_z, 0)[None, :, :], in_row)
    if FOR_LOGITS:
        put(d_el, d_el_parts, target, groups, H, h, tl.sum(sum_el, 0), in_heads)


@kernel
def sum_of_ends(
    cuts: tl.tensor,
    group: tl.tensor,
    to: tl.tensor,
    groups: tl.tensor,
    ends: tl.tensor,
    x: tl.tensor,
    out: tl.tensor,
    out_parts: tl.tensor,
    W: tl.constexpr,
    BE: tl.constexpr,
    BW: tl.constexpr,
) -> None:
    """out[group] = Σ x[ends[e]] over a group's edges. x, out: rows of W numbers."""
    c = tl.program_id(1) * BW + tl.arange(0, BW)
    first, last, _, target = own(cuts, group, to)
    acc = tl.zeros([BE, BW], x.dtype.element_ty)
    for start in range(first, last, BE):
        e = start + tl.arange(0, BE)
        end = tl.load(ends + e, mask=e < last, other=0).to(tl.int64)
        acc += tl.load(x + end[:, None] * W + c[None, :], mask=(e < last)[:, None] & (c < W)[None, :], other=0)
    put(out, out_parts, target, groups, W, c, tl.sum(acc, 0), c < W)


@kernel
def fold_sums(
    long: tl.tensor, parts: tl.tensor, x: tl.tensor, out: tl.tensor, W: tl.constexpr, BE: tl.constexpr, BW: tl.constexpr
) -> None:
    """out[long[l]] = the sum of the rows x [parts, W] of long group l."""
    c = tl.program_id(1) * BW + tl.arange(0, BW)
    last = tl.load(parts + tl.program_id(0) + 1)
    acc = tl.zeros([BE, BW], x.dtype.element_ty)
    for start in range(tl.load(parts + tl.program_id(0)), last, BE):
        p = (start + tl.arange(0, BE)).to(tl.int64)
        acc += tl.load(x + p[:, None] * W + c[None, :], mask=(p < last)[:, None] & (c < W)[None, :], other=0)
    tl.store(out + tl.load(long + tl.program_id(0)).to(tl.int64) * W + c, tl.sum(acc, 0), mask=c < W)


@kernel
def fold_means(
    long: tl.tensor,
    parts: tl.tensor,
    means: tl.tensor,
    logs: tl.tensor,
    out: tl.tensor,
    lse: tl.tensor,
    H: tl.constexpr,
    D: tl.constexpr,
    BE: tl.constexpr,
    BH: tl.constexpr,
    BD: tl.constexpr,
) -> None:
    """out and lse of long groups, from means [parts, H, D] and logs [parts, H] of their parts."""
    h, in_heads, cols, in_row = columns(H, D, BH, BD)
    last = tl.load(parts + tl.program_id(0) + 1)
    largest = tl.full([BE, BH], LOWEST, means.dtype.element_ty)
    total = tl.zeros([BE, BH], means.dtype.element_ty)
    acc = tl.zeros([BE, BH, BD], means.dtype.element_ty)
    for start in range(tl.load(parts + tl.program_id(0)), last, BE):
        p = (start + tl.arange(0, BE)).to(tl.int64)
        there = (p < last)[:, None] & in_heads[None, :]
        x = tl.load(logs + p[:, None] * H + h[None, :], mask=there, other=float("-inf"))
        rows = rows_at(means, p, H * D, cols, (p < last)[:, None, None] & in_row)
        largest, total, acc = attend(largest, total, acc, x, rows)
    mean, log_sum = meet(largest, total, acc)
    node = tl.load(long + tl.program_id(0)).to(tl.int64)
    tl.store(out + node * (H * D) + cols, mean[None, :, :], mask=in_row)
    tl.store(lse + node * H + h, log_sum, mask=in_heads)
