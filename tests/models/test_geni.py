"""GENI's own options."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_every_model import make_inputs, make_setting

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


def test_features_of_width_one_are_enough() -> None:
    model = build_model(DownstreamConfig(), make_setting(widths=(1,)))
    assert torch.isfinite(model(torch.ones(5, 1))).all()


def test_a_model_without_scaling_has_no_parameters_for_it() -> None:
    config = DownstreamConfig(geni=replace(GENIConfig(), centrality_scaling=False))
    model = build_model(config, make_setting())
    assert not {"gamma", "beta"} & set(model.state_dict())
