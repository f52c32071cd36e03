"""The optimiser's step that both stages share, and that each of its options reaches it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import test_downstream
import test_pretrain
import torch
from torch import nn

from licap.training import Learner

TARGET = torch.tensor([3.0, -1.0, 40.0], dtype=torch.float64)


def learner(**options: float | None) -> Learner:
    """Three numbers, pulled to others by the square of the distance."""
    module = nn.Module()
    module.register_parameter("x", nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)))
    settings = {"lr": 0.1, "weight_decay": 0.0, "clip_norm": None} | options
    return Learner(module, lambda: {"loss": (module.x - TARGET).square().sum()}, **settings)


@pytest.mark.parametrize(
    "options", [{}, {"lr": 0.02}, {"weight_decay": 3.0}, {"clip_norm": 0.5}, {"clip_norm": 1e9, "weight_decay": 0.1}]
)
def test_steps_are_adams_on_clipped_gradients_with_an_l2_penalty(options: dict[str, float]) -> None:
    ours = learner(**options)
    x, mean, square = ours.module.x.detach().numpy().copy(), np.zeros(3), np.zeros(3)
    for step in range(1, 4):
        gradient = 2 * (x - TARGET.numpy())
        length = np.sqrt(gradient @ gradient)
        values, norm = ours.gradients()
        assert values["loss"].item() == pytest.approx(gradient @ gradient / 4)
        assert norm == pytest.approx(length)
        gradient = gradient * min(1.0, options.get("clip_norm", np.inf) / length) + options.get("weight_decay", 0.0) * x
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        root = np.sqrt(square / (1 - 0.999**step)) + 1e-8
        x = x - options.get("lr", 0.1) * mean / (1 - 0.9**step) / root
        ours.update()
        np.testing.assert_allclose(ours.module.x.detach(), x, rtol=1e-5)


@pytest.mark.parametrize("stage", [test_pretrain, test_downstream], ids=["pretrain", "downstream"])
@pytest.mark.parametrize("option", [{"lr": 0.3}, {"weight_decay": 100.0}, {"clip_norm": 1e-9}], ids=str)
def test_each_option_of_the_optimiser_acts_in_both_stages(stage: object, option: dict[str, float]) -> None:
    def after_a_step(**changes: float) -> list[torch.Tensor]:
        trained = stage.make_stage(replace(stage.CONFIG, **{"clip_norm": None, "weight_decay": 0.0, **changes}))
        trained.step()
        return list(trained.state_dict()["learner"]["parameters"].values())

    pairs = zip(after_a_step(), after_a_step(**option), strict=True)
    assert any((ours - theirs).abs().max() > 1e-6 for ours, theirs in pairs)
