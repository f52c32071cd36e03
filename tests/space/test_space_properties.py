"""Properties of any space: it survives being written, and what it draws lies inside it."""

from __future__ import annotations

import random
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from licap.config import TrialConfig
from licap.errors import ConfigError
from licap.fields import specs_of
from licap.yaml_file import write_yaml
from search.space import Parameter, SearchSpace, describe

# Machines may be busy: no example is refused for its time.
CALM: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
FLOATS = ("pretrain.lr", "pretrain.eta1", "downstream.weight_decay", "pretrain.beta.scale", "pretrain.temperature")
INTS = ("pretrain.heads", "pretrain.hidden", "downstream.geni.heads", "pretrain.bins.count", "downstream.patience")
KINDS = ("pretrain.bins.kind", "downstream.input", "pretrain.embeddings", "downstream.monitor")


@st.composite
def floats(draw: st.DrawFn) -> dict[str, Any]:
    low = draw(st.floats(1.0, 1e3))
    if draw(st.booleans()):
        step = draw(st.sampled_from([0.1, 0.25, 0.3, 1e-3]))
        low = draw(st.integers(10, 50)) / 10
        return {"type": "float", "low": low, "high": round(low + step * draw(st.integers(1, 40)), 10), "step": step}
    high = draw(st.floats(low, 1e6, exclude_min=True))
    return {"type": "float", "low": low, "high": high, "log": draw(st.booleans())}


@st.composite
def ints(draw: st.DrawFn) -> dict[str, Any]:
    low, step = draw(st.integers(1, 100)), draw(st.integers(1, 5))
    log = draw(st.booleans())
    step = 1 if log else step
    return {"type": "int", "low": low, "high": low + step * draw(st.integers(1, 30)), "step": step, "log": log}


@st.composite
def spaces(draw: st.DrawFn) -> dict[str, Any]:
    search: dict[str, Any] = {}
    kinds = draw(st.lists(st.sampled_from(KINDS), unique=True, min_size=1))
    for name in kinds:
        choices = specs_of(TrialConfig)[name].choices
        search[name] = {"type": "categorical", "choices": draw(st.permutations(choices))}
    for name in draw(st.lists(st.sampled_from(FLOATS), unique=True)):
        search[name] = draw(floats())
    for name in draw(st.lists(st.sampled_from(INTS), unique=True)):
        search[name] = draw(ints())
    for name in list(search):
        # Parents are kinds that stand before, so that conditions neither go in circles nor contradict each other.
        parents = kinds[: kinds.index(name)] if name in kinds else kinds
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            search[name]["when"] = {parent: search[parent]["choices"][0]}
    order = draw(st.permutations(list(search)))
    return {
        "search": {name: search[name] for name in order},
        "config": {"runtime": {"threads": draw(st.integers(1, 4))}, "pretrain.imp_ratio": draw(st.floats(0.01, 0.9))},
        "seed": draw(st.integers(0, 2**32 - 1)),
        "sampler": draw(st.sampled_from(["tpe", "random", "cmaes"])),
        "time_budget": draw(st.none() | st.floats(1e-3, 1e6)),
    }


def read(tree: dict[str, Any]) -> SearchSpace:
    return SearchSpace.from_text(write_yaml(tree), source="drawn.yaml")


@given(spaces())
@settings(max_examples=60, **CALM)
def test_a_space_written_and_read_again_is_equal(tree: dict[str, Any]) -> None:
    space = read(tree)
    again = SearchSpace.from_text(space.to_yaml(), source="again.yaml", overrides=["name=drawn"])
    assert again == space
    assert again.to_yaml() == space.to_yaml()
    assert set(space.fixed) | set(tree["search"]) == set(specs_of(TrialConfig))


@given(spaces(), st.integers(0, 2**32))
@settings(max_examples=60, **CALM)
def test_a_sample_lies_inside_and_holds_what_counts(tree: dict[str, Any], seed: int) -> None:
    space = read(tree)
    values = space.sample(random.Random(seed))
    assert tuple(values) == space.active(values)
    for parameter in space.parameters:
        if parameter.name in values:
            assert parameter.contains(values[parameter.name])
            assert all(values[parent] in allowed for parent, allowed in parameter.when.items())
    config = space.config_for(values).flat()
    assert {name: config[name] for name in values} == values
    assert {name: config[name] for name in config if name not in values} == {
        name: value for name, value in space.base.items() if name not in values
    }


@given(spaces(), st.integers(0, 2**32))
@settings(max_examples=30, **CALM)
def test_a_sample_can_be_a_starting_point(tree: dict[str, Any], seed: int) -> None:
    values = read(tree).sample(random.Random(seed))
    assert read({**tree, "start": [values]}).starting_points == (values,)


SCALARS = st.sampled_from([None, True, 0, -1, 3, 0.5, 1e-3, "a", "length", "none", "1e-3", "2024-01-01", ""])
KEYS = [
    *("pretrain.lr", "pretrain.bins.kind", "pretrain.heads", "pretrain", "lr", "name", "grace", "when", "default"),
    *("type", "low", "high", "log", "step", "choices", "x", 3, None, True),
]
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
TOP = ["name", "metric", "preset", "config", "search", "start", "sampler", "pruner", "trials", "time_budget", "seed"]


@given(st.dictionaries(st.sampled_from([*TOP, "resources", "max_concurrent", 7]), TREES), st.sampled_from(TOP), TREES)
@settings(max_examples=80, **CALM)
def test_nonsense_is_refused_and_never_crashes(tree: dict[Any, Any], key: str, value: Any) -> None:
    text = yaml.safe_dump({"search": {"pretrain.lr": {"type": "float", "low": 0.1, "high": 1}}, **tree})
    word = f"{key}={yaml.safe_dump(value, default_flow_style=True, width=10**6).strip().removesuffix('...').strip()}"
    for overrides in ([], [word]):
        try:
            describe(SearchSpace.from_text(text, source="drawn.yaml", overrides=overrides))
        except ConfigError as error:
            assert all(line.startswith(("drawn.yaml:", "--set")) for line in str(error).splitlines()), str(error)


@given(floats())
@settings(max_examples=50, **CALM)
def test_a_stepped_float_reaches_both_ends(declaration: dict[str, Any]) -> None:
    space = read({"search": {"pretrain.lr": declaration}})
    (parameter,) = space.parameters
    values = parameter.values()
    assert (values is None) == ("step" not in declaration)
    if values is not None:
        assert (values[0], values[-1]) == (parameter.low, parameter.high)
        assert len(set(values)) == len(values) == parameter.count()
        assert all(parameter.contains(value) for value in values)


def test_steps_are_counted_in_decimal() -> None:
    parameter = Parameter(name="pretrain.lr", kind="float", low=0.1, high=0.5, step=0.1)
    assert parameter.values() == (0.1, 0.2, 0.3, 0.4, 0.5)
