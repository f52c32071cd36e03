"""Numbers beyond all use are refused by name, and what is merely huge is read without going through it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search.space import SearchSpace

LR = "  pretrain.lr: {type: float, low: 1e-3, high: 1e-1, log: true}"


@pytest.mark.parametrize(
    ("text", "begins", "holds"),
    [
        (
            "search: {pretrain.lr: {type: float, low: 0.001, high: 0.1, step: 1e-30}}\n",
            "search.pretrain.lr.step:",
            "small",
        ),
        (
            "search: {pretrain.eta1: {type: float, low: 0, high: 1e300, step: 1e-3}}\n",
            "search.pretrain.eta1.step:",
            "small",
        ),
        (f"search:\n{LR}\ntrials: 30000000000\n", "trials:", "at most 1000000000"),
        (f"search:\n{LR}\npruner: {{reduction: 1e300}}\n", "pruner.reduction:", "at most 1000000000"),
        (f"search:\n{LR}\nresources: {{cpus: 2000}}\n", "resources.cpus:", "at most 1024 (got 2000)"),
        (f"search:\n{LR}\ntime_budget: 1e308h\n", "time_budget:", "(got '1e308h')"),
    ],
)
def test_numbers_beyond_all_use_are_refused_by_name(refusal: Any, text: str, begins: str, holds: str) -> None:
    said = "\n".join(refusal(text))
    assert begins in said and holds in said


@pytest.mark.parametrize(
    "text",
    [
        "search: {seed: {type: int, low: 0, high: 4294967295}, split_seed: {type: int, low: 0, high: 4294967295}}\n"
        "sampler: grid\n",
        f"search:\n{LR}\ntrials: 1000000000\npruner: hyperband\n",
        f"search:\n{LR}\ntrials: 1000000000\n",
        "search: {pretrain.lr: {type: float, low: 0.001, high: 0.101, step: 1e-6}}\nsampler: grid\n"
        "start: [{pretrain.lr: 0.005}, {pretrain.lr: 0.0050000000000001}]\n",
    ],
    ids=["grid of all seeds", "hyperband", "asha", "fine steps"],
)
def test_a_huge_space_is_read_without_going_through_it(read: Any, text: str) -> None:
    space = read(text)
    assert SearchSpace.from_text(space.to_yaml(), source="again.yaml", overrides=["name=study"]) == space


def test_a_long_file_name_gives_a_name_that_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / f"{'y' * 120}.yaml"
    path.write_text(f"search:\n{LR}\n", encoding="utf-8")
    space = SearchSpace.load(path)
    assert space.name == "y" * 100
    assert SearchSpace.from_text(space.to_yaml(), source="again.yaml") == space
