"""Dropout: what fraction it drops, what it keeps of the mean, and what it depends on."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from licap.models.dropout import Dropout


def dropped(p: float, shape: tuple[int, ...] = (1000, 401), seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return Dropout(p)(torch.ones(shape))


@pytest.mark.parametrize("p", [0.0001, 0.1, 0.3, 0.5, 0.9])
def test_the_asked_fraction_is_dropped_and_the_mean_stays(p: float) -> None:
    out = dropped(p)
    off = 5 * (p * (1 - p) / out.numel()) ** 0.5
    assert (out == 0).float().mean().item() == pytest.approx(p, abs=off)
    assert out.mean().item() == pytest.approx(1.0, abs=off / (1 - p) + 1e-4)
    assert out[out != 0].unique().numel() == 1


def test_elements_that_share_a_draw_are_dropped_independently() -> None:
    masks = (dropped(0.3, (400_000,)) == 0).float().view(-1, 4)
    together = torch.corrcoef(masks.T) - torch.eye(4)
    assert together.abs().max() < 5 / 100_000**0.5


def test_nothing_changes_in_evaluation_or_without_dropout() -> None:
    x = torch.randn(5, 3)
    assert torch.equal(Dropout(0.0)(x), x)
    assert torch.equal(Dropout(0.7).eval()(x), x)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=3), st.floats(0, 1, exclude_max=True))
def test_any_shape_and_any_fraction_below_one(shape: list[int], p: float) -> None:
    out = dropped(p, tuple(shape))
    assert out.shape == tuple(shape) and torch.isfinite(out).all()


def test_the_generator_alone_decides() -> None:
    assert torch.equal(dropped(0.4), dropped(0.4))
    assert not torch.equal(dropped(0.4), dropped(0.4, seed=1))


def test_gradients_flow_through_what_is_kept() -> None:
    x = torch.randn(50, 3, dtype=torch.float64, requires_grad=True)
    out = Dropout(0.5)(x)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(gradient == 0, out == 0)
    assert torch.allclose(out, gradient * x)
