"""Rules that join several options are tried at the edges of a space, and told once each."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_rule_of_divisors_is_tried_inside_a_range_too(refusal: Any) -> None:
    text = "config: {downstream: {model: gat, input: features}}\n"
    [line] = refusal(text + "search:\n  downstream.gat.heads: {type: int, low: 1, high: 8}\n")
    assert line.startswith("study.yaml:3: search.downstream.gat.heads: must divide hidden (got 3 heads")
    [line] = refusal(
        text + "search:\n  downstream.gat.heads: {type: int, low: 1, high: 2}\n"
        "  downstream.gat.hidden: {type: int, low: 2, high: 4}\n"
    )
    assert "got 2 heads for a width of 3" in line


@pytest.mark.parametrize(
    ("search", "places"),
    [
        (
            "  downstream.model: {type: categorical, choices: [mlp, geni]}\n"
            "  pretrain.training: {type: categorical, choices: [before, joint]}\n",
            ["study.yaml:3: search.pretrain.training:"],
        ),
        (
            "  data.features: {type: categorical, choices: [both, struct], default: both}\n"
            "  downstream.model: {type: categorical, choices: [rgtn, geni]}\n",
            ["study.yaml:2: search.data.features:"],
        ),
        (
            "  pretrain.training: {type: categorical, choices: [joint, before]}\n"
            "  downstream.input: {type: categorical, choices: [embeddings, features]}\n",
            ["study.yaml:2: search.pretrain.training:"],
        ),
        # Wrong by itself, and so not said again of combinations or of other parameters.
        (
            "  downstream.model: {type: categorical, choices: [geni, rgtn, gcn]}\n"
            "  downstream.lr: {type: float, low: 0.001, high: 0.1}\n",
            ["study.yaml:2: search.downstream.model:"],
        ),
    ],
)
def test_a_rule_that_joins_parts_is_tried_in_all_combinations_and_told_once(
    refusal: Any, search: str, places: list[str]
) -> None:
    said = refusal(f"search:\n{search}")
    assert [line[: len(place)] for line, place in zip(said, places, strict=True)] == places


def test_a_starting_point_that_breaks_a_rule_hides_no_range_that_does(refusal: Any) -> None:
    said = refusal(
        "search:\n"
        "  pretrain.eta1: {type: categorical, choices: [0, 1], default: 1}\n"
        "  pretrain.eta2: {type: categorical, choices: [0, 1], default: 1}\n"
        "start: [{pretrain.eta1: 0, pretrain.eta2: 0}]\n"
    )
    assert [line.split(": ")[0] for line in said] == ["study.yaml:2", "study.yaml:4"]


def test_what_the_command_line_fixes_is_what_conditions_see_whatever_the_default(read: Any) -> None:
    text = (
        "search:\n"
        "  pretrain.lr: {type: float, low: 1e-3, high: 1e-1}\n"
        "  downstream.model: {type: categorical, choices: [geni, gcn], default: geni}\n"
        "  downstream.geni.heads: {type: int, low: 1, high: 4, when: {downstream.model: geni}}\n"
    )
    space = read(text, "downstream.model=gcn")
    assert [parameter.name for parameter in space.parameters] == ["pretrain.lr"]
    assert space.base["downstream.model"] == "gcn"
