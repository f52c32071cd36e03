"""No sampler tries a point twice, and a space that is used up has no more proposals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from licap.fields import Scalar
from search.space import Parameter, SamplerConfig, SearchSpace, describe, grid_points
from search.strategy import Proposer

TWO = (Parameter(name="pretrain.bins.kind", kind="categorical", choices=("length", "quantile")),)
FEW = (
    *TWO,
    Parameter(
        name="pretrain.bins.count", kind="int", low=2, high=4, step=1, when={"pretrain.bins.kind": ("quantile",)}
    ),
    Parameter(name="pretrain.eta2", kind="float", low=0.1, high=0.3, step=0.1),
    Parameter(name="pretrain.hidden", kind="int", low=4, high=6, step=1),
)
START = {"pretrain.bins.kind": "quantile", "pretrain.bins.count": 3, "pretrain.eta2": 0.2, "pretrain.hidden": 5}
SAMPLERS = ["tpe", "random", "cmaes", "gp", "grid"]


def proposer(name: str, space: Sequence[Parameter], starts: Sequence[Mapping[str, Scalar]] = ()) -> Proposer:
    sampler = SamplerConfig(name=name, startup=3)
    return Proposer(space, starting_points=starts, sampler=sampler, seed=0, direction="max")


def score(values: Mapping[str, Scalar]) -> float:
    """Best at one point, so that samplers want to come back to it."""
    return sum(START.get(name) == value for name, value in values.items())


def tried(source: Proposer, begin: int = 0) -> list[dict[str, Scalar]]:
    """All that is proposed until nothing is left; one trial in five is pruned."""
    found: list[dict[str, Scalar]] = []
    while (values := source.propose(begin + len(found))) is not None:
        finish(source, begin + len(found), values)
        found.append(values)
    return found


def finish(source: Proposer, number: int, values: Mapping[str, Scalar]) -> None:
    source.observe_report(number, 1, score(values))
    source.finish(number, "pruned" if number % 5 == 4 else "complete", None if number % 5 == 4 else score(values))


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_space_of_two_points_takes_two_trials(name: str) -> None:
    source = proposer(name, TWO)
    assert sorted(str(values["pretrain.bins.kind"]) for values in tried(source)) == ["length", "quantile"]
    assert source.propose(2) is None
    assert source.propose(7) is None


@pytest.mark.parametrize("name", ["tpe", "random", "cmaes"])
def test_every_point_of_a_small_space_is_tried_once(name: str) -> None:
    points = {frozenset(point.items()) for point in grid_points(FEW)}
    found = tried(proposer(name, FEW, [START]))
    assert found[0] == START
    assert len(found) == len(points) == 36
    assert {frozenset(values.items()) for values in found} == points


def test_a_starting_point_that_is_a_step_but_for_rounding_is_that_step() -> None:
    start = {**START, "pretrain.eta2": 0.2 + 1e-12}
    found = tried(proposer("random", FEW, [start]))
    assert found[0] == start
    assert START not in found
    assert len(found) == 36


@pytest.mark.parametrize(("name", "cut"), [("tpe", 9), ("tpe", 30), ("random", 20), ("cmaes", 12), ("cmaes", 29)])
def test_a_proposer_rebuilt_from_the_history_goes_on_as_the_uncut_one(name: str, cut: int) -> None:
    whole = tried(proposer(name, FEW))
    again = proposer(name, FEW)
    for number, values in enumerate(whole[:cut]):
        again.recall(number, values)
        finish(again, number, values)
    assert whole[:cut] + tried(again, cut) == whole


def test_recorded_repetitions_are_recalled_and_not_gone_on_with() -> None:
    source = proposer("tpe", TWO)
    for number in range(6):
        source.recall(number, {"pretrain.bins.kind": "length"})
        finish(source, number, {"pretrain.bins.kind": "length"})
    assert [source.propose(number) for number in (6, 7)] == [{"pretrain.bins.kind": "quantile"}, None]


def test_a_trial_that_runs_is_not_proposed_a_second_time() -> None:
    source = proposer("tpe", TWO)
    first, second = source.propose(0), source.propose(1)
    assert first != second
    assert source.propose(2) is None


def test_a_large_space_of_whole_numbers_has_no_repetitions() -> None:
    source = proposer("tpe", [Parameter(name="seed", kind="int", low=0, high=2**32 - 1, step=1)])
    for number in range(12):
        values = source.propose(number)
        assert values is not None
        source.finish(number, "complete", float(values["seed"] or 0))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_dry_run_says_that_the_space_is_smaller_than_the_study(sampler: str) -> None:
    text = (
        f"trials: 8\nsampler: {sampler}\npruner: none\nsearch:\n"
        "  pretrain.bins.kind: {type: categorical, choices: [length, quantile]}\n"
    )
    space = SearchSpace.from_text(text, source="a.yaml")
    assert space.num_trials == 2
    what = "grid" if sampler == "grid" else "space"
    assert f"The {what} has 2 points: the search ends when" in describe(space)
    endless = text + "  pretrain.temperature: {type: float, low: 0.02, high: 0.1}\n"
    if sampler != "grid":
        assert SearchSpace.from_text(endless, source="a.yaml").num_trials == 8
