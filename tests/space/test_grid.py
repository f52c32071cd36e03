"""Grids: how many points there are without counting by hand, folds and seeds as parameters, settings of one model."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licap.errors import ConfigError
from search.space import Parameter, SearchSpace, describe, grid_points
from search.space.estimate import estimate
from search.space.grid import grid_size
from search.strategy import Proposer

FOLDS = """
sampler: {name: grid}
pruner: none
config: {pretrain.max_epochs: 10, downstream.max_epochs: 40, downstream.monitor: loss}
search:
  downstream.input: {type: categorical, choices: [features, embeddings]}
  pretrain.lr: {type: categorical, choices: [0.01, 0.02], when: {downstream.input: embeddings}}
  fold: {type: categorical, choices: [0, 1, 2, 3, 4]}
  seed: {type: int, low: 0, high: 1}
"""
SINGLE = """
sampler: grid
pruner: none
config: {pretrain.max_epochs: 10}
search:
  downstream.input: {type: categorical, choices: [features, embeddings]}
  downstream.monitor: {type: categorical, choices: [spearman], when: {downstream.input: features}}
"""


@st.composite
def grids(draw: st.DrawFn) -> list[Parameter]:
    """Parameters with up to four values, conditions among them, and conditions that ask for what never comes."""
    parameters: list[Parameter] = []
    for index in range(draw(st.integers(1, 5))):
        when = {}
        for parent in draw(st.lists(st.sampled_from(parameters), max_size=2)) if parameters else ():
            when[parent.name] = tuple(draw(st.sets(st.integers(0, 4), min_size=1)))
        if draw(st.booleans()):
            choices = tuple(range(draw(st.integers(1, 4))))
            parameters.append(Parameter(name=f"p{index}", kind="categorical", choices=choices, when=when))
        else:
            high = draw(st.integers(1, 3))
            parameters.append(Parameter(name=f"p{index}", kind="int", low=0, high=high, step=1, when=when))
    return parameters


@given(grids(), st.data())
@settings(deadline=None)
def test_the_size_of_a_grid_is_the_number_of_its_points(parameters: list[Parameter], data: st.DataObject) -> None:
    points = list(grid_points(parameters))
    assert grid_size(parameters, []) == len(points)
    assert grid_size(parameters, data.draw(st.lists(st.sampled_from(points), max_size=3))) == len(points)


def test_a_grid_beyond_all_patience_is_counted_at_once() -> None:
    wide = [Parameter(name=f"p{n}", kind="int", low=1, high=10**6, step=1) for n in range(3)]
    child = Parameter(name="c", kind="categorical", choices=(1, 2, 3), when={"p1": (5, 7)})
    assert grid_size([*wide, child], []) == 10**12 * (10**6 - 2 + 2 * 3)


def test_a_grid_without_an_end_has_no_size() -> None:
    with pytest.raises(ConfigError, match=r"pretrain\.lr: sampler grid needs a step"):
        grid_size([Parameter(name="pretrain.lr", kind="float", low=0.1, high=1.0)], [])


def test_a_starting_point_between_the_points_is_one_trial_more(read: Any) -> None:
    text = (
        "sampler: grid\npruner: none\nsearch: {pretrain.eta2: {type: float, low: 0.1, high: 0.5, step: 0.1}}\nstart: "
    )
    assert read(f"{text}[{{pretrain.eta2: 0.3}}]\n").trials == 5
    near = read(f"{text}[{{pretrain.eta2: 0.30000000000000004}}]\n")
    assert near.trials == 6
    source = proposer(near)
    assert source.propose(5) is not None and source.propose(6) is None


def proposer(space: SearchSpace) -> Proposer:
    return Proposer(
        space.parameters, starting_points=space.starting_points, sampler=space.sampler, seed=0, direction="max"
    )


@pytest.mark.parametrize("trials", ["", "trials: null\n"])
def test_without_a_number_of_trials_a_grid_is_tried_whole(read: Any, trials: str) -> None:
    space = read(trials + FOLDS)
    # features once, embeddings with two rates, on five folds with two seeds
    assert space.trials == space.num_trials == space.grid_size == 3 * 5 * 2
    assert SearchSpace.from_text(space.to_yaml(), source="again.yaml", overrides=["name=study"]) == space
    configs = [space.config_for(point) for point in grid_points(space.parameters)]
    assert len({(c.downstream.input, c.pretrain.lr, c.fold, c.seed) for c in configs}) == 30
    assert {c.fold for c in configs} == set(range(5)) and {c.seed for c in configs} == {0, 1}


def test_other_samplers_have_their_usual_number_of_trials(read: Any) -> None:
    space = read(FOLDS, "sampler=random")
    assert (space.trials, space.num_trials, space.grid_size) == (20, 20, None)


def test_the_dry_run_says_how_large_the_grid_is_and_counts_its_epochs(read: Any) -> None:
    text = describe(read(FOLDS))
    assert "trials      30 trials, every point of the grid once; seed 0" in text
    # a third of the trials sees features alone and does not pretrain
    assert f"Cost: 30 trials, {10 * 40 + 20 * 50:,} epochs if none stops early." in text
    assert not any("grid" in line for line in text.splitlines() if line.startswith("Note"))
    part = read(FOLDS, "trials=10")
    assert "trials      10 of the 30 points of the grid; seed 0" in describe(part)
    assert estimate(part).full == 10 * 40
    assert estimate(read(FOLDS, "trials=99")).trials == 30


def test_a_single_value_gives_one_input_another_setting(read: Any) -> None:
    space = read(SINGLE)
    assert space.trials == 2
    monitors = {c.downstream.input: c.downstream.monitor for c in map(space.config_for, grid_points(space.parameters))}
    assert monitors == {"features": "spearman", "embeddings": "loss"}


@pytest.mark.parametrize("word", ["downstream.input=features", "downstream.input=embeddings"])
def test_a_single_value_survives_a_condition_that_the_command_line_settles(read: Any, word: str) -> None:
    space = read(SINGLE + "  fold: {type: int, low: 0, high: 4}\n", word)
    assert SearchSpace.from_text(space.to_yaml(), source="again.yaml", overrides=["name=study"]) == space
    expected = "spearman" if word.endswith("features") else "loss"
    assert {space.config_for(point).downstream.monitor for point in grid_points(space.parameters)} == {expected}


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes"])
def test_every_sampler_proposes_a_single_value(read: Any, sampler: str) -> None:
    space = read(SINGLE, f"sampler={{name: {sampler}, startup: 2}}")
    source = proposer(space)
    tried = []
    while (values := source.propose(len(tried))) is not None:
        assert ("downstream.monitor" in values) == (values["downstream.input"] == "features")
        source.finish(len(tried), "complete", 0.5)
        tried.append(values)
    assert len(tried) == len({tuple(sorted(values.items())) for values in tried}) > 1


def test_a_starting_point_may_leave_a_single_value_out(read: Any) -> None:
    space = read(SINGLE + "start: [{downstream.input: features}]\n")
    assert space.starting_points == ({"downstream.input": "features", "downstream.monitor": "spearman"},)
