"""The `folds` key: which folds a trial may train, and when it is compared for the next one."""

from __future__ import annotations

from typing import Any

import pytest

from search.space import SearchSpace, describe
from search.space.estimate import estimate

TEXT = """\
config: {pretrain: {max_epochs: 10}, downstream: {max_epochs: 30}}
search:
  downstream.lr: {type: float, low: 1e-3, high: 1e-1, log: true}
pruner: {name: asha, grace: 10, reduction: 3}
trials: 9
"""


def test_folds_stand_above_the_rungs_of_the_first(read: Any) -> None:
    space = read(TEXT + "folds: [2, 0, 1]\n")
    assert space.folds == (2, 0, 1)
    assert space.base["fold"] == 2
    assert space.rungs() == (20,)
    assert space.fold_rungs() == (41, 81)
    assert space.max_budget == 120
    assert SearchSpace.from_text(space.to_yaml(), source="study.yaml") == space
    assert "2, then 0, 1, for the best 1/3 each time" in describe(space)


def test_without_the_key_the_config_names_the_fold(read: Any) -> None:
    space = read(TEXT + "folds: null\n", "fold=3")
    assert (space.folds, space.base["fold"], space.fold_rungs(), space.max_budget) == ((), 3, (), 40)
    assert read(TEXT, "folds=[1, 4]").folds == (1, 4)


def test_without_a_pruner_every_trial_trains_all_folds(read: Any) -> None:
    space = read(TEXT + "folds: [0, 1]\n", "pruner=none")
    assert space.fold_rungs() == ()
    assert estimate(space).full == estimate(space).expected == 9 * 2 * 40
    assert "all of them in every trial" in describe(space)


def test_the_cost_counts_only_folds_that_are_earned(read: Any) -> None:
    cost = estimate(read(TEXT + "folds: [0, 1, 2]\n"))
    assert cost.full == 9 * 3 * 40
    assert cost.reaching == (9, 3, 1, 1)
    # To the rung, to the first report of the second fold, of the third, and to its end; pretraining in each.
    assert cost.expected == 9 * 20 + 3 * 21 + 40 + 39
    assert cost.pretraining == 9 * 10 + 3 * 1 + 10 + 9


@pytest.mark.parametrize(
    ("folds", "words"),
    [
        ("[]", "must be a list of folds"),
        ("3", "must be a list of folds"),
        ("[0, 5]", "at most 4 (got 5)"),
        ("[0, x]", "(got 'x')"),
        ("[1, 1]", "names a fold twice"),
    ],
)
def test_what_is_no_list_of_folds_is_refused_with_its_line(refusal: Any, folds: str, words: str) -> None:
    [line] = refusal(TEXT + f"folds: {folds}\n")
    assert line.startswith("study.yaml:6: folds:")
    assert words in line


def test_numbers_are_read_as_elsewhere(read: Any) -> None:
    assert read(TEXT + "folds: [2.0, '0', 1]\n").folds == (2, 0, 1)


@pytest.mark.parametrize("stage", ["pretrain", "downstream"])
def test_stages_of_searched_length_are_refused_with_several_folds(read: Any, refusal: Any, stage: str) -> None:
    lengths = f"{stage}.max_epochs: {{type: categorical, choices: [5, 9]}}"
    text = f"search:\n  {lengths}\npruner: none\nfolds: [0, 1]\n"
    [line] = refusal(text)
    assert line.startswith("study.yaml:4: folds:") and f"{stage}.max_epochs is searched" in line
    assert read(text, "folds=[1]").folds == (1,)


def test_a_fold_that_is_fixed_or_searched_as_well_is_refused(refusal: Any) -> None:
    [line] = refusal(TEXT.replace("config: {", "config: {fold: 1, ") + "folds: [0, 1]\n")
    assert line.startswith("study.yaml:6: folds:") and "fold is fixed on line 1" in line
    searched = TEXT.replace("pruner:", "  fold: {type: categorical, choices: [0, 1]}\npruner:")
    [line] = refusal(searched + "folds: [0, 1]\n")
    assert line.startswith("study.yaml:7: folds:") and "fold is searched" in line
    [line] = refusal(TEXT + "folds: [0, 1]\n", "fold=2")
    assert "fold is fixed on the command line" in line
