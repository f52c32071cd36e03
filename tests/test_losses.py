"""L1 and L2."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from licap import losses
from licap.losses import bin_centroids, finer_bin_loss, top_bin_loss


class Scene:
    """Random embeddings, disjoint sets, bins that all hold a node, and closeness with 1 at the own bin."""

    def __init__(self, seed: int, *, top: int = 6, nontop: int = 5, bins: int = 3, width: int = 4) -> None:
        rng = np.random.default_rng(seed)
        order = torch.from_numpy(rng.permutation(top + nontop + 3))
        self.h = torch.from_numpy(rng.normal(size=(top + nontop + 3, width)))
        self.top, self.nontop = order[:top], order[top : top + nontop]
        self.column = torch.from_numpy(np.concatenate([np.arange(bins), rng.integers(0, bins, top - bins)]))
        self.closeness = torch.from_numpy(rng.uniform(0, 1, (top, bins)))
        self.closeness[torch.arange(top), self.column] = 1.0

    def losses(self, h: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
        return (
            top_bin_loss(h, self.top, self.nontop, temperature=temperature),
            finer_bin_loss(h, self.top, self.column, self.closeness, temperature=temperature),
        )


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))


def plain_l1(scene: Scene, temperature: float) -> float:
    anchor = scene.h[scene.top].mean(dim=0)
    total = 0.0
    for i in scene.top:
        near = math.exp(cosine(scene.h[i], anchor) / temperature)
        far = sum(math.exp(cosine(scene.h[i], scene.h[j]) / temperature) for j in scene.nontop)
        total -= math.log(near / (near + far))
    return total / len(scene.top)


def plain_l2(scene: Scene, temperature: float) -> float:
    bins = range(scene.closeness.shape[1])
    centroids = [scene.h[scene.top[scene.column == b]].mean(dim=0) for b in bins]
    total = 0.0
    for row, i in enumerate(scene.top):
        near = math.exp(cosine(scene.h[i], centroids[scene.column[row]]) / temperature)
        terms = (float(scene.closeness[row, b]) * cosine(scene.h[i], centroids[b]) / temperature for b in bins)
        total -= math.log(near / sum(map(math.exp, terms)))
    return total / len(scene.top)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    top=st.integers(3, 9),
    nontop=st.integers(1, 9),
    bins=st.integers(1, 3),
    temperature=st.floats(0.02, 5.0),
)
def test_losses_equal_the_plain_double_loop(seed: int, top: int, nontop: int, bins: int, temperature: float) -> None:
    scene = Scene(seed, top=top, nontop=nontop, bins=bins)
    l1, l2 = scene.losses(scene.h, temperature)
    assert float(l1) == pytest.approx(plain_l1(scene, temperature), rel=1e-9, abs=1e-12)
    assert float(l2) == pytest.approx(plain_l2(scene, temperature), rel=1e-9, abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), block=st.integers(1, 60), nontop=st.integers(0, 9))
def test_blocks_of_any_size_give_the_same_loss_and_its_gradient(seed: int, block: int, nontop: int) -> None:
    scene = Scene(seed, nontop=nontop)
    h = scene.h.clone().requires_grad_()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "_BLOCK", block)
        loss = top_bin_loss(h, scene.top, scene.nontop, temperature=0.3)
        assert float(loss.detach()) == pytest.approx(plain_l1(scene, 0.3), rel=1e-9, abs=1e-12)
        assert torch.autograd.gradcheck(lambda h: top_bin_loss(h, scene.top, scene.nontop, temperature=0.3), h)
        (grad,) = torch.autograd.grad(3 * loss, h)
    whole = top_bin_loss(h, scene.top, scene.nontop, temperature=0.3)
    assert torch.allclose(grad, 3 * torch.autograd.grad(whole, h)[0], rtol=1e-12, atol=1e-14)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), exponent=st.floats(-9, 9))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_temperatures_stay_finite(dtype: torch.dtype, seed: int, exponent: float) -> None:
    scene = Scene(seed)
    h = scene.h.to(dtype).requires_grad_()
    for loss in scene.losses(h, 10.0**exponent):
        assert torch.isfinite(loss)
        (gradient,) = torch.autograd.grad(loss, h, retain_graph=True)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-9])
def test_vectors_of_no_length_give_finite_gradients(dtype: torch.dtype, size: float) -> None:
    scene = Scene(1)
    h = scene.h.to(dtype)
    h[scene.top[0]] = size
    h[scene.nontop[0]] = -size
    h.requires_grad_()
    for loss in scene.losses(h, 0.05):
        assert torch.isfinite(loss)
        (gradient,) = torch.autograd.grad(loss, h, retain_graph=True)
        assert torch.isfinite(gradient).all()
        assert gradient.abs().max() < 1e4


def test_embeddings_that_are_all_zero_are_survived() -> None:
    scene = Scene(2)
    h = torch.zeros_like(scene.h, requires_grad=True)
    l1, l2 = scene.losses(h, 0.05)
    assert l1.item() == pytest.approx(math.log(1 + len(scene.nontop)))
    assert l2.item() == pytest.approx(math.log(scene.closeness.shape[1]))
    (gradient,) = torch.autograd.grad(l1 + l2, h)
    assert torch.isfinite(gradient).all()


def test_gradients_are_those_of_finite_differences() -> None:
    scene = Scene(3)
    for which in (0, 1):
        assert torch.autograd.gradcheck(lambda h, which=which: scene.losses(h, 0.3)[which], scene.h.requires_grad_())


def test_losses_do_not_depend_on_the_length_of_all_embeddings() -> None:
    scene = Scene(4)
    for a, b in zip(scene.losses(scene.h, 0.1), scene.losses(scene.h * 37.5, 0.1), strict=True):
        torch.testing.assert_close(a, b)


def test_the_anchor_is_the_mean_of_raw_embeddings() -> None:
    # One long and one short top node: the anchor leans to the long one.
    h = torch.tensor([[10.0, 0.0], [0.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    loss = top_bin_loss(h, torch.tensor([0, 1]), torch.tensor([2]), temperature=1.0)
    anchor = torch.tensor([5.0, 0.5], dtype=torch.float64)
    expected = [
        -math.log(math.exp(near) / (math.exp(near) + math.exp(far)))
        for near, far in ((cosine(h[0], anchor), cosine(h[0], h[2])), (cosine(h[1], anchor), cosine(h[1], h[2])))
    ]
    assert float(loss) == pytest.approx(sum(expected) / 2)


def test_one_bin_leaves_nothing_to_tell_apart() -> None:
    scene = Scene(5, bins=1)
    assert float(scene.losses(scene.h, 0.05)[1]) == pytest.approx(0.0, abs=1e-12)


def test_centroids_are_means_of_their_nodes() -> None:
    scene = Scene(6, top=9, bins=3)
    centroids = bin_centroids(scene.h, scene.top, scene.column, 3)
    for b in range(3):
        torch.testing.assert_close(centroids[b], scene.h[scene.top[scene.column == b]].mean(dim=0))


def test_closeness_is_taken_in_the_precision_of_the_embeddings() -> None:
    scene = Scene(7)
    assert all(loss.dtype == torch.float32 for loss in scene.losses(scene.h.float(), 0.05))
