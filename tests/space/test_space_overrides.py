"""`--set` on a space: a name of the trial config is fixed, any other name is a key of the file."""

from __future__ import annotations

from typing import Any

import pytest

from search.space import SearchSpace

TEXT = """\
trials: 20
sampler: {name: tpe, startup: 5}
pruner: asha
config: {downstream.max_epochs: 60, pretrain.max_epochs: 20}
search:
  pretrain.lr: {type: float, low: 1e-3, high: 1e-2, log: true}
  pretrain.bins.kind: {type: categorical, choices: [length, quantile]}
  pretrain.bins.count: {type: int, low: 2, high: 8, when: {pretrain.bins.kind: quantile}}
  pretrain.beta.p: {type: float, low: 0.1, high: 0.5, when: {pretrain.bins.count: [2, 3]}}
start:
  - {pretrain.bins.kind: quantile, pretrain.bins.count: 3, pretrain.beta.p: 0.2}
"""


def names(space: SearchSpace) -> list[str]:
    return [parameter.name for parameter in space.parameters]


def test_a_fixed_value_leaves_search_and_starting_points(read: Any) -> None:
    space = read(TEXT, "pretrain.bins.count=3", "pretrain.lr=0.5")
    assert names(space) == ["pretrain.bins.kind", "pretrain.beta.p"]
    assert space.starting_points == ({"pretrain.bins.kind": "quantile", "pretrain.beta.p": 0.2},)
    assert space.config_for({}).pretrain.lr == 0.5


def test_conditions_are_judged_by_the_fixed_value(read: Any) -> None:
    kept = read(TEXT, "pretrain.bins.kind=quantile")
    assert names(kept) == ["pretrain.lr", "pretrain.bins.count", "pretrain.beta.p"]
    assert kept.parameters[1].when == {}
    dropped = read(TEXT, "pretrain.bins.kind=length")
    assert names(dropped) == ["pretrain.lr"]
    assert dropped.starting_points == ({"pretrain.lr": 0.005},)
    assert any("pretrain.beta.p is not searched" in note for note in dropped.notes)


@pytest.mark.parametrize(
    "words", [["pretrain.bins.kind=length"], ["pretrain.bins.count=3"], ["search.pretrain.lr.high=1"]]
)
def test_an_overridden_space_reads_back_equal(read: Any, words: list[str]) -> None:
    space = read(TEXT, *words)
    assert SearchSpace.from_text(space.to_yaml(), source="again.yaml") == space


def test_any_other_name_is_a_key_of_the_file(read: Any) -> None:
    space = read(
        TEXT,
        *("trials=4", "pruner.grace=5", "sampler=random", "search.pretrain.lr.high=0.1", "resources.cpus=2"),
        *("time_budget=2m", "name=other", "metric=RMSE"),
    )
    assert (space.trials, space.pruner.grace, space.pruner.name, space.sampler.name) == (4, 5, "asha", "random")
    assert (space.parameters[0].high, space.resources.cpus, space.time_budget_s) == (0.1, 2.0, 120.0)
    assert (space.name, space.metric.name) == ("other", "rmse")


def test_seed_is_the_studys_and_config_seed_the_trials(read: Any) -> None:
    space = read(TEXT, "seed=3", "config.seed=4", "fold=2")
    assert (space.seed, space.base["seed"], space.base["fold"]) == (3, 4, 2)


def test_a_whole_parameter_can_be_added(read: Any) -> None:
    space = read(TEXT, "search.pretrain.heads={type: int, low: 1, high: 9}")
    assert "pretrain.heads" in names(space)


def test_a_fixed_stage_length_mends_a_search_of_it(read: Any) -> None:
    searched = TEXT.replace("config: {downstream.max_epochs: 60, ", "config: {").replace(
        "search:\n", "search:\n  downstream.max_epochs: {type: int, low: 50, high: 90, default: 60}\n"
    )
    assert read(searched, "pruner=none").max_budget == 110
    assert read(searched, "downstream.max_epochs=70").max_budget == 90


@pytest.mark.parametrize(
    ("word", "begins", "holds"),
    [
        ("pretrain.lrr=1", "--set: pretrain.lrr:", "did you mean pretrain.lr?"),
        ("pretrain.learning_rate=1", "--set: pretrain.learning_rate:", "did you mean pretrain.lr?"),
        ("n_trials=4", "--set: n_trials:", "did you mean trials?"),
        ("batch_size=4", "--set: batch_size:", "there are no batches"),
        ("trails=4", "--set: trails:", "did you mean trials?"),
        ("pretrain=4", "--set: pretrain:", "pretrain.encoder"),
        ("pretrain.lr=fast", "--set: pretrain.lr:", "(got 'fast')"),
        ("trials=many", "--set: trials:", "(got 'many')"),
        ("pruner.grace=100", "--set: pruner.grace:", "no rung"),
        ("search.pretrain.lr.hgh=1", "--set: search.pretrain.lr.hgh:", "did you mean high?"),
        ("search.pretrain.lr.high=1e-4", "--set: search.pretrain.lr.high:", "Swap them"),
        ("search.pretrain.heads.low=1", "--set: search.pretrain.heads.low:", "pretrain.heads is not searched"),
        ("search.pretrain.lrr.low=1", "--set: search.pretrain.lrr.low:", "did you mean search.pretrain.lr.low?"),
        ("downstream.patience", "--set downstream.patience:", "key=value"),
        ("=3", "--set =3:", "key=value"),
    ],
)
def test_a_word_that_fits_nowhere_is_refused(refusal: Any, word: str, begins: str, holds: str) -> None:
    (line,) = refusal(TEXT, word)
    assert line.startswith(begins) and holds in line, line


def test_a_value_that_breaks_a_rule_is_blamed_on_the_command_line(refusal: Any) -> None:
    (line,) = refusal(TEXT, "pretrain.beta.p=0.7")
    assert line.startswith("--set: pretrain.beta.p:") and "allow_unordered" in line


def test_a_narrowed_range_refuses_the_starting_points_outside(refusal: Any) -> None:
    (line,) = refusal(TEXT, "search.pretrain.beta.p.low=0.3")
    assert line.startswith("study.yaml:11: start[0].pretrain.beta.p:") and "0.2 lies outside" in line


def test_fixing_everything_leaves_nothing_to_search(refusal: Any) -> None:
    fixed = ["pretrain.lr=1", "pretrain.bins.kind=length", "pretrain.bins.count=2", "pretrain.beta.p=0.2"]
    (line,) = refusal(TEXT, *fixed)
    assert line.startswith("--set:") and "fixes all there is to search" in line
