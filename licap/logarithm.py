"""log(1 + x) in float32, correctly rounded, so that it has the same bits on every CPU.

Neither vectorised libraries nor the C library give the same last bit on every CPU, and labels decide about ties.
"""

from __future__ import annotations

from decimal import Context, Decimal

import numpy as np
from numpy.typing import NDArray

# Relative, above the error of any library's log1p in float64: that is a few units in the last place, 2**-52 each.
_ERROR = 2.0**-49
# Digits: 1 + x is exact, or nearly so, for the smallest float32 too.
_DECIMAL = Context(prec=200)


def log1p_float32(x: NDArray[np.float64]) -> NDArray[np.float32]:
    """log(1 + x), correctly rounded to float32.

    Where the error of the float64 logarithm leaves open which float32 is the nearest, for one value in some millions,
    decimal arithmetic decides.

    x: above -1, of any shape. Returns: of the same shape.
    Source: Ziv, Fast evaluation of elementary mathematical functions with correctly rounded last bit, ACM TOMS 1991.
    """
    wide = np.log1p(x)
    nearest: NDArray[np.float32] = (wide * (1 - _ERROR)).astype(np.float32)
    other = (wide * (1 + _ERROR)).astype(np.float32)
    for place in np.flatnonzero(nearest != other):
        exact = _DECIMAL.ln(_DECIMAL.add(1, Decimal(float(x.flat[place]))))
        middle = (float(nearest.flat[place]) + float(other.flat[place])) / 2
        if abs(exact) > abs(Decimal(middle)):
            nearest.flat[place] = other.flat[place]
    return nearest
