"""Seeds and random states."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from licap.checkpoint import load_checkpoint, save_checkpoint
from licap.reproducibility import Randomness, seed_everything, set_threads, stage_seed


def numbers() -> list[float]:
    """Draws from each generator; normals too, as numpy and Python keep the second of a pair back."""
    return [
        random.random(),
        random.gauss(0, 1),
        float(np.random.random()),
        float(np.random.normal()),
        float(torch.rand(())),
        *torch.randn(3).tolist(),
    ]


def test_one_seed_gives_one_sequence_in_every_generator() -> None:
    seed_everything(5)
    first = numbers()
    seed_everything(5)
    assert numbers() == first
    seed_everything(6)
    assert all(a != b for a, b in zip(numbers(), first, strict=True))


def test_cudnn_is_made_deterministic() -> None:
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, True
    seed_everything(0)
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark


def test_dgl_is_seeded_only_where_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    monkeypatch.setitem(__import__("sys").modules, "dgl", types.SimpleNamespace(seed=seeds.append))
    seed_everything(9)
    assert seeds == [9]
    monkeypatch.delitem(__import__("sys").modules, "dgl")
    seed_everything(10)
    assert "dgl" not in __import__("sys").modules
    assert seeds == [9]


def test_randomness_gives_what_its_seed_gives() -> None:
    own = Randomness(3)
    with own.active():
        inside = numbers() + numbers()
    seed_everything(3)
    assert inside == numbers() + numbers()


def test_two_owners_do_not_disturb_each_other_or_the_program_around() -> None:
    seed_everything(0)
    expected_outside = numbers() + numbers()
    seed_everything(0)
    first, second = Randomness(1), Randomness(2)
    drawn: dict[int, list[float]] = {1: [], 2: []}
    outside = numbers()
    for _ in range(2):
        for name, own in ((1, first), (2, second)):
            with own.active():
                drawn[name] += numbers()
    outside += numbers()
    assert outside == expected_outside
    for name in (1, 2):
        with Randomness(name).active():
            assert drawn[name] == numbers() + numbers()


def test_generators_are_put_back_after_an_error() -> None:
    own = Randomness(1)
    seed_everything(0)
    expected = numbers()
    seed_everything(0)
    with pytest.raises(KeyError), own.active():
        numbers()
        raise KeyError
    assert numbers() == expected
    with own.active():
        continued = numbers()
    with Randomness(1).active():
        numbers()
        assert numbers() == continued


def test_a_state_read_from_a_file_goes_on_where_it_was(tmp_path: Path) -> None:
    own = Randomness(4)
    with own.active():
        numbers()
        random.gauss(0, 1), np.random.normal()
    save_checkpoint(tmp_path / "a.pt", own.state_dict())
    with own.active():
        expected = numbers()
    restored = Randomness(99)
    restored.load_state_dict(load_checkpoint(tmp_path / "a.pt"))
    with restored.active():
        assert numbers() == expected


def test_a_state_does_not_move_with_its_owner() -> None:
    own = Randomness(4)
    state = own.state_dict()
    with own.active():
        expected = numbers()
    own.load_state_dict(state)
    with own.active():
        assert numbers() == expected


def test_a_foreign_state_changes_nothing() -> None:
    own = Randomness(4)
    with pytest.raises(ValueError, match="random state"):
        own.load_state_dict({"seed": 1})
    with own.active():
        inside = numbers()
    seed_everything(4)
    assert numbers() == inside


def test_stages_and_seeds_get_unrelated_seeds() -> None:
    found = {stage_seed(seed, stage) for seed in range(200) for stage in ("pretrain", "downstream")}
    assert len(found) == 400
    assert all(0 <= seed < 2**32 for seed in found)


@pytest.mark.parametrize(
    ("seed", "stage", "expected"),
    [
        (0, "pretrain", 3906634297),
        (0, "downstream", 3004594418),
        (7, "pretrain", 3392483619),
        (2**32 - 1, "downstream", 2210002647),
    ],
)
def test_a_stages_seed_stays_what_it_is(seed: int, stage: str, expected: int) -> None:
    # Another value would change every result.
    assert stage_seed(seed, stage) == expected


def test_threads_are_set_and_set_back() -> None:
    before = torch.get_num_threads()
    set_threads(None)
    at_start = torch.get_num_threads()
    set_threads(3)
    assert torch.get_num_threads() == 3
    set_threads(None)
    assert torch.get_num_threads() == at_start
    set_threads(before)


AT_TORCH = """
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("GOMP_SPINCOUNT"), flush=True)
            os._exit(0)

sys.meta_path.insert(0, Watch())
import {module}
"""


@pytest.mark.parametrize("module", ["licap.trial", "search.engine.actor", "benchmarks.epoch"])
@pytest.mark.parametrize(
    ("chosen", "expected"),
    [({}, "3000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
    ids=lambda value: str(value),
)
def test_how_threads_wait_is_settled_before_torch_is_loaded(
    module: str, chosen: dict[str, str], expected: str, repository: Path
) -> None:
    own = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    words = [sys.executable, "-c", AT_TORCH.format(module=module)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=repository, env=own | chosen)
    assert done.stdout.split() == [expected]
