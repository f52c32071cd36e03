"""What a dry run says of memory and time: from the graph and a few epochs, as an estimate, or why there is none."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from licap.machine import Memory
from search.engine import forecast as forecasting
from search.engine.forecast import forecast
from search.engine.resources import SEARCH_BYTES, Machine
from search.run import main
from search.space import SearchSpace

SPACE = """\
config:
  data.synthetic: {num_nodes: 300, num_edges: 1200}
  pretrain: {max_epochs: 20, hidden: 2, heads: 2}
  downstream: {max_epochs: 60}
search:
  pretrain.lr: {type: float, low: 1e-3, high: 1e-2}
  downstream.input: {type: categorical, choices: [features, embeddings]}
start:
  - {downstream.input: features}
  - {downstream.input: embeddings}
trials: 9
"""


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, an epoch is waited for."""
    monkeypatch.setattr(forecasting, "_MEASURING_SECONDS", 600.0)


@dataclass(frozen=True)
class Told:
    lines: list[str]
    warnings: tuple[str, ...]


def of(*overrides: str) -> Told:
    """All that a dry run says."""
    found = forecast(SearchSpace.from_text(SPACE, source="small.yaml", overrides=overrides), ray_address=None)
    return Told(list(found.lines()), found.warnings)


def machine_with(monkeypatch: pytest.MonkeyPatch, gb: float) -> None:
    """Pretends that this machine has eight cores and so much memory for trials."""
    count = int(gb * 1e9) + SEARCH_BYTES
    monkeypatch.setattr(forecasting, "this_machine", lambda **_: Machine(8, 0, Memory(count, count)))


def test_memory_and_time_are_estimated_and_called_estimates(monkeypatch: pytest.MonkeyPatch) -> None:
    machine_with(monkeypatch, 100.0)
    found = of()
    memory, there, time, epoch = found.lines
    assert memory.startswith("Memory (estimate): a trial takes about 0.") and "300 nodes and 1,200 edges" in memory
    assert "cores 8" in there
    assert time.startswith("Time (estimate): about ") and "for 9 trials 8 at a time, up to " in time
    # The first starting point does not pretrain, so the second is measured.
    assert "in pretraining and" in epoch and "measured at starting point 2 with geni" in epoch
    assert found.warnings == ()


def test_a_grid_that_begins_without_pretraining_is_measured_with_it() -> None:
    text = SPACE[: SPACE.index("start:")].replace("embeddings]", "embeddings], default: features")
    found = forecast(SearchSpace.from_text(text, source="small.yaml"), ray_address=None)
    (epoch,) = (line for line in found.lines() if "An epoch takes" in line)
    assert "in pretraining and" in epoch and "measured at the usual values and downstream.input embeddings" in epoch


def test_fewer_slots_than_cores_are_a_warning_with_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    machine_with(monkeypatch, 1.2)
    found = of()
    assert len(found.warnings) == 1 and found.warnings[0].startswith("resources.cpus: 8 trials at a time do not fit")
    assert found.warnings[0].endswith("; 2 run at a time") and "9 trials 2 at a time" in found.lines[2]


def test_a_space_that_cannot_fit_ends_the_dry_run_with_2(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    monkeypatch.setattr(forecasting, "this_machine", lambda **_: Machine(8, 0, Memory(10**8, 10**8)))
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(SPACE, encoding="utf-8")
    assert main(["--space", "small.yaml", "--dry-run", "--study", "other"]) == 2
    shown = capsys.readouterr()
    assert "Study other" in shown.out and "error: resources: a trial takes about" in shown.err


def test_data_that_are_not_there_are_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (line,) = of("data.path=absent").lines
    assert line == "Memory and time are not estimated: absent: no such folder. Check data.path."


def test_a_trial_that_cannot_be_built_leaves_time_open() -> None:
    found = of("pretrain.bins.kind=quantile", "pretrain.bins.count=5000")
    assert found.lines[0].startswith("Memory (estimate)") and found.lines[-1].startswith("Time is not estimated: ")


def test_an_epoch_that_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGALRM)
    monkeypatch.setattr(forecasting, "_MEASURING_SECONDS", 0.5)
    found = of("downstream.model=mlp", "downstream.mlp.max_iterations=1000000", "downstream.mlp.hidden=5000")
    assert found.lines[-1].startswith("Time is not estimated: ") and "was not over within 0.5 s" in found.lines[-1]
    assert signal.getsignal(signal.SIGALRM) is before


def test_without_early_stopping_there_is_one_time_and_a_budget_bounds_it() -> None:
    assert "up to" not in of("pruner=none", "downstream.max_epochs=1000").lines[2]
    assert "time_budget ends it after 1 s" in of("time_budget=1").lines[2]


def test_a_gpu_is_not_estimated() -> None:
    (line,) = of("runtime.device=cuda").lines
    assert line.startswith("Memory and time are not estimated: resources.gpus")


def test_a_description_in_json_stays_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    machine_with(monkeypatch, 1.2)
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(SPACE, encoding="utf-8")
    assert main(["--space", "small.yaml", "--dry-run", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["trials"] == 9
    assert shown.err.startswith("warning: resources.cpus: 8 trials at a time do not fit into memory")
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]
