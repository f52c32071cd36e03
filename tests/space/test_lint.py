"""What a space file allows and hardly anybody means is remarked on with line, key and remedy, and refuses nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search.space import SearchSpace, describe

LR = "  pretrain.lr: {type: float, low: 1e-3, high: 1e-1, log: true}\n"
ONE = f"search:\n{LR}"
STAGES = "config: {pretrain.max_epochs: 20, downstream.max_epochs: 60}\n"


def remarks(space: SearchSpace) -> list[str]:
    """The notes that have a place, without the folder's name."""
    return [note.rpartition("/")[2] for note in space.notes if ".yaml:" in note or note.startswith("--set: ")]


@pytest.mark.parametrize(
    ("fixed", "searched", "words"),
    [
        ("downstream.input: features", "pretrain.imp_ratio: {type: float, low: 0.1, high: 0.3}", "downstream.input"),
        ("downstream.input: features", "pretrain.heads: {type: int, low: 1, high: 8}", "another than features"),
        ("downstream.input: untrained", "pretrain.lr: {type: float, low: 0.1, high: 0.3}", "is untrained"),
        ("pretrain.training: joint", "pretrain.patience: {type: int, low: 1, high: 9}", "pretrain.training is joint"),
        ("pretrain.encoder: gat", "pretrain.relation_dim: {type: int, low: 4, high: 8}", "be pregat"),
        ("pretrain.bins.kind: quantile", "pretrain.bins.length: {type: float, low: 0.3, high: 2.0}", "is quantile"),
        ("pretrain.bins.kind: length", "pretrain.bins.count: {type: int, low: 2, high: 8}", "equal-width or quantile"),
        ("pretrain.beta.kind: none", "pretrain.beta.scale: {type: float, low: 1.0, high: 8.0}", "be binomial"),
        ("pretrain.eta2: 0.0", "pretrain.beta.p: {type: float, low: 0.1, high: 0.5}", "pretrain.eta2 is 0.0"),
        ("pretrain.eta1: 0.0", "pretrain.nontop_ratio: {type: float, low: 2.0, high: 9.0}", "pretrain.eta1 be above 0"),
        ("downstream.model: mlp", "downstream.lr: {type: float, low: 0.1, high: 0.3}", "downstream.model is mlp"),
        ("data.features: semantic", "data.node2vec.dim: {type: int, low: 8, high: 64}", "data.features is semantic"),
        ("data.features: struct", "data.text.dim: {type: int, low: 8, high: 64}", "data.features is struct"),
        ("data.path: folder", "data.synthetic.noise: {type: float, low: 0.1, high: 0.5}", "let data.path be null"),
        ("pretrain.max_epochs: 30", "pretrain.patience: {type: int, low: 30, high: 90}", "a stage of 30"),
    ],
)
def test_a_parameter_without_effect_is_named(read: Any, fixed: str, searched: str, words: str) -> None:
    (line,) = remarks(read(f"config: {{{fixed}}}\npruner: none\nsearch:\n  {searched}\n"))
    name = searched.partition(":")[0]
    assert line.startswith(f"study.yaml:4: search.{name}: has no effect: ") and words in line, line


def test_a_parameter_is_judged_by_all_values_that_its_condition_lets_by(read: Any) -> None:
    text = """
        search:
          downstream.input: {type: categorical, choices: [features, untrained, embeddings]}
          pretrain.lr: {type: float, low: 0.1, high: 0.3, when: {downstream.input: [features, untrained]}}
          pretrain.heads: {type: int, low: 1, high: 8, when: {downstream.input: untrained}}
          pretrain.eta1: {type: float, low: 0.1, high: 0.3}
        """
    (line,) = remarks(read(text))
    assert line.startswith("study.yaml:4: search.pretrain.lr: has no effect: downstream.input is features or untrained")


def test_a_single_value_that_holds_anyway_is_named(read: Any) -> None:
    text = """
        search:
          pretrain.bins.kind: {type: categorical, choices: [length, quantile]}
          pretrain.bins.count: {type: categorical, choices: [5], when: {pretrain.bins.kind: quantile}}
        """
    (line,) = remarks(read(text))
    assert line.startswith("study.yaml:4: search.pretrain.bins.count: has no effect: its only value, 5, is what")
    assert remarks(read(text.replace("[5]", "[7]"))) == []


def test_what_the_command_line_switches_off_is_a_remark_and_no_refusal(read: Any) -> None:
    lines = remarks(
        read(f"search:\n{LR}  downstream.lr: {{type: float, low: 0.1, high: 0.3}}\n", "downstream.input=features")
    )
    assert len(lines) == 1 and lines[0].startswith("study.yaml:2: search.pretrain.lr: has no effect")


def test_an_option_of_a_model_that_is_never_proposed_is_refused(refusal: Any) -> None:
    lines = refusal(
        """
        search:
          downstream.model: {type: categorical, choices: [geni, gat]}
          downstream.gcn.hidden: {type: int, low: 8, high: 64}
        """
    )
    assert len(lines) == 1 and lines[0].startswith("study.yaml:4: search.downstream.gcn.hidden: has no effect:")
    assert "never gcn" in lines[0] and "with gcn among its values" in lines[0]


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        (
            "pretrain.lr: {type: float, low: 1e-4, high: 1e-2}",
            "factor of 100, and is drawn evenly: nine tries in ten lie above 0.00109. Add log: true.",
        ),
        (
            "pretrain.hidden: {type: int, low: 4, high: 512}",
            "factor of 128, and is drawn evenly: nine tries in ten lie above 54. Add log: true.",
        ),
        ("pretrain.hidden: {type: int, low: 4, high: 404, step: 4}", "Add log: true in place of step."),
        ("pretrain.lr: {type: float, low: 1e-4, high: 1e-2, log: true}", None),
        ("pretrain.lr: {type: float, low: 1e-3, high: 0.09}", None),
        ("pretrain.weight_decay: {type: float, low: 0.0, high: 1.0}", None),
        ("pretrain.sampling_seed: {type: int, low: 1, high: 1000}", None),
    ],
)
def test_a_range_of_decades_without_log_is_named(read: Any, declared: str, found: str | None) -> None:
    lines = remarks(read(f"search:\n  {declared}\n"))
    assert len(lines) == (found is not None)
    assert all(line.startswith("study.yaml:2: search.pretrain.") and str(found) in line for line in lines), lines


def test_a_grid_needs_its_steps_and_hears_nothing_of_log(read: Any) -> None:
    text = "sampler: grid\npruner: none\nsearch: {pretrain.hidden: {type: int, low: 4, high: 404, step: 100}}\n"
    assert remarks(read(text)) == []


@pytest.mark.parametrize(
    ("settings", "place", "words"),
    [
        (
            "trials: 2\n",
            "study.yaml:1: trials:",
            "asha stops nobody: there are 2 trials, and the first 2 at a rung go on",
        ),
        (
            "trials: 5\npruner: median\n",
            "study.yaml:1: trials:",
            "the first 5 at a rung go on. Raise trials, lower pruner.startup",
        ),
        (
            "trials: 4\npruner: hyperband\n",
            "study.yaml:1: trials:",
            "hyperband stops nobody: 2 of 4 trials are compared",
        ),
        ("pruner: {name: asha, grace: 57}\n", "study.yaml:1: pruner.grace:", "leaves 3 of 80 epochs to save"),
        (
            "pruner: {name: asha, grace: 30, stage: pretrain}\n",
            "study.yaml:1: pruner.grace:",
            "pretraining has 20 epochs",
        ),
    ],
)
def test_a_pruner_that_cannot_stop_is_named(read: Any, settings: str, place: str, words: str) -> None:
    (line,) = remarks(read(f"{settings}{STAGES}{ONE}"))
    assert line.startswith(place) and words in line, line


def test_models_that_are_fitted_in_one_step_meet_no_rung(read: Any) -> None:
    text = "search: {downstream.model: {type: categorical, choices: [mlp, random_forest]}}\npruner: asha\n"
    (line,) = remarks(read(text))
    assert line.startswith("study.yaml:2: pruner: asha stops nobody: mlp, random_forest are fitted in a single step")
    assert remarks(read(text.replace("[mlp,", "[gcn,"))) == []


def test_enough_trials_and_an_early_rung_are_no_remark(read: Any) -> None:
    for pruner, trials in (("asha", 3), ("median", 6), ("hyperband", 9), ("none", 1)):
        assert remarks(read(f"trials: {trials}\npruner: {pruner}\n{STAGES}{ONE}")) == []


def test_a_value_from_the_command_line_is_placed_there(read: Any) -> None:
    (line,) = remarks(read(ONE, "trials=1"))
    assert line.startswith("--set: trials: asha stops nobody")


def test_the_spaces_that_come_along_are_clean(repository: Path) -> None:
    for path in sorted((repository / "spaces").glob("*.yaml")):
        assert remarks(SearchSpace.load(path)) == [], path.name


def test_all_remarks_come_at_once_and_leave_the_exit_code_alone(read: Any) -> None:
    space = read(
        """
        trials: 2
        config: {downstream.input: features}
        search:
          pretrain.lr: {type: float, low: 1e-4, high: 1e-1}
          downstream.lr: {type: float, low: 1e-4, high: 1e-1}
        """
    )
    assert [line.split(": ")[1] for line in remarks(space)] == [
        "search.pretrain.lr", "search.pretrain.lr", "search.downstream.lr", "trials",
    ]  # fmt: skip
    text = describe(space)
    assert all(f"Note: {note}" in text for note in space.notes)
