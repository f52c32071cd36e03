"""Each class of failure through a real trial in a real search, and what is told apart without one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest_tools import SMALL_HEAD, Workplace, make_workplace
from test_main_job import runs_of, trials_of
from trial_cases import tiny_config, tiny_dataset

from licap.config import DataConfig
from licap.datasets.dataset import Dataset
from licap.errors import ConfigError, DataError, DeviceError, DivergedError, LicapError, OutOfMemoryError, StoreError
from search.engine.actor import ASSIGNMENT, RESULT, TrialActor, failure_of
from search.engine.crashes import failure_of_crash, kernel_kills
from search.engine.messages import TIMED_OUT, Assignment, StepResult
from search.study import FAILURES, Study, StudyEnded

SPACE = (
    SMALL_HEAD
    + """\
  pretrain: {max_epochs: 4, heads: 2, hidden: 4, out_dim: 8}
  downstream: {max_epochs: 6, model: geni, input: embeddings}
search:
  seed: {type: categorical, choices: [0, 1, 2, 3, 4]}
  downstream.lr: {type: categorical, choices: [5e-3, 1e30]}
  runtime.device: {type: categorical, choices: [cpu, "cuda:99"]}
  data.path: {type: categorical, choices: [null, absent]}
start: [START]
sampler: random
pruner: none
max_failures: 0
report_every: 2
"""
)
# What goes wrong in the first search, in this order; None: nothing.
STARTS: Mapping[str, str | None] = {
    "{downstream.lr: 1e30}": "diverged",
    '{runtime.device: "cuda:99"}': "invalid-config",
    "{data.path: absent}": "data",
    "{seed: 1}": "oom",
    "{seed: 2}": "crashed",
    "{}": None,
}
# Gives trials faults by their seed, in every Python that is started with this on its path.
FAULTS = """\
import sys
from importlib.machinery import PathFinder

def spoil(module):
    import time, torch
    step = module.Trial.__next__
    def spoilt(trial):
        if trial.config.seed == 1:
            torch.empty(2**50)
        elif trial.config.seed == 2:
            raise ValueError("a fault of the program")
        elif trial.config.seed == 3:
            time.sleep(2.5)
        elif trial.config.seed == 4:
            time.sleep(1000)
        return step(trial)
    module.Trial.__next__ = spoilt

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "licap.trial":
            return None
        spec = PathFinder.find_spec(name, path, target)
        load = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (load(module), spoil(module))
        return spec

sys.meta_path.insert(0, Finder)
"""


@dataclass(frozen=True)
class Ran:
    """A search that has ended."""

    place: Workplace
    done: subprocess.CompletedProcess[str]

    @property
    def result(self) -> dict[str, Any]:
        """What it printed."""
        return dict(json.loads(self.done.stdout))


def run(place: Workplace, starts: list[str], *words: str) -> Ran:
    """Runs a search whose trials have faults."""
    place.write("sitecustomize.py", FAULTS)
    place.write("faults.yaml", SPACE.replace("START", ", ".join(starts)))
    command = ("search/run.py", "--space", "faults.yaml", "--json", *words)
    return Ran(place, place.run(*command, env={"PYTHONPATH": str(place.folder)}))


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Mapping[str, Ran]:
    """Two searches at the same time: one with all faults that come by themselves, one whose trials take too long."""
    slow, mixed = (make_workplace(tmp_path_factory.mktemp(name), empty_database) for name in ("slow", "mixed"))
    with ThreadPoolExecutor(2) as pool:
        late = pool.submit(
            run, slow, ["{seed: 3}", "{seed: 4}", "{}"], "--trials", "6", "--max-concurrent", "1",
            "--set", "trial_timeout=2s", "--set", "stop_after_failures=2",
        )  # fmt: skip
        faults = pool.submit(run, mixed, list(STARTS), "--trials", str(len(STARTS)), "--max-concurrent", "1")
        return {"slow": late.result(), "mixed": faults.result()}


def test_each_fault_has_its_class_in_record_result_and_store_and_the_study_goes_on(searches: Mapping[str, Ran]) -> None:
    search = searches["mixed"]
    assert search.done.returncode == 0, search.done.stderr
    trials = trials_of(search.place)
    assert [trial.failure for trial in trials] == list(STARTS.values())
    assert trials[-1].state == "complete"
    assert {row["trial"]: row["failure"] for row in search.result["trials"]} == {t.number: t.failure for t in trials}
    tags = {int(each.data.tags["trial"]): each.data.tags.get("failure") for each in runs_of(search.place, "trial")}
    assert tags == {trial.number: trial.failure for trial in trials}
    assert "more memory" in trials[3].message and trials[4].message == "ValueError: a fault of the program"


def test_a_trial_that_takes_too_long_fails_and_one_that_hangs_too(searches: Mapping[str, Ran]) -> None:
    slow, hung = trials_of(searches["slow"].place)[:2]
    assert (slow.state, slow.failure) == (hung.state, hung.failure) == ("failed", "timeout")
    assert hung.budget == 0


def test_a_trial_whose_time_is_over_ends_with_the_epoch(tmp_path: Path) -> None:
    config = tiny_config({"pretrain.max_epochs": 2, "downstream.max_epochs": 3})

    def last_result(report_every: int, time_left_s: float | None) -> StepResult:
        actor = TrialActor.__new__(TrialActor)
        assignment = Assignment(0, config, (0,), report_every, tmp_path / "0.pt", 1e9, time_left_s=time_left_s)
        actor.setup({ASSIGNMENT: assignment}, {config.data: tiny_dataset()})
        result = actor.step()[RESULT]
        assert isinstance(result, StepResult)
        return result

    over = last_result(3, 0.0)
    assert (len(over.reports), over.finished, over.failure) == (1, True, TIMED_OUT)
    assert last_result(9, None).failure is None
    # A trial at its own end is not too late.
    config = config.with_values({"downstream.input": "features", "downstream.max_epochs": 1})
    assert last_result(1, 0.0).failure is None


def test_memory_that_cannot_be_had_while_a_trial_begins_ends_that_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_dataset(config: DataConfig) -> Dataset:
        raise MemoryError

    monkeypatch.setattr("search.engine.actor.load_dataset", load_dataset)
    actor = TrialActor.__new__(TrialActor)
    actor.setup({ASSIGNMENT: Assignment(0, tiny_config(), (0,), 1, tmp_path / "0.pt", 1e9)})
    result = actor.step()
    assert result["done"] and result[RESULT].failure.kind == "oom"


def test_a_study_whose_first_trials_fail_alike_ends_early_and_says_so(searches: Mapping[str, Ran]) -> None:
    search = searches["slow"]
    assert search.done.returncode == 1, search.done.stderr
    assert search.result["stop_reason"] == "failures"
    [error] = [line for line in search.done.stderr.splitlines() if line.startswith("error:")]
    assert "first 2 trials all failed (timeout)" in error and "trial_timeout" in error and "--resume" in error
    study = Study.open(search.place.folder / "mlruns", "small")
    assert isinstance(end := study.events[-1], StudyEnded) and end.reason == "failures"
    assert len(study.trials()) < 6 and {t.state for t in study.trials()[2:]} <= {"interrupted"}
    assert [each.info.status for each in runs_of(search.place, "study")] == ["FAILED"]


@pytest.mark.long
def test_it_goes_on_once_it_is_mended(searches: Mapping[str, Ran]) -> None:
    place = searches["slow"].place
    done = place.run("search/run.py", "--resume", "--set", "trial_timeout=null", "--trials", "3")
    assert done.returncode == 0, done.stderr
    assert [trial.failure for trial in trials_of(place)] == ["timeout", "timeout", None]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OutOfMemoryError("much"), "oom"),
        (DivergedError("pretrain", 3, "loss"), "diverged"),
        (ConfigError("bad"), "invalid-config"),
        (DeviceError("absent"), "invalid-config"),
        (DataError("bad"), "data"),
        # No fault of the trial's values, so the sampler must not learn from it.
        (StoreError("disk full"), "crashed"),
    ],
)
def test_what_a_trial_raises_has_a_class(error: LicapError, kind: str) -> None:
    assert failure_of(error).kind == kind and kind in FAILURES


RAISED = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n{}\n'


@pytest.mark.parametrize(
    ("details", "killed", "kind"),
    [
        ("", False, "crashed"),
        ("", True, "oom"),
        # Ray names memory as one guess among others.
        ("Some common causes include: (1) the process was killed by the OOM killer", False, "crashed"),
        ("Task was killed due to the node running low on memory.", False, "oom"),
        (RAISED.format("MemoryError"), False, "oom"),
        (RAISED.format("torch.OutOfMemoryError: CUDA out of memory."), False, "oom"),
        (RAISED.format("numpy._core._exceptions._ArrayMemoryError: Unable to allocate 9 TiB"), False, "oom"),
        (RAISED.format("RuntimeError: DefaultCPUAllocator: can't allocate memory: 9"), False, "oom"),
        # A fault of the program stays one, whatever else was killed meanwhile.
        (RAISED.format("ValueError: one"), True, "crashed"),
    ],
)
def test_a_crash_for_want_of_memory_is_told_apart_where_it_can_be(details: str, killed: bool, kind: str) -> None:
    assert failure_of_crash(details, killed_for_memory=killed).kind == kind


def test_the_kernel_is_asked_where_it_says_how_often_it_killed(tmp_path: Path) -> None:
    silent, counting = tmp_path / "memory.max", tmp_path / "memory.events"
    silent.write_text("max\n", encoding="utf-8")
    counting.write_text("low 0\noom 4\noom_kill 3\noom_group_kill 1\n", encoding="utf-8")
    assert kernel_kills([tmp_path / "absent", silent, counting]) == 3
    assert kernel_kills([silent]) == 0
    assert kernel_kills() >= 0


HANGS = """\
from search.engine.deadline import Deadline
import ctypes, time
with Deadline.after(seconds).enforced(grace_s=0.2):
    time.sleep(0.01) if seconds > 100 else ctypes.PyDLL(None).sleep(100)
print("alive")
"""


@pytest.mark.parametrize(("seconds", "alive"), [(1000.0, True), (0.1, False), (-5.0, False)])
def test_a_process_that_hangs_beyond_the_deadline_is_ended_even_while_it_holds_pythons_lock(
    seconds: float, *, alive: bool
) -> None:
    code = f"seconds = {seconds}\n{HANGS}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip() == "alive") == alive == (done.returncode == 0)
