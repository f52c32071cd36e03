"""Launches of the Triton kernels: tiles, grids, and room for what pieces write; triton is imported at the first call.

No call waits for the device. Notation as in `triton_kernels`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

from licap.errors import ConfigError
from licap.ops.triton_edges import Pieces

WIDEST = 1024
# Columns that a program takes at once, and that a warp of it takes.
_COLUMNS, _COLUMNS_OF_WARP = 512, 64
_MOST_WARPS, _MOST_EDGES = 8, 32


@dataclass(frozen=True)
class Room:
    """Where a kernel writes a row per group: `whole` [K, …], and `parts` [num_parts, …] for parts of long groups."""

    whole: Tensor
    parts: Tensor


def room(like: Tensor, pieces: Pieces, wanted: bool = True) -> Room:
    """Uninitialised, rows as those of `like` [·, …]; without elements where nobody wants it."""
    row = like.shape[1:]
    sizes = (pieces.groups, pieces.num_parts) if wanted else (0, 0)
    return Room(*(like.new_empty(size, *row) for size in sizes))


def slope_in_two(slope: float) -> tuple[float, float]:
    """Two numbers that sum up to the slope: Triton takes one for float32, and compiles anew for a constant."""
    high = float(np.float32(slope))
    return high, slope - high


def attend(kernel: Any, pieces: Pieces, *given: Any, out: Room, lse: Room, **flags: bool) -> None:
    """Runs a forward kernel, and folds what parts of long groups wrote. out: [·, H, D]. lse: [·, H]."""
    heads, width = out.whole.shape[1:]
    over_heads(kernel, pieces, (heads, width), 32, *given, out.whole, out.parts, lse.whole, lse.parts, **flags)
    tile = _tile(heads, width, _in_registers(32, out.whole))
    grid = pieces.long.shape[0], -(-heads // tile["BH"])
    fold = relation_kernels().fold_means
    _run(fold, grid, pieces.long, pieces.parts, out.parts, lse.parts, out.whole, lse.whole, H=heads, D=width, **tile)


def over_heads(
    kernel: Any, pieces: Pieces, size: tuple[int, int], numbers: int, ends: Tensor, /, *given: Any, **flags: bool
) -> None:
    """Runs a kernel whose programs take a piece and some heads each.

    size: H, D. numbers: of float32 that a thread holds of one tile; the fewer, the more tiles a kernel can have.
    """
    heads, width = size
    tensor = next(each for each in given if isinstance(each, Tensor) and each.is_floating_point())
    tile = _tile(heads, width, _in_registers(numbers, tensor))
    grid = len(pieces), -(-heads // tile["BH"])
    _run(kernel, grid, *_addressed(pieces), ends, *given, H=heads, D=width, **flags, **tile)


def sum_of_ends(x: Tensor, pieces: Pieces, ends: Tensor) -> Tensor:
    """out[group] = Σ x[ends[e]] over a group's edges. x: [·, …]. ends: [E]. Returns: [K, …]."""
    out = room(x, pieces)
    tile = _row_tile(x)
    grid = len(pieces), -(-_row(x) // tile["BW"])
    kernel = relation_kernels().sum_of_ends
    _run(kernel, grid, *_addressed(pieces), ends, x, out.whole, out.parts, W=_row(x), **tile)
    return folded(out, pieces)


def folded(out: Room, pieces: Pieces) -> Tensor:
    """`out.whole`, after the sums of parts of long groups are put into it."""
    if out.whole.numel():
        tile = _row_tile(out.whole)
        grid = pieces.long.shape[0], -(-_row(out.whole) // tile["BW"])
        kernel = relation_kernels().fold_sums
        _run(kernel, grid, pieces.long, pieces.parts, out.parts, out.whole, W=_row(out.whole), **tile)
    return out.whole


def refuse_wide(width: int) -> None:
    """Raises: ConfigError for heads that a tile cannot hold."""
    if width > WIDEST:
        raise ConfigError(
            f"attention backend triton takes heads of width {WIDEST} at most (got {width}). "
            "Set runtime.backend to torch or auto."
        )


@cache
def relation_kernels() -> Any:
    """Imports `triton_kernels`, and triton."""
    return import_module("licap.ops.triton_kernels")


@cache
def dot_kernels() -> Any:
    """Imports `triton_dot_kernels`, and triton."""
    return import_module("licap.ops.triton_dot_kernels")


def _addressed(pieces: Pieces) -> tuple[Tensor | int, ...]:
    return pieces.cuts, pieces.group, pieces.to, pieces.groups


def _run(kernel: Any, grid: tuple[int, int], *given: Any, **meta: Any) -> None:
    """Launches on the device of the tensors, which need not be the current one. An empty grid is no launch to CUDA."""
    if all(grid):
        tensor = next(each for each in given if isinstance(each, Tensor))
        with torch.cuda.device_of(tensor):  # type: ignore[no-untyped-call]
            # Products and the sums that follow may be rounded once: Triton's default, which its versions change.
            kernel[grid](*given, enable_fp_fusion=True, **meta)


def _tile(heads: int, width: int, numbers: int) -> dict[str, int]:
    """Sizes of a tile of heads, as the kernels name them, and the warps that share it."""
    columns = _power_of_two(width)
    taken = max(1, min(_power_of_two(heads), _COLUMNS // columns))
    edges, warps = _edges_and_warps(taken * columns, numbers)
    return {"BE": edges, "BH": taken, "BD": columns, "num_warps": warps}


def _row_tile(x: Tensor) -> dict[str, int]:
    """As `_tile`, for rows as of x [·, …] that are not divided into heads."""
    columns = min(_COLUMNS, _power_of_two(_row(x)))
    edges, warps = _edges_and_warps(columns, _in_registers(32, x))
    return {"BE": edges, "BW": columns, "num_warps": warps}


def _edges_and_warps(columns: int, numbers: int) -> tuple[int, int]:
    warps = min(_MOST_WARPS, max(1, columns // _COLUMNS_OF_WARP))
    return max(1, min(_MOST_EDGES, numbers * 32 * warps // columns)), warps


def _in_registers(numbers: int, like: Tensor) -> int:
    """So many numbers of float32, or half as many of float64, which take two registers each."""
    return numbers * 4 // like.element_size()


def _row(x: Tensor) -> int:
    return int(np.prod(x.shape[1:], dtype=np.int64))


def _power_of_two(number: int) -> int:
    """The smallest from `number` on."""
    return 1 << max(0, number - 1).bit_length()
