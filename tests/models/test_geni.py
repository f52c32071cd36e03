"""GENI's own options."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_every_model import LABELS, TRAIN, make_inputs, make_setting, unmoved_parameters

from licap.config import DownstreamConfig
from licap.model_configs import GENIConfig
from licap.models import build_model


def scores(**options: object) -> torch.Tensor:
    """Scores of a model that differs from the default by some options, from one seed."""
    config = DownstreamConfig(geni=replace(GENIConfig(), **options))
    torch.manual_seed(0)
    model = build_model(config, make_setting()).double()
    return model(make_inputs()).detach()


@pytest.mark.parametrize("option", [{"centrality_scaling": False}, {"residual": True}, {"layers": 1}, {"dropout": 0.0}])
def test_an_option_changes_the_scores(option: dict[str, object]) -> None:
    assert not torch.allclose(scores(), scores(**option))


@pytest.mark.parametrize("width", [1, 2, 3])
def test_the_narrowest_features_reach_every_parameter(width: int) -> None:
    def unmoved(seed: int) -> set[str]:
        torch.manual_seed(seed)
        model = build_model(DownstreamConfig(), make_setting(widths=(width,))).double().eval()
        inputs = make_inputs(width).requires_grad_()
        model.training_loss([inputs], LABELS, TRAIN).backward()
        return unmoved_parameters(model) | ({"inputs"} if not inputs.grad.any() else set())

    assert set.intersection(*(unmoved(seed) for seed in range(4))) == set()


def test_a_model_without_scaling_has_no_parameters_for_it() -> None:
    config = DownstreamConfig(geni=replace(GENIConfig(), centrality_scaling=False))
    model = build_model(config, make_setting())
    assert not {"gamma", "beta"} & set(model.state_dict())
