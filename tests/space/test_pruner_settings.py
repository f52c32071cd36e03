"""Pruners and samplers in a space file: where they compare, what they are estimated to cost, what is remarked on."""

from __future__ import annotations

from typing import Any

import pytest

from search.space import SearchSpace, describe
from search.space.estimate import estimate

ONE = "search: {pretrain.lr: {type: float, low: 1e-3, high: 1e-1, log: true}}\n"
STAGES = "config: {pretrain.max_epochs: 20, downstream.max_epochs: 60}\n"


@pytest.mark.parametrize(
    ("pruner", "stops"),
    [
        ("{name: hyperband, grace: 10}", (30, 50)),
        ("{name: hyperband, grace: 10, stage: pretrain}", (10, 30)),
        ("{name: median, grace: 10}", (30,)),
        ("median", (25,)),
    ],
)
def test_where_a_pruner_begins_to_compare(read: Any, pruner: str, stops: tuple[int, ...]) -> None:
    assert read(f"{STAGES}pruner: {pruner}\n{ONE}").rungs() == stops


def test_the_estimate_of_hyperband_adds_up_its_brackets(read: Any) -> None:
    cost = estimate(read(f"trials: 17\n{STAGES}pruner: {{name: hyperband, grace: 10}}\n{ONE}"))
    # 9 trials are compared from the first rung on, 5 from the second, 3 never.
    assert cost.reaching == (17, 3 + 5 + 3, 1 + 2 + 3)
    assert cost.expected == 17 * 30 + 11 * 20 + 6 * 30


def test_the_estimate_of_median_halves_the_trials(read: Any) -> None:
    cost = estimate(read(f"trials: 9\n{STAGES}pruner: {{name: median, grace: 10}}\n{ONE}"))
    assert cost.reaching == (9, 5) and cost.expected == 9 * 30 + 5 * 50


@pytest.mark.parametrize(
    ("pruner", "words"),
    [
        ("{name: asha, grace: 10}", ["the best 1/3 go on at epochs 30, 50 of 80", "every rung keeps its best 1/3"]),
        ("{name: hyperband, grace: 10}", ["30, 50 of 80 (compared: 9 from 30 on, 5 from 50 on, 3 never)"]),
        (
            "{name: median, grace: 10, startup: 4}",
            ["median: from epoch 30 of 80 on, who does worse than half of 4 or more others", "half of the trials stop"],
        ),
        ("none", ["pruner      none"]),
    ],
)
def test_the_description_says_who_is_stopped_where(read: Any, pruner: str, words: list[str]) -> None:
    text = describe(read(f"trials: 17\n{STAGES}pruner: {pruner}\n{ONE}"))
    assert [each for each in words if each not in text] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sampler: {name: gp, startup: 20}\ntrials: 20\n", "All 20 trials are random: gp takes over after 20"),
        ("sampler: gp\n", "gp learns from complete trials only, and asha stops many"),
        ("sampler: cmaes\npruner: median\n", "cmaes learns from complete trials only, and median stops many"),
    ],
)
def test_what_a_sampler_does_not_learn_is_remarked_on(read: Any, text: str, words: str) -> None:
    assert any(words in note for note in read(text + ONE).notes)


def test_a_sampler_of_complete_trials_is_no_matter_where_all_complete(read: Any) -> None:
    assert not any("complete trials" in note for note in read(f"sampler: gp\npruner: none\n{ONE}").notes)


def test_gp_names_what_it_leaves_to_chance(read: Any) -> None:
    space = read(
        """
        sampler: gp
        search:
          pretrain.bins.kind: {type: categorical, choices: [length, quantile]}
          pretrain.bins.count: {type: int, low: 2, high: 8, when: {pretrain.bins.kind: quantile}}
        """
    )
    assert any(note.endswith("drawn independently: pretrain.bins.count.") for note in space.notes)


@pytest.mark.parametrize("name", ["asha", "hyperband", "median", "none"])
def test_a_pruner_is_written_down_whole(read: Any, name: str) -> None:
    space = read(f"pruner: {{name: {name}, grace: 7, reduction: 2, startup: 3}}\n{ONE}")
    assert SearchSpace.from_text(space.to_yaml(), source="study.yaml") == space


def test_median_has_no_place_in_pretraining(refusal: Any) -> None:
    lines = refusal(f"{ONE}pruner: {{name: median, stage: pretrain}}\n")
    assert len(lines) == 1 and lines[0].startswith("study.yaml:2: pruner.stage:") and "take asha" in lines[0]


@pytest.mark.parametrize("name", ["hyperband", "median"])
def test_a_grace_beyond_the_end_is_refused(refusal: Any, name: str) -> None:
    lines = refusal(f"{ONE}pruner: {{name: {name}, grace: 400}}\n")
    assert len(lines) == 1 and "stage of 400 epochs" in lines[0]
