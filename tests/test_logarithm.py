"""log(1 + x) in float32 is the nearest float32, whatever the libraries below give."""

from __future__ import annotations

from decimal import Context, Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licap.logarithm import log1p_float32

WIDE = Context(prec=300)
# float32 scores whose logarithm lies so near the middle between two float32 that float64 cannot tell the nearer one.
HARD = [7.152559078349441e-07, 0.4951299726963043, 8.583093404013198e-06, 8.472636222839355, 1.4305182958196383e-05]


def distance(x: float, rounded: np.float32) -> Decimal:
    """Between log(1 + x) and a float32."""
    return abs(WIDE.subtract(WIDE.ln(WIDE.add(1, Decimal(x))), Decimal(float(rounded))))


def assert_nearest(x: float) -> None:
    """Asserts that neither neighbour of the result is nearer to log(1 + x)."""
    (found,) = log1p_float32(np.array([x]))
    for other in (np.nextafter(found, np.float32(-np.inf)), np.nextafter(found, np.float32(np.inf))):
        assert distance(x, found) <= distance(x, other), x


@settings(deadline=None)
@given(st.floats(0, 2.0**127, width=32))
def test_no_other_float32_is_nearer(x: float) -> None:
    assert_nearest(x)


@pytest.mark.parametrize("x", HARD)
def test_what_float64_cannot_decide_is_decided(x: float) -> None:
    assert np.float32(x) == x
    assert_nearest(x)


@settings(deadline=None)
@given(st.floats(-0.9999, 0.0))
def test_logarithms_below_zero_are_the_nearest_too(x: float) -> None:
    assert_nearest(x)


def test_an_error_of_the_library_below_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # CPUs whose last digits differ from this one's cannot be had here; their logarithms can.
    x = np.concatenate([HARD, np.random.default_rng(0).pareto(1.0, 20_000).astype(np.float32).astype(np.float64)])
    expected, exact = log1p_float32(x), np.log1p
    for units in (-3, -1, 1, 3):
        monkeypatch.setattr(np, "log1p", lambda x, units=units: exact(x) + units * np.spacing(exact(x)))
        assert np.array_equal(log1p_float32(x), expected)


def test_shapes_are_kept() -> None:
    x = np.array([[0.0, 1.0], [HARD[0], 7.0]])
    assert log1p_float32(x).shape == (2, 2)
    assert np.array_equal(log1p_float32(x).ravel(), log1p_float32(x.ravel()))
    assert np.array_equal(log1p_float32(x.T), log1p_float32(x).T)
    assert log1p_float32(np.empty(0)).size == 0
