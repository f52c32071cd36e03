"""RGTN's list loss and its narrowest form; the rest is checked against golden vectors."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_every_model import make_setting

from licap.config import DownstreamConfig
from licap.model_configs import RGTNConfig
from licap.models import build_model
from licap.models.rgtn import RGTN


def model_of(**options: object) -> RGTN:
    """A model that differs from the default by some options, from one seed."""
    torch.manual_seed(0)
    own = replace(RGTNConfig(), **options)
    return build_model(DownstreamConfig(model="rgtn", rgtn=own), make_setting(widths=(1, 1))).double()


@pytest.mark.parametrize(("count", "length"), [(1, 2), (4, 2), (4, 9), (30, 100)])
def test_lists_are_a_node_and_others_drawn_from_all_training_nodes(count: int, length: int) -> None:
    model = model_of(list_num=length)
    drawn = model.draw_lists(count)
    assert drawn.shape == (count, length - 1)
    assert set(torch.cat([model.draw_lists(count) for _ in range(60)]).flatten().tolist()) == set(range(count))
    assert count == 1 or not torch.equal(drawn, model.draw_lists(count))


@pytest.mark.parametrize("length", [2, 7])
def test_the_list_loss_is_its_definition(length: int) -> None:
    model, rng = model_of(list_num=length), np.random.default_rng(0)
    scores, true = (torch.from_numpy(rng.normal(size=5)) for _ in range(2))
    torch.manual_seed(3)
    lists = [[place, *others] for place, others in enumerate(model.draw_lists(5).tolist())]
    assert all(len(each) == length for each in lists)
    total = 0.0
    for places in lists:
        wanted, found = ([math.exp(values[place]) for place in places] for values in (true, scores))
        total -= sum(w / sum(wanted) * math.log(f / sum(found) + 1e-10) for w, f in zip(wanted, found, strict=True))
    torch.manual_seed(3)
    assert model.list_loss(scores, true).item() == pytest.approx(total / 5, rel=1e-12)


def test_no_part_of_one_head_of_width_one_is_empty() -> None:
    model = model_of(heads=1, hidden=1)
    assert all(value.numel() > 0 for value in model.parameters())
