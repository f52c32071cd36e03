"""Slots lie on one machine each, and what no machine can hold is refused with what there is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from licap.errors import ConfigError
from licap.machine import Memory
from search.engine.resources import (
    SEARCH_BYTES,
    Machine,
    check_memory,
    check_resources,
    memory_words,
    num_slots,
)
from search.space import SearchSpace
from search.space.memory import Span

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


def test_a_refusal_names_the_quota_that_leaves_fewer_cores() -> None:
    with pytest.raises(ConfigError, match=r"resources\.cpus: 4 asked .* there has 2 \(a CPU quota of 2\.5 for the"):
        check_resources(space("resources.cpus=4"), [Machine(2, 0, cpu_quota=2.5)], where="there")
    check_resources(space("resources.cpus=2"), [Machine(2, 0, cpu_quota=2.5)], where="there")


def with_memory(gb: float, cpus: int = 8) -> Machine:
    """A machine with so much memory beside what the search itself takes, all of it free."""
    count = int(gb * 1e9) + SEARCH_BYTES
    return Machine(cpus, 0, Memory(count, count))


@pytest.mark.parametrize(
    ("gb", "trial_gb", "slots"),
    [(8.0, 1.0, 8), (5.9, 1.0, 5), (100.0, 1.0, 8), (1.0, 2.0, 1)],
)
def test_slots_are_what_cores_and_memory_hold(gb: float, trial_gb: float, slots: int) -> None:
    wanted = space().resources
    assert num_slots(wanted, [with_memory(gb)], None, int(trial_gb * 1e9)) == slots
    assert num_slots(wanted, [with_memory(gb), with_memory(gb)], None, int(trial_gb * 1e9)) == 2 * slots
    assert num_slots(wanted, [Machine(8, 0)], None, int(trial_gb * 1e9)) == 8


def test_what_memory_does_not_hold_is_said_with_the_number_that_it_does() -> None:
    span = Span(int(0.5e9), int(1e9))
    assert memory_words(space(), span, with_memory(8.0)) is None
    assert memory_words(space(), span, Machine(8, 0)) is None
    words = memory_words(space(), span, with_memory(3.5))
    assert words is not None and words.startswith("resources.cpus: 8 trials at a time do not fit into memory")
    assert "up to about 1.0 GB" in words and words.endswith("4.8 GB are free; 3 run at a time")
    words = memory_words(space("max_concurrent=5"), span, with_memory(3.5))
    assert words is not None and words.startswith("max_concurrent: 5 trials") and words.endswith("; 3 run at a time")
    assert memory_words(space("max_concurrent=3"), span, with_memory(3.5)) is None


def test_a_trial_that_may_not_fit_alone_is_tried_and_said() -> None:
    words = memory_words(space(), Span(int(2e9), int(4e9)), with_memory(3.0))
    assert words is not None and words.endswith("; 1 runs at a time")
    check_memory(Span(int(2e9), int(4e9)), with_memory(3.0), where="there")


def test_a_space_whose_smallest_trial_cannot_fit_is_refused() -> None:
    with pytest.raises(ConfigError) as refusal:
        check_memory(Span(int(20e9), int(40e9)), with_memory(8.0), where="there")
    assert all(
        word in str(refusal.value) for word in ["resources: a trial takes about 20 GB", "there has 9.3 GB", "Lower"]
    )


THIS_MACHINE = """\
import os
from search.engine.resources import this_machine
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
machine = this_machine(look_for_gpus=False)
print(machine.cpus, machine.gpus, machine.memory.total, machine.memory.free)
"""


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="memory is what Linux says")
def test_this_machine_has_the_cores_and_memory_that_a_process_may_use() -> None:
    done = subprocess.run([sys.executable, "-c", THIS_MACHINE], capture_output=True, text=True, check=True)
    cpus, gpus, total, free = map(int, done.stdout.split())
    stated = int(Path("/proc/meminfo").read_text(encoding="ascii").split()[1]) * 1024
    # Whatever a container may have, Python and the libraries are loaded in it.
    assert (cpus, gpus) == (1, 0) and 50e6 < free < total <= stated
