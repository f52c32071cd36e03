"""What weights are drawn from, published settings: Glorot's rule with the gain of ReLU, by the fans of each head."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from itertools import product

import pytest
import torch
from test_every_model import IN_DIM, make_setting, num_channels
from torch import Tensor, nn

from licap.config import config_from
from licap.models import build_encoder, build_model
from licap.models.base import xavier_normal
from licap.presets import PRESETS

Shape = tuple[int, ...]
RELATION_DIM = 10
# So many draws have their standard deviation within a few percent; a wrong gain or fan moves it by tens.
ENOUGH = 300


def glorot(fan_in: int, fan_out: int) -> float:
    """Standard deviation 2 / √(fan_in + fan_out)."""
    return 2 / math.sqrt(fan_in + fan_out)


def of_linear(shape: Shape) -> float:
    """That of torch's linear layers, uniform within ±1 / √fan_in."""
    return 1 / math.sqrt(3 * shape[1])


def one(shape: Shape) -> float:
    return 1.0


# By a pattern of the parameter's name, which must match it whole: what its standard deviation is for its shape.
Rules = Mapping[str, Callable[[Shape], float]]
HEADS: Rules = {r"layer\d\.weight": lambda s: glorot(s[2], s[1])}
RULES: Mapping[str, Rules] = {
    "pregat": HEADS
    | {
        r"layer\d\.attn_(src|dst)": lambda s: glorot(2 * s[1] + RELATION_DIM, 1),
        r"layer1\.attn_rel": lambda s: glorot(2 * 8 + RELATION_DIM, 1),
        r"layer2\.attn_rel": lambda s: glorot(2 * 16 + RELATION_DIM, 1),
        "relation_embedding": one,
    },
    "gat": HEADS | {r"layer\d\.attn_(src|dst)": lambda s: glorot(2 * s[1], 1)},
    "geni": {
        r"scoring\.weight1": lambda s: glorot(s[2], s[1]),
        r"scoring\.weight2": lambda s: glorot(s[1], 1),
        r"layer\d\.attn_(src|dst|rel)": lambda s: glorot(2 + RELATION_DIM, 1),
        "relation_embedding": one,
    },
    "rgcn": {r"layer\d\.(weight|own)": lambda s: glorot(s[-2], s[-1])},
    "gcn": {r"layer\d\.weight": of_linear},
    "sgc": {r"layer\d\.weight": of_linear},
    "graphsage": {r"layer\d\.(own|neighbour)\.weight": of_linear},
    "rgtn": {
        r".*\.(q|k|v|o|residual|relation\.weight)": lambda s: glorot(s[1], s[0]),
        r".*\.ffn\d\.weight": of_linear,
        r"head\..*\.weight|channel_attention": lambda s: glorot(s[0], 1),
        "relation_embedding": one,
    },
}
MODULES = [*product(["encoder"], ["pregat", "gat"]), *product(["model"], sorted(set(RULES) - {"pregat"}))]


def build(kind: str, name: str) -> nn.Module:
    """The module with published settings, weights drawn from torch's global generator."""
    setting = make_setting(widths=[IN_DIM + place for place in range(num_channels(name) if kind == "model" else 1)])
    config = config_from(PRESETS["published"][name if kind == "model" else "geni"])
    if kind == "model":
        return build_model(config.downstream, setting)
    own = config_from(PRESETS["published"]["geni"] | {"pretrain.encoder": name}).pretrain
    return build_encoder(own, IN_DIM, 16, setting.looped, "auto")


@pytest.mark.parametrize(("kind", "name"), MODULES, ids=lambda value: value)
def test_each_weight_has_the_deviation_that_its_fans_give(kind: str, name: str) -> None:
    torch.manual_seed(0)
    drawn: dict[str, list[Tensor]] = {}
    while not drawn or min(sum(each.numel() for each in values) for values in drawn.values()) < ENOUGH:
        for parameter, value in build(kind, name).named_parameters():
            if value.unique().numel() > 1 and not parameter.endswith("bias"):
                drawn.setdefault(parameter, []).append(value.detach().flatten())
    for parameter, values in drawn.items():
        (rule,) = (rule for pattern, rule in RULES[name].items() if re.fullmatch(pattern, parameter))
        found, expected = torch.cat(values), rule(tuple(dict(build(kind, name).named_parameters())[parameter].shape))
        assert found.std().item() == pytest.approx(expected, rel=0.2), parameter
        assert abs(found.mean().item()) < 0.25 * expected, parameter


@pytest.mark.parametrize(("fan_in", "fan_out"), [(1, 1), (64, 8), (3, 200)])
def test_glorots_rule_has_the_gain_of_relu(fan_in: int, fan_out: int) -> None:
    torch.manual_seed(0)
    drawn = xavier_normal(100, 200, fan_in=fan_in, fan_out=fan_out)
    assert drawn.std().item() == pytest.approx(glorot(fan_in, fan_out), rel=0.02)
    assert (drawn.abs() > 2 * drawn.std()).float().mean().item() == pytest.approx(0.0455, abs=0.005)
