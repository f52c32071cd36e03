"""What a good space file means: values, conditions, starting points, rungs, and what is written back."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from licap.config import TrialConfig
from licap.errors import ConfigError
from licap.fields import specs_of
from licap.presets import preset_values
from search.space import SearchSpace, describe
from search.space.estimate import estimate

SPACES = Path(__file__).parents[2] / "spaces"
SHIPPED = sorted(SPACES.glob("*.yaml"))
ONE = "search: {pretrain.lr: {type: float, low: 1e-3, high: 1e-1, log: true}}\n"
BINS = """
search:
  pretrain.bins.count: {type: int, low: 2, high: 8, when: {pretrain.bins.kind: [equal-width, quantile]}}
  pretrain.bins.kind: {type: categorical, choices: [length, quantile]}
  pretrain.beta.p: {type: float, low: 0.1, high: 0.5, when: {pretrain.bins.count: [2, 3]}}
"""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_file_reads_back_equal_and_describes_itself(path: Path) -> None:
    space = SearchSpace.load(path)
    assert SearchSpace.from_text(space.to_yaml(), source="space.yaml") == space
    assert space.name == path.stem
    text = describe(space)
    assert all(parameter.name in text for parameter in space.parameters)
    # A grid for a table wants every cell, and begins nowhere in particular.
    assert path.stem.startswith("paper_") or (space.rungs() and len(space.starting_points) >= 1)


def test_the_shipped_files_are_there() -> None:
    assert {"default", "fb15k"} <= {path.stem for path in SHIPPED}


def test_the_first_trial_on_fb15k_is_the_published_setting() -> None:
    space = SearchSpace.load(SPACES / "fb15k.yaml")
    tried = space.config_for(space.starting_points[0]).flat()
    published = TrialConfig().flat() | preset_values("published")
    free = {"data.path", "pretrain.max_epochs", "downstream.max_epochs", "downstream.patience", "runtime.threads"}
    # How trials are judged, and what keeps any trial of the space from losing its way.
    free |= {"label_ties", "downstream.initial_scores", "downstream.step_limit"}
    different = {name for name in tried if name not in free and tried[name] != published[name]}
    # The embeddings of structure features are 64 wide either way.
    assert different == {"pretrain.out_dim"} and tried["pretrain.out_dim"] == 64


def test_nothing_heavy_is_imported_with_a_space() -> None:
    code = (
        "import sys, search.space; from pathlib import Path; "
        f"search.space.describe(search.space.SearchSpace.load(Path({str(SPACES / 'default.yaml')!r}))); "
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "ray", "optuna", "mlflow", "scipy", "dgl", "numba", "sklearn"} & set(loaded)


def test_every_field_of_the_trial_config_can_be_searched(read: Any) -> None:
    for name, spec in specs_of(TrialConfig).items():
        choices = {
            bool: "[true, false]",
            str: f"[{', '.join(spec.choices)}]" if len(spec.choices) > 1 else "[a, b]",
            float: "[0.25, 0.5]" if spec.below is not None or spec.at_most is not None else "[1.5, 2.5]",
            int: "[60, 61]" if (spec.at_most or 100) > 60 else "[1, 2]",
        }[spec.kind]
        if name in ("data.dataset", "downstream.model", "pretrain.training"):
            continue  # a data set needs its own path, some models other settings, joint training embeddings
        model = name.split(".")[1] if name.count(".") == 2 and name.startswith("downstream.") else "gat"
        fixed = {"downstream.model": model, "downstream.input": "features", "data.features": "both"}
        divisible = {"downstream.gat.heads": 1, "downstream.gat.hidden": 8 * 60 * 61}
        fixed |= dict([*divisible.items()][:1] if name == "downstream.gat.hidden" else [*divisible.items()][1:])
        lines = "".join(f"  {key}: {value}\n" for key, value in fixed.items() if key != name)
        space = read(f"pruner: none\nconfig:\n{lines}search: {{{name}: {{type: categorical, choices: {choices}}}}}\n")
        assert [parameter.name for parameter in space.parameters] == [name]


def test_numbers_are_read_however_people_write_them(read: Any) -> None:
    space = read(
        """
        config: {downstream.weight_decay: 1E-2}
        search:
          pretrain.lr: {type: float, low: 1e-5, high: 1E-2, log: true}
          downstream.lr: {type: categorical, choices: [1e-3, 5e-3, 1E-2]}
          pretrain.patience: {type: int, low: 5e0, high: 5e3}
        start: [{pretrain.lr: 1e-4, downstream.lr: 1e-2}]
        """,
        "pretrain.temperature=5e-2",
        "search.pretrain.lr.high=2e-2",
    )
    lr, downstream, patience = space.parameters
    assert (lr.low, lr.high) == (1e-5, 2e-2)
    assert downstream.choices == (0.001, 0.005, 0.01)
    assert (patience.low, patience.high) == (5, 5000) and isinstance(patience.high, int)
    assert space.starting_points[0]["pretrain.lr"] == 1e-4
    assert space.base["downstream.weight_decay"] == 0.01
    assert space.base["pretrain.temperature"] == 0.05


def test_null_is_a_choice_where_the_field_may_be_empty(read: Any) -> None:
    space = read("search: {pretrain.clip_norm: {type: categorical, choices: [null, 1.0, 10]}}\n")
    assert space.parameters[0].choices == (None, 1.0, 10.0)
    assert space.config_for({"pretrain.clip_norm": None}).pretrain.clip_norm is None


def test_parents_come_before_children(read: Any) -> None:
    space = read(BINS)
    assert [p.name for p in space.parameters] == ["pretrain.bins.kind", "pretrain.bins.count", "pretrain.beta.p"]


def test_a_condition_needs_its_parent_to_count(read: Any) -> None:
    space = read(BINS)
    values = {"pretrain.bins.kind": "quantile", "pretrain.bins.count": 2, "pretrain.beta.p": 0.2}
    assert space.active(values) == tuple(values)
    assert space.active(values | {"pretrain.bins.count": 4}) == ("pretrain.bins.kind", "pretrain.bins.count")
    assert space.active(values | {"pretrain.bins.kind": "length"}) == ("pretrain.bins.kind",)


def test_values_that_do_not_count_leave_the_config_as_it_is(read: Any) -> None:
    space = read(BINS)
    config = space.config_for({"pretrain.bins.kind": "length", "pretrain.bins.count": 7, "pretrain.beta.p": 0.2})
    assert (config.pretrain.bins.count, config.pretrain.beta.p) == (5, 0.5)
    with pytest.raises(ConfigError, match=r"pretrain.bins.cout.*did you mean pretrain.bins.count"):
        space.config_for({"pretrain.bins.cout": 3})


def test_a_condition_on_a_fixed_value_is_settled_at_once(read: Any) -> None:
    space = read("search: {downstream.geni.heads: {type: int, low: 1, high: 8, when: {downstream.model: geni}}}\n")
    assert space.parameters[0].when == {}


def test_starting_points_are_completed_from_the_config(read: Any) -> None:
    text = (
        BINS + "config: {pretrain.lr: 0.1}\nstart: [{}, {pretrain.bins.kind: quantile, pretrain.bins.count: 3}, {}]\n"
    )
    assert read(text).starting_points == (
        {"pretrain.bins.kind": "length"},
        {"pretrain.bins.kind": "quantile", "pretrain.bins.count": 3, "pretrain.beta.p": 0.5},
    )


def test_default_stands_in_where_a_parameter_does_not_count(read: Any) -> None:
    space = read(BINS.replace("high: 8,", "high: 8, default: 9,"))
    assert space.config_for({"pretrain.bins.kind": "length"}).pretrain.bins.count == 9


def test_config_wins_over_preset_and_preset_over_defaults(read: Any) -> None:
    space = read("preset: published\nconfig: {downstream: {patience: 7}}\npruner: none\n" + ONE)
    config = space.config_for({})
    assert config.pretrain.max_epochs == 1000 and config.downstream.patience == 7


def test_a_searched_parameter_keeps_the_value_of_the_preset(read: Any) -> None:
    space = read(
        "preset: published\nsearch: {downstream.input: {type: categorical, choices: [embeddings, features]}}\n"
    )
    assert space.base["downstream.input"] == "embeddings"
    assert SearchSpace.from_text(space.to_yaml(), source="again.yaml") == space


def test_the_metric_is_known_in_either_spelling_with_its_direction(read: Any) -> None:
    assert read(f"metric: RMSE\n{ONE}").metric.direction == "min"
    assert read(f"metric: NDCG@20\n{ONE}").metric.name == "ndcg@20"


@pytest.mark.parametrize(("given", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1.5h", 5400), ("1e2s", 100)])
def test_a_time_budget_has_units(read: Any, given: str, seconds: float) -> None:
    assert read(f"time_budget: {given}\n{ONE}").time_budget_s == seconds


@pytest.mark.parametrize(
    ("pruner", "stops"),
    [
        ("{grace: 10, reduction: 3}", (30, 50)),
        ("{grace: 10, reduction: 2}", (30, 40, 60)),
        ("asha", (25, 35, 65)),
        ("{grace: 10, reduction: 3, stage: pretrain}", (10, 30)),
        ("none", ()),
    ],
)
def test_rungs_stand_below_the_total_budget(read: Any, pruner: str, stops: tuple[int, ...]) -> None:
    space = read(f"config: {{pretrain.max_epochs: 20, downstream.max_epochs: 60}}\npruner: {pruner}\n{ONE}")
    assert space.rungs() == stops
    assert space.max_budget == 80


def test_without_a_pruner_stage_lengths_can_be_searched(read: Any) -> None:
    space = read(
        """
        pruner: none
        config: {downstream.max_epochs: 50}
        search: {pretrain.max_epochs: {type: int, low: 10, high: 30}}
        """
    )
    assert space.max_budget == 80 and space.rungs() == ()


def test_the_name_is_the_files_unless_given(read: Any) -> None:
    assert read(ONE).name == "study"
    assert read(f"name: mine-2\n{ONE}").name == "mine-2"
    assert SearchSpace.from_text(ONE, source="my space (2).yaml").name == "my-space-2-"


def test_text_that_looks_like_a_number_stays_text_when_written_back(read: Any) -> None:
    space = read("config: {data.path: '1e5'}\n" + ONE)
    assert SearchSpace.from_text(space.to_yaml(), source="again.yaml").base["data.path"] == "1e5"


def test_the_estimate_counts_epochs(read: Any) -> None:
    stages = "trials: 9\nconfig: {pretrain.max_epochs: 20, downstream.max_epochs: 60}\n"
    plain = estimate(read(f"{stages}pruner: none\n{ONE}"))
    assert (plain.full, plain.expected, plain.reaching) == (9 * 80, 9 * 80, (9,))
    pruned = estimate(read(f"{stages}pruner: {{grace: 10, reduction: 3}}\n{ONE}"))
    assert pruned.reaching == (9, 3, 1)
    assert pruned.expected == 9 * 30 + 3 * 20 + 1 * 30
    features = estimate(read(f"{stages}pruner: none\n{ONE}", "downstream.input=features"))
    assert features.full == 9 * 60


def test_samples_are_the_same_for_the_same_seed(read: Any) -> None:
    space = read(BINS)
    assert [space.sample(random.Random(3)) for _ in range(2)] == [space.sample(random.Random(3)) for _ in range(2)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"sampler: cmaes\n{ONE}", "cmaes needs at least two"),
        ("sampler: cmaes\n" + BINS, "drawn independently: pretrain.bins.kind, pretrain.bins.count, pretrain.beta.p"),
        (f"sampler: {{name: tpe, startup: 20}}\ntrials: 20\n{ONE}", "All 20 trials are random"),
        (
            "sampler: grid\ntrials: 3\nsearch: {pretrain.heads: {type: int, low: 1, high: 8}}\n",
            "The grid has 8 points, of which 3",
        ),
        (
            "sampler: grid\ntrials: 9\nsearch: {pretrain.heads: {type: int, low: 1, high: 8}}\n",
            "8 points: the search ends",
        ),
        ("sampler: grid\nsearch: {fold: {type: int, low: 0, high: 4}}\n", "asha stops points of the grid early"),
        ("search: {downstream.monitor: {type: categorical, choices: [loss]}}\n", "a single value, loss: it could"),
        (f"trials: 1\nstart: [{{}}, {{pretrain.lr: 0.1}}]\n{ONE}", "2 starting points, 1 trials"),
        (f"pruner: {{stage: pretrain}}\n{ONE}", "ridge probe"),
        (f"pruner: {{grace: 3}}\nreport_every: 5\n{ONE}", "A trial pauses every 5 epochs"),
        (BINS, "pretrain.bins.kind never takes equal-width here"),
        ("search: {fold: {type: int, low: 0, high: 4}}\n", "fold is searched"),
        ("search: {seed: {type: int, low: 0, high: 4}}\n", "lucky seed"),
    ],
)
def test_a_doubtful_choice_is_noted(read: Any, text: str, words: str) -> None:
    space = read(text)
    assert any(words in note for note in space.notes), space.notes
    assert words in describe(space)


@pytest.mark.parametrize("name", ["2024-01-01", "2024", "1e3", "007", "NO", "0x1F", "1_0", "yes", "2001.12.14"])
def test_a_name_keeps_the_characters_that_were_written(read: Any, name: str) -> None:
    space = read(f"name: {name}\n{ONE}")
    assert space.name == name
    assert SearchSpace.from_text(space.to_yaml(), source="again.yaml") == space
    assert yaml.safe_load(space.to_yaml())["name"] == name


def test_numbers_and_flags_may_be_written_in_any_usual_way(read: Any) -> None:
    space = read(
        """
        trials: 0x10
        seed: 1e3
        checkpoint_every: .5m
        max_concurrent: +2
        search:
          pretrain.lr: {type: float, low: 1e-3, high: 1., log: on}
          pretrain.heads: {type: int, low: 1_0, high: 2_0, step: 0b101}
        """
    )
    assert (space.trials, space.seed, space.checkpoint_every_s, space.max_concurrent) == (16, 1000, 30.0, 2)
    assert (space.parameters[0].low, space.parameters[0].high, space.parameters[0].log) == (0.001, 1.0, True)
    assert list(space.parameters[1].values()) == [10, 15, 20]
