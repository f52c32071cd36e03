"""Vector instructions on short rows of flat arrays, for the numba kernels; and what compiles these.

A row is `width` elements of a flat array from an offset on: the heads of an edge, or the message of a head. Loops over
such rows are too short for LLVM's loop vectoriser, and numba leaves the other one off; so a row is taken in pieces of
a fixed number of lanes, each of which is one vector instruction. Knows nothing of graphs.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array
from numpy.typing import NDArray

from licap.compiled import compiled

Array = NDArray[Any]
F = TypeVar("F", bound=Callable[..., Any])

# numba keeps a compiled kernel as long as the file of the kernel stays as it is, and does not look at what it calls.
_SOURCES = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("numba_*.py"))))

_CONTRACT = ("contract",)


def kernel(function: F) -> F:
    """Compiles at the first call, without the GIL; kept on disk for later processes where a folder can be written."""
    function.__qualname__ += f"_{_SOURCES.hexdigest()[:12]}"
    return compiled(function)


def inlined(function: F) -> F:
    """For what kernels call. LLVM does not inline by itself what has many arrays among its arguments."""
    return cast(F, njit(nogil=True, forceinline=True)(function))


def _contracted(function: F) -> F:
    """As `inlined`; a product and the sum that follows may be rounded once."""
    return cast(F, njit(nogil=True, forceinline=True, fastmath={"contract"})(function))


def _in_llvm(function: Callable[..., Any]) -> Callable[..., Any]:
    """For functions that numba calls with types, literal where they can be, and that return how to generate code."""
    return cast(Callable[..., Any], intrinsic(prefer_literal=True)(function))


class _Rows:
    """Loads and stores of a fixed number of lanes."""

    def __init__(self, context: Any, builder: ir.IRBuilder, lanes: int, lane: ir.Value) -> None:
        self._context, self._builder, self._lanes, self._lane = context, builder, lanes, lane

    def load(self, kind: Any, array: ir.Value, offset: ir.Value) -> ir.Value:
        value = self._builder.load(self._pointer(kind, array, offset))
        value.align = kind.dtype.bitwidth // 8
        return value

    def store(self, value: ir.Value, kind: Any, array: ir.Value, offset: ir.Value) -> None:
        self._builder.store(value, self._pointer(kind, array, offset)).align = kind.dtype.bitwidth // 8

    def repeat(self, scalar: ir.Value) -> ir.Value:
        row = ir.VectorType(scalar.type, self._lanes)
        first = self._builder.insert_element(ir.Constant(row, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), self._lanes), None)
        return self._builder.shuffle_vector(first, ir.Constant(row, ir.Undefined), everywhere)

    def element(self, kind: Any, array: ir.Value, offset: ir.Value) -> ir.Value:
        """The first lane."""
        return self._builder.extract_element(self.load(kind, array, offset), ir.Constant(ir.IntType(32), 0))

    def _pointer(self, kind: Any, array: ir.Value, offset: ir.Value) -> ir.Value:
        data = make_array(kind)(self._context, self._builder, array).data
        start = self._builder.gep(data, [self._builder.add(offset, self._lane)])
        row = ir.VectorType(self._context.get_data_type(kind.dtype), self._lanes)
        return self._builder.bitcast(start, row.as_pointer())


def _instruction(combine: Callable[..., ir.Value]) -> Any:
    """target[at + lane …] = combine(builder, target, *sources) on a fixed number of lanes.

    Called as (lanes, lane, target, at, sources); a source is an array followed by its offset.
    """

    @_in_llvm
    def instruction(context: Any, lanes: Any, lane: Any, target: Any, at: Any, sources: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
            _, lane, into, at, values = args
            rows = _Rows(context, builder, lanes.literal_value, lane)
            waiting = _unpacked(context, builder, sources, values)
            operands = [rows.load(kind, array, next(waiting)[1]) for kind, array in waiting]
            rows.store(combine(builder, rows.load(target, into, at), *operands), target, into, at)
            return context.get_dummy_value()

        return types.void(lanes, types.intp, target, types.intp, sources), generate

    return instruction


def _unpacked(context: Any, builder: ir.IRBuilder, kinds: Any, values: ir.Value) -> Iterator[tuple[Any, ir.Value]]:
    """Types and values of a tuple's members, integers as wide as offsets."""
    for kind, value in zip(kinds.types, cgutils.unpack_tuple(builder, values), strict=True):
        if isinstance(kind, types.Integer):
            yield types.intp, context.cast(builder, value, kind, types.intp)
        else:
            yield kind, value


def _fold(combine: Callable[..., ir.Value], *ways: str) -> Any:
    """target[at + lane …] = combine(builder, target, *sources) again and again, the target in a register.

    Called as (lanes, lane, target, at, count, sources). A source is an array, an offset and a step, for a `row` that
    moves on by a step each time, or for one element at a time, which counts for `all` lanes; for a `gathered` row also
    an array of ends, by which the steps are multiplied, and the place of the first of them.
    """

    @_in_llvm
    def fold(context: Any, lanes: Any, lane: Any, target: Any, at: Any, count: Any, sources: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
            _, lane, into, at, count, values = args
            rows = _Rows(context, builder, lanes.literal_value, lane)
            single = _Rows(context, builder, 1, ir.Constant(lane.type, 0))
            total = cgutils.alloca_once_value(builder, rows.load(target, into, at))
            with cgutils.for_range(builder, count) as loop:
                waiting = _unpacked(context, builder, sources, values)
                operands = []
                for way in ways:
                    (kind, array), (_, offset), (_, step) = next(waiting), next(waiting), next(waiting)
                    number = loop.index
                    if way == "gathered":
                        (of_ends, ends), (_, first) = next(waiting), next(waiting)
                        number = context.cast(
                            builder,
                            single.element(of_ends, ends, builder.add(first, number)),
                            of_ends.dtype,
                            types.intp,
                        )
                    place = builder.add(offset, builder.mul(number, step))
                    if way == "all":
                        operands.append(rows.repeat(single.element(kind, array, place)))
                    else:
                        operands.append(rows.load(kind, array, place))
                builder.store(combine(builder, builder.load(total), *operands), total)
            rows.store(builder.load(total), target, into, at)
            return context.get_dummy_value()

        return types.void(lanes, types.intp, target, types.intp, types.intp, sources), generate

    return fold


def _row(instruction: Any, *, wide: int, narrow: int) -> Any:
    """An instruction on rows of any width, called as (width, target, at, *sources)."""

    @inlined
    def over_row(width: int, target: Array, at: int, *sources: Any) -> None:  # pragma: no cover - compiled
        if width == wide:
            instruction(wide, 0, target, at, sources)
            return
        if width == narrow:
            instruction(narrow, 0, target, at, sources)
            return
        if width == 1:
            instruction(1, 0, target, at, sources)
            return
        lane = 0
        while width - lane >= wide:
            instruction(wide, lane, target, at, sources)
            lane += wide
        while width - lane >= narrow:
            instruction(narrow, lane, target, at, sources)
            lane += narrow
        while lane < width:
            instruction(1, lane, target, at, sources)
            lane += 1

    return over_row


def _fold_row(instruction: Any, *, wide: int, narrow: int) -> Any:
    """A fold on rows of any width, called as (width, target, at, count, *sources)."""

    @inlined
    def over_row(width: int, target: Array, at: int, count: int, *sources: Any) -> None:  # pragma: no cover - compiled
        lane = 0
        while width - lane >= wide:
            instruction(wide, lane, target, at, count, sources)
            lane += wide
        while width - lane >= narrow:
            instruction(narrow, lane, target, at, count, sources)
            lane += narrow
        while lane < width:
            instruction(1, lane, target, at, count, sources)
            lane += 1

    return over_row


def _multiply_add(builder: ir.IRBuilder, old: ir.Value, left: ir.Value, right: ir.Value) -> ir.Value:
    return builder.fadd(old, builder.fmul(left, right, flags=_CONTRACT), flags=_CONTRACT)


def _maximum(builder: ir.IRBuilder, old: ir.Value, new: ir.Value) -> ir.Value:
    return builder.select(builder.fcmp_ordered(">", new, old), new, old)


def _add(builder: ir.IRBuilder, old: ir.Value, new: ir.Value) -> ir.Value:
    return builder.fadd(old, new)


# Rows of heads.
set_row = _row(_instruction(lambda builder, old, new: new), wide=8, narrow=4)
set_sum = _row(_instruction(lambda builder, old, x, y, z: builder.fadd(builder.fadd(x, y), z)), wide=8, narrow=4)
set_product = _row(_instruction(lambda builder, old, x, y: builder.fmul(x, y)), wide=8, narrow=4)
add_row = _row(_instruction(_add), wide=8, narrow=4)
add_product = _row(_instruction(_multiply_add), wide=8, narrow=4)
subtract_row = _row(_instruction(lambda builder, old, new: builder.fsub(old, new)), wide=8, narrow=4)
scale_and_shift = _row(_instruction(lambda builder, old, x, y: _multiply_add(builder, y, old, x)), wide=8, narrow=4)
# Rows of heads that follow each other.
add_rows = _fold_row(_fold(_add, "row"), wide=8, narrow=4)
raise_to_rows = _fold_row(_fold(_maximum, "row"), wide=8, narrow=4)
add_products = _fold_row(_fold(_multiply_add, "row", "gathered"), wide=8, narrow=4)
# Rows of messages.
add_scaled = _fold_row(_fold(_multiply_add, "all", "gathered"), wide=32, narrow=8)
add_scaled_row = _fold_row(_fold(_multiply_add, "all", "row"), wide=32, narrow=8)
add_gathered = _fold_row(_fold(_add, "gathered"), wide=32, narrow=8)


@_in_llvm
def _dot_of_lanes(context: Any, lanes: Any, lane: Any, x: Any, i: Any, y: Any, j: Any) -> Any:
    signature = x.dtype(lanes, types.intp, x, types.intp, y, types.intp)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        _, lane, x, i, y, j = args
        rows = _Rows(context, builder, lanes.literal_value, lane)
        product = builder.fmul(rows.load(signature.args[2], x, i), rows.load(signature.args[4], y, j))
        scalar = product.type.element
        name = f"llvm.vector.reduce.fadd.v{lanes.literal_value}f{signature.args[2].dtype.bitwidth}"
        kind = ir.FunctionType(scalar, [scalar, product.type])
        reduce = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(reduce, [ir.Constant(scalar, -0.0), product], fastmath=("reassoc",))

    return signature, generate


@inlined
def dot(width: int, x: Array, i: int, y: Array, j: int) -> Any:  # pragma: no cover
    """⟨x[i:i + width], y[j:j + width]⟩."""
    if width == 8:
        return _dot_of_lanes(8, 0, x, i, y, j)
    total = x.dtype.type(0)
    lane = 0
    while width - lane >= 32:
        total += _dot_of_lanes(32, lane, x, i, y, j)
        lane += 32
    while width - lane >= 8:
        total += _dot_of_lanes(8, lane, x, i, y, j)
        lane += 8
    while lane < width:
        total += x[i + lane] * y[j + lane]
        lane += 1
    return total


@inlined
def exp_in_place(values: Array, count: int) -> None:  # pragma: no cover
    """e^x of the first values, none of which is much above 0."""
    if values.itemsize == 4:
        for i in range(count):
            values[i] = _exp_single(np.float32(values[i]))
    else:
        for i in range(count):
            values[i] = math.exp(values[i])


@_contracted
def _exp_single(x: np.float32) -> np.float32:  # pragma: no cover
    """e^x within 2 units in the last place for x up to 88, 0 below -87; NaN stays NaN. Unlike libm's it vectorises.

    Source: expf of the Cephes library (Moshier), its constants.
    """
    # Adding 1.5 · 2^23 rounds to an integer, which then stands in the lowest bits.
    shifted = x * np.float32(1.44269504088896341) + np.float32(12582912.0)
    power = shifted - np.float32(12582912.0)
    rest = x - power * np.float32(0.693359375)
    rest = rest - power * np.float32(-2.12194440e-4)
    y = np.float32(1.9875691500e-4)
    y = y * rest + np.float32(1.3981999507e-3)
    y = y * rest + np.float32(8.3334519073e-3)
    y = y * rest + np.float32(4.1665795894e-2)
    y = y * rest + np.float32(1.6666665459e-1)
    y = y * rest + np.float32(5.0000001201e-1)
    y = y * (rest * rest) + (rest + np.float32(1.0))
    exponent = np.int32((np.float32(shifted).view(np.int32) << 23) + np.int32(0x3F800000))
    return np.float32(0.0) if x < np.float32(-87.0) else y * np.int32(exponent).view(np.float32)
