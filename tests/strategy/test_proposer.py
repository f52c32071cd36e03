"""Proposals: a function of seed, number and history, whatever the sampler."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Mapping, Sequence
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licap.errors import ConfigError
from licap.fields import Scalar
from search.space import Parameter, SamplerConfig, grid_points
from search.strategy import Proposer
from search.strategy.sampled import Sampled

SPACE = (
    Parameter(name="pretrain.imp_ratio", kind="float", low=0.02, high=0.3, log=True),
    Parameter(name="pretrain.temperature", kind="float", low=0.02, high=0.1),
    Parameter(name="pretrain.eta2", kind="float", low=0.1, high=2.05, step=0.1),
    Parameter(name="pretrain.heads", kind="int", low=1, high=8, step=1, log=True),
    Parameter(name="pretrain.hidden", kind="int", low=4, high=17, step=4),
    Parameter(name="pretrain.bins.kind", kind="categorical", choices=("length", "quantile")),
    Parameter(
        name="pretrain.bins.count", kind="int", low=2, high=8, step=1, when={"pretrain.bins.kind": ("quantile",)}
    ),
    Parameter(name="pretrain.clip_norm", kind="categorical", choices=(None, 1.0, 10.0)),
)
START: dict[str, Scalar] = {
    "pretrain.imp_ratio": 0.1,
    "pretrain.temperature": 0.05,
    "pretrain.eta2": 1.1,
    "pretrain.heads": 8,
    "pretrain.hidden": 8,
    "pretrain.bins.kind": "length",
    "pretrain.clip_norm": 10.0,
}
FINITE = SPACE[4:]
FINITE_START = {key: value for key, value in START.items() if key in {parameter.name for parameter in FINITE}}
LEARNING = ["tpe", "random", "cmaes", "gp"]
# A Gaussian process takes its time.
FEW = {"gp": range(7)}


def proposer(
    name: str, *, seed: int = 0, starts: Sequence[Mapping[str, Scalar]] = (), space: Sequence[Parameter] = SPACE
) -> Proposer:
    sampler = SamplerConfig(name=name, startup=4)
    return Proposer(space, starting_points=starts, sampler=sampler, seed=seed, direction="max")


def score(values: Mapping[str, Scalar]) -> float:
    """Best at imp_ratio 0.2, temperature 0.09."""
    ratio, temperature = float(values["pretrain.imp_ratio"] or 0), float(values["pretrain.temperature"] or 0)
    return -((math.log(ratio / 0.2)) ** 2) - (10 * (temperature - 0.09)) ** 2


def outcome(number: int, values: Mapping[str, Scalar]) -> tuple[str, float | None, str | None]:
    """How trial `number` ends: some are pruned, fail, are cut off, or end without a number."""
    state = {3: "pruned", 5: "failed", 8: "interrupted", 9: "pruned"}.get(number % 11, "complete")
    value = (math.nan if number % 13 == 12 else score(values)) if state == "complete" else None
    return state, value, {5: "diverged", 16: "crashed"}.get(number % 22) if state == "failed" else None


def run(source: Proposer, numbers: range, *, concurrent: int = 2) -> list[dict[str, Scalar]]:
    """Proposes and finishes trials, some of them open at the same time."""
    proposed, open_trials = [], []
    for number in numbers:
        values = source.propose(number)
        assert values is not None
        proposed.append(values)
        open_trials.append(number)
        if len(open_trials) == concurrent:
            first = open_trials.pop(0)
            tell(source, first, proposed[first - numbers.start])
    return proposed


def tell(source: Proposer, number: int, values: Mapping[str, Scalar]) -> None:
    for budget in (1, 2, 5):
        source.observe_report(number, budget, score(values) if budget < 5 or number % 11 != 9 else math.nan)
    state, value, failure = outcome(number, values)
    source.finish(number, state, value, failure=failure)


@pytest.mark.parametrize("name", LEARNING)
def test_each_proposal_is_a_point_of_the_space(name: str) -> None:
    for values in run(proposer(name), FEW.get(name, range(24))):
        by_name = {parameter.name: parameter for parameter in SPACE}
        assert all(by_name[key].contains(value) for key, value in values.items())
        assert ("pretrain.bins.count" in values) == (values["pretrain.bins.kind"] == "quantile")
        assert values.keys() | {"pretrain.bins.count"} == by_name.keys()
        assert type(values["pretrain.heads"]) is int and type(values["pretrain.eta2"]) is float


@pytest.mark.parametrize("name", LEARNING)
def test_equal_seeds_propose_equally_and_others_do_not(name: str) -> None:
    first, again, other = (run(proposer(name, seed=seed), FEW.get(name, range(20))) for seed in (1, 1, 2))
    assert first == again != other
    assert len({tuple(values.items()) for values in first}) == len(first)


@pytest.mark.parametrize(
    ("name", "cut"), [*product(["tpe", "random", "cmaes", "grid"], [1, 6, 21]), ("gp", 1), ("gp", 6)]
)
def test_a_proposer_rebuilt_from_the_history_proposes_what_the_uncut_one_does(name: str, cut: int) -> None:
    space, start = (FINITE, FINITE_START) if name == "grid" else (SPACE, START)
    if name == "gp":
        # A process over all parameters takes its time; here are a number, steps, choices and a condition.
        space = (*SPACE[:2], *SPACE[4:7])
        start = {key: value for key, value in START.items() if key in {parameter.name for parameter in space}}
    uncut, rebuilt = (proposer(name, starts=[start], space=space) for _ in range(2))
    history: list[dict[str, Scalar]] = []
    for number in range(cut + (4 if name == "gp" else 8)):
        values = uncut.propose(number)
        assert values is not None
        if number < cut:
            rebuilt.recall(number, values)
        else:
            assert rebuilt.propose(number) == values
        history.append(values)
        if number:  # the one before ends while this one runs
            for source in (uncut, rebuilt):
                if name == "grid":
                    source.finish(number - 1, "complete", 0.5)
                else:
                    tell(source, number - 1, history[number - 1])


@pytest.mark.parametrize("name", LEARNING)
def test_starting_points_come_first_in_order_and_once(name: str) -> None:
    second = START | {"pretrain.heads": 2}
    proposed = run(proposer(name, starts=[START, second]), range(9))
    assert proposed[:2] == [START, second]
    assert START not in proposed[2:] and second not in proposed[2:]
    # A trial's proposal does not hang on what the starting points were.
    assert proposed[2:4] == run(proposer(name), range(4))[2:]


@pytest.mark.parametrize("name", ["tpe", "cmaes"])
def test_a_sampler_that_learns_comes_nearer_to_the_optimum(name: str) -> None:
    source = proposer(name)
    scores = []
    for number in range(60):
        values = source.propose(number)
        assert values is not None
        scores.append(score(values))
        source.finish(number, "complete", scores[-1])
    assert sum(scores[40:]) / 20 > sum(scores[:10]) / 10


def test_cmaes_goes_on_learning_when_conditions_come_and_go() -> None:
    source = proposer("cmaes", space=[*SPACE[:2], *SPACE[5:7]])
    kinds = set()
    ratios = []
    for number in range(100):
        values = source.propose(number)
        assert values is not None
        kinds.add(values["pretrain.bins.kind"])
        ratios.append(float(values["pretrain.imp_ratio"] or 0))
        source.finish(number, "complete", score(values))
    spread = [max(part) - min(part) for part in (ratios[4:24], ratios[80:])]
    assert kinds == {"length", "quantile"} and spread[1] < spread[0] / 2


def test_optuna_is_told_how_a_trial_ended() -> None:
    source = Sampled(SPACE, sampler=SamplerConfig(), seed=0, direction="max")
    for number in range(4):
        source.propose(number)
        source.report(number, 1, 0.25)
        source.report(number, 7, 0.5)
        source.report(number, 7, 0.75)  # repeated after a checkpoint
    source.finish(0, "pruned", None, speaks=False)
    source.finish(1, "failed", None, speaks=True)
    source.finish(2, "complete", 0.5, speaks=True)
    source.finish(3, "complete", math.nan, speaks=True)
    told = [source._memory.get_trial(number) for number in range(4)]
    assert [trial.state.name for trial in told] == ["PRUNED", "FAIL", "COMPLETE", "FAIL"]
    assert told[0].intermediate_values == {1: 0.25, 7: 0.5}
    assert told[1].value is None and told[2].value == 0.5 and told[3].value is None


def crashing(source: Proposer, trials: int, failure: str, *, good: tuple[float, float] = (0.0, 0.06)) -> list[bool]:
    """Runs trials that fail where the temperature is not in the good range. Returns which failed."""
    failed = []
    for number in range(trials):
        values = source.propose(number)
        assert values is not None
        failed.append(not good[0] <= float(values["pretrain.temperature"] or 0) <= good[1])
        if failed[-1]:
            source.finish(number, "failed", None, failure=failure)
        else:
            source.finish(number, "complete", score(values))
    return failed


@pytest.mark.parametrize(
    ("name", "trials", "seeds", "good"),
    # Values rise towards 0.09: beyond the good range, or well inside.
    [("tpe", 30, 3, (0.0, 0.06)), ("gp", 18, 1, (0.0, 0.06)), ("cmaes", 60, 4, (0.06, 1.0))],
)
def test_a_sampler_keeps_away_from_where_trials_fail(
    name: str, trials: int, seeds: int, good: tuple[float, float]
) -> None:
    late = {}
    for failure in ("diverged", "crashed"):
        sources = [proposer(name, seed=seed, space=SPACE[:2]) for seed in range(seeds)]
        late[failure] = sum(sum(crashing(each, trials, failure, good=good)[trials // 2 :]) for each in sources)
    assert late["diverged"] < 0.7 * late["crashed"]


def nearest_neighbours(seed: int, *, running: bool) -> float:
    """Mean distance to the nearest of eight proposals made side by side, after 30 trials with the optimum at 0.5.

    running: whether they run; otherwise each has crashed by the time of the next, which says nothing of its values.
    """
    plane = [Parameter(name=name, kind="float", low=0.0, high=1.0) for name in ("a", "b")]
    source = proposer("tpe", seed=seed, space=plane)
    points: list[tuple[float, ...]] = []
    for number in range(38):
        values = source.propose(number)
        assert values is not None
        point = tuple(map(float, values.values()))  # type: ignore[arg-type]
        if number < 30:
            source.finish(number, "complete", -sum((x - 0.5) ** 2 for x in point))
            continue
        points.append(point)
        if not running:
            source.finish(number, "failed", None, failure="crashed")
    return sum(min(math.dist(one, other) for other in points if other != one) for one in points) / len(points)


def test_trials_that_run_side_by_side_are_kept_apart() -> None:
    apart, unknown = (sum(nearest_neighbours(seed, running=each) for seed in range(4)) for each in (True, False))
    assert apart > 1.3 * unknown


@pytest.mark.parametrize("failure", ["crashed", "timeout", "interrupted", None])
@pytest.mark.parametrize("name", ["tpe", "cmaes"])
def test_what_befalls_a_trial_from_outside_teaches_nothing(name: str, failure: str | None) -> None:
    befallen, unfinished = proposer(name), proposer(name)
    for number in range(12):
        values = befallen.propose(number)
        assert values is not None and values == unfinished.propose(number)
        if number % 3:
            befallen.finish(number, "complete", score(values))
            unfinished.finish(number, "complete", score(values))
        else:
            befallen.finish(number, "failed", None, failure=failure)
            unfinished.finish(number, "failed", None, failure="crashed")


@pytest.mark.parametrize("failure", ["diverged", "oom", "invalid-config", "data"])
def test_failures_that_say_something_of_the_values_are_all_heeded(failure: str) -> None:
    assert crashing(proposer("tpe", space=SPACE[:2]), 25, failure) == crashing(
        proposer("tpe", space=SPACE[:2]), 25, "diverged"
    )


def test_a_complete_trial_without_a_number_counts_as_a_failure() -> None:
    proposals = []
    for state, value, failure in (("complete", math.nan, None), ("failed", None, "diverged")):
        source = proposer("tpe")
        for number in range(10):
            values = source.propose(number)
            assert values is not None
            source.finish(number, *((state, value) if number % 2 else ("complete", score(values))), failure=failure)
        proposals.append(source.propose(10))
    assert proposals[0] == proposals[1]


def test_an_interrupted_trial_can_go_on() -> None:
    source = proposer("tpe")
    assert source.propose(0) is not None
    source.observe_report(0, 1, 0.1)
    source.finish(0, "interrupted", None)
    source.observe_report(0, 2, 0.2)
    source.finish(0, "complete", 0.2)
    assert source.propose(1) is not None


def test_no_sampler_warns_or_logs(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in LEARNING:
            run(proposer(name, starts=[START]), range(8))
    assert capfd.readouterr() == ("", "")


def test_values_that_are_no_point_of_the_space_are_not_recalled() -> None:
    for wrong in ({"pretrain.lr": 0.1}, START | {"pretrain.heads": 9}, {"pretrain.heads": 2}):
        with pytest.raises(ValueError, match="trial 0"):
            proposer("tpe").recall(0, wrong)


def test_a_grid_proposes_every_point_once_and_then_nothing() -> None:
    source = proposer("grid", space=FINITE, starts=[FINITE_START])
    points: list[dict[str, Scalar]] = []
    number = 0
    while (values := source.propose(number)) is not None:
        points.append(values)
        number += 1
    # 4 widths x (length, or quantile with 7 counts) x 3 norms; the starting point is one of them
    assert number == len(points) == 4 * (1 + 7) * 3 and points[0] == FINITE_START
    assert len({tuple(sorted(point.items(), key=lambda item: item[0])) for point in points}) == len(points)
    assert source.propose(number) is None and source.propose(1) == points[1]


def test_a_grid_needs_values_to_enumerate() -> None:
    with pytest.raises(ConfigError, match=r"pretrain\.imp_ratio: sampler grid needs a step or choices"):
        proposer("grid")


@settings(max_examples=30)
@given(sizes=st.lists(st.integers(1, 3), min_size=1, max_size=4), data=st.data())
def test_grid_points_are_distinct_and_all_there(sizes: list[int], data: st.DataObject) -> None:
    parameters: list[Parameter] = []
    for index, size in enumerate(sizes):
        when = {}
        if index and data.draw(st.booleans()):
            parent = data.draw(st.sampled_from(parameters))
            when = {parent.name: (data.draw(st.sampled_from(parent.choices)),)}
        parameters.append(Parameter(name=f"p{index}", kind="categorical", choices=tuple(range(size)), when=when))
    points = list(grid_points(parameters))
    assert len({tuple(point.items()) for point in points}) == len(points)
    rng = random.Random(0)
    for _ in range(20):
        drawn: dict[str, Scalar] = {}
        for parameter in parameters:
            if all(drawn.get(parent, "absent") in allowed for parent, allowed in parameter.when.items()):
                drawn[parameter.name] = rng.choice(parameter.choices)
        assert drawn in points
