"""What stage 2 sees of features and embeddings: which parts, in which order, how wide."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from trial_cases import tiny_config

from licap.config import DownstreamConfig
from licap.encoding import Channel, assemble, input_widths
from licap.fields import specs_of

FEATURES = [torch.full((2, 3), 1.0), torch.full((2, 1), 2.0)]
EMBEDDINGS = [torch.full((2, 2), 3.0), torch.full((2, 4), 4.0)]
# Columns of the first row, by the model's inputs: first a channel's features, then its embeddings.
APART = {
    "features": [[1.0] * 3, [2.0]],
    "embeddings": [[3.0] * 2, [4.0] * 4],
    "features+embeddings": [[1.0] * 3 + [3.0] * 2, [2.0] + [4.0] * 4],
    "untrained": [[3.0] * 2, [4.0] * 4],
    "features+untrained": [[1.0] * 3 + [3.0] * 2, [2.0] + [4.0] * 4],
}


@pytest.mark.parametrize("model", ["rgtn", "geni"])
@pytest.mark.parametrize("seen", specs_of(DownstreamConfig)["input"].choices)
def test_inputs_hold_what_the_config_names_channel_by_channel(seen: str, model: str) -> None:
    config = tiny_config({"data.features": "both", "downstream.input": seen, "downstream.model": model})
    found = assemble(FEATURES, EMBEDDINGS if config.downstream.sees_embeddings else None, config.downstream)
    apart = APART[seen]
    assert [each[0].tolist() for each in found] == (apart if model == "rgtn" else [apart[0] + apart[1]])


@pytest.mark.parametrize("model", ["rgtn", "geni"])
@pytest.mark.parametrize("seen", specs_of(DownstreamConfig)["input"].choices)
def test_widths_are_known_before_there_are_embeddings(seen: str, model: str) -> None:
    config = tiny_config({"data.features": "both", "downstream.input": seen, "downstream.model": model})
    config = replace(config, pretrain=replace(config.pretrain, out_dim=None))
    channels = [Channel(name, each) for name, each in zip(("struct", "semantic"), FEATURES, strict=True)]
    embeddings = [torch.zeros(2, width) for width in (64, 128)]
    found = assemble(FEATURES, embeddings if config.downstream.sees_embeddings else None, config.downstream)
    assert input_widths(config, channels) == tuple(each.shape[1] for each in found)
