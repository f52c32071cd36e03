"""What makes a proposal independent of the CPU: rounded values, and ties that are decided by order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search.space import Parameter
from search.strategy.samplers import _StableParzen, _Tpe, rounded

spans = st.tuples(st.floats(1e-9, 1e9), st.floats(1.01, 1e9)).map(lambda pair: (pair[0], pair[0] * pair[1]))


@settings(deadline=None)
@given(span=spans, share=st.floats(0, 1), log=st.booleans())
def test_a_rounded_value_stays_in_its_range_and_near_what_was_drawn(
    span: tuple[float, float], share: float, log: bool
) -> None:
    space = FloatDistribution(*span, log=log)
    value = min(max(span[0] * (span[1] / span[0]) ** share, span[0]), span[1])
    found = rounded(value, space)
    assert span[0] <= found <= span[1]
    assert abs(found - value) <= 1e-6 * min(span[1] - span[0], value if log else math.inf)
    assert found == rounded(found, space)


@settings(deadline=None)
@given(span=spans, share=st.floats(0.001, 0.999))
def test_a_few_units_in_the_last_place_do_not_move_it(span: tuple[float, float], share: float) -> None:
    space = FloatDistribution(*span)
    middle = rounded(span[0] + share * (span[1] - span[0]), space)
    assert {rounded(middle + n * math.ulp(middle), space) for n in range(-9, 10)} == {middle}


@pytest.mark.parametrize(
    ("value", "space", "found"),
    [
        (0.0031847562938, FloatDistribution(1e-4, 1e-1, log=True), 0.003184756),
        (0.0031847562938, FloatDistribution(0.0, 1.0), 0.003185),
        (1000000.5000004, FloatDistribution(1e6, 1e6 + 1), 1000000.5),
        (-0.12345678912, FloatDistribution(-1.0, 1.0), -0.123457),
        (7, IntDistribution(1, 9), 7),
        ("length", CategoricalDistribution(("length", "quantile")), "length"),
    ],
)
def test_digits_are_those_of_the_range_or_of_the_value(value: object, space: object, found: object) -> None:
    assert rounded(value, space) == found  # type: ignore[arg-type]


def widths(estimator: _StableParzen) -> list[float]:
    (only,) = estimator._mixture_distribution.distributions
    return list(map(float, only.sigma))


def test_equal_observations_get_their_widths_in_order_however_ties_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    tpe = _Tpe([Parameter(name="heads", kind="int", low=1, high=8, step=1)], 4, 0)
    observed = {"heads": np.array([3.0, 1.0, 3.0, 8.0, 3.0, 1.0])}
    arguments = [observed, {"heads": IntDistribution(1, 8)}, tpe._parzen_estimator_parameters]
    expected, argsort = widths(_StableParzen(*arguments)), np.argsort

    def ties_backwards(values: np.ndarray, kind: str | None = None) -> np.ndarray:
        """How another CPU may sort where no stable order is asked for."""
        return argsort(values, kind=kind) if kind else values.size - 1 - argsort(values[::-1], kind="stable")

    assert ties_backwards(observed["heads"]).tolist() == [5, 1, 4, 2, 0, 3]
    monkeypatch.setattr(np, "argsort", ties_backwards)
    assert widths(_StableParzen(*arguments)) == expected
