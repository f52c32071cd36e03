"""Slots lie on one machine each, and what no machine can hold is refused with what there is."""

from __future__ import annotations

import pytest

from licap.errors import ConfigError
from search.engine.resources import Machine, check_resources, num_slots
from search.space import SearchSpace

SPACE = "search:\n  pretrain.lr: {type: float, low: 1e-3, high: 1e-2}\n"
ONE_GPU = ("resources.gpus=1", "runtime.device=cuda")


def space(*overrides: str) -> SearchSpace:
    """A space with some settings."""
    return SearchSpace.from_text(SPACE, source="small.yaml", overrides=overrides)


@pytest.mark.parametrize(
    ("cpus", "gpus", "machines", "slots"),
    [
        (1, 0, [Machine(8, 0)], 8),
        (0.5, 0, [Machine(2, 0)], 4),
        (0.1, 0, [Machine(1, 0)], 10),
        (1, 0.5, [Machine(8, 1)], 2),
        (3, 0, [Machine(4, 0), Machine(4, 0)], 2),
        (1, 1, [Machine(8, 0), Machine(8, 2)], 2),
    ],
)
def test_slots_are_counted_on_each_machine(cpus: float, gpus: float, machines: list[Machine], slots: int) -> None:
    wanted = space(f"resources.cpus={cpus}", f"resources.gpus={gpus}").resources
    assert num_slots(wanted, machines, None) == slots
    assert num_slots(wanted, machines, 1) == 1


@pytest.mark.parametrize(
    ("settings", "machines", "words"),
    [
        (["resources.cpus=4"], [Machine(3, 0), Machine(3, 0)], ["resources.cpus: 4", "there has 3"]),
        (["resources.gpus=2", "runtime.device=cuda"], [Machine(8, 1)], ["resources.gpus: 2", "there has 1"]),
        (["resources.cpus=4", *ONE_GPU], [Machine(8, 0), Machine(2, 1)], ["no machine with both"]),
        (["resources.gpus=1.5", "runtime.device=cuda"], [Machine(8, 4)], ["whole"]),
        (["resources.gpus=1"], [Machine(8, 4)], ["runtime.device is cpu"]),
        (["runtime.device=cuda"], [Machine(8, 4)], ["resources.gpus: 0"]),
    ],
)  # fmt: skip
def test_what_no_machine_can_hold_is_refused(settings: list[str], machines: list[Machine], words: list[str]) -> None:
    with pytest.raises(ConfigError) as refusal:
        check_resources(space(*settings), machines, where="there")
    assert all(word in str(refusal.value) for word in words)
