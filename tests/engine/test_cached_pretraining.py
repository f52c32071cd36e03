"""Pretraining shared between trials and studies through the cache: real searches, and the actor cut off anywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest_tools import SMALL_HEAD, Workplace, make_workplace
from test_main_job import runs_of, trials_of
from trial_cases import tiny_config, tiny_dataset

from licap.trial import Report, Trial
from search.engine.actor import ASSIGNMENT, RESULT, TrialActor
from search.engine.driver import cache_place
from search.engine.messages import Assignment, CachePlace, StepResult
from search.run import build_parser, load_space
from search.space import SearchSpace, check_same
from search.study import TrialRecord

# Two pretrainings, each with three downstream trainings.
SPACE = (
    SMALL_HEAD
    + """\
  pretrain: {max_epochs: 6, heads: 2, hidden: 4, out_dim: 8}
  downstream: {max_epochs: 18, model: geni, input: embeddings}
search:
  pretrain.imp_ratio: {type: categorical, choices: [0.2, 0.3]}
  downstream.lr: {type: categorical, choices: [1e-4, 1e-3, 1e-2]}
sampler: grid
pruner: none
report_every: 2
"""
)
EPOCHS = {"pretrain.max_epochs": 4, "downstream.max_epochs": 4}


def by_values(trials: tuple[TrialRecord, ...]) -> Mapping[object, TrialRecord]:
    """Trials by what tells them apart, in whichever order slots took them."""
    return {tuple(sorted(trial.values.items())): trial for trial in trials}


@dataclass(frozen=True)
class Ran:
    """A search with a cache."""

    place: Workplace
    said: str

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """Its trials."""
        return trials_of(self.place)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Ran:
    """The search, run once."""
    place = make_workplace(tmp_path_factory.mktemp("shared"), empty_database)
    place.write("cached.yaml", SPACE)
    done = place.run("search/run.py", "--space", "cached.yaml", "--max-concurrent", "2")
    assert done.returncode == 0, done.stderr
    return Ran(place, done.stderr)


def test_results_are_the_same_bits_with_and_without_the_cache(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ran.place.folder)
    space = SearchSpace.load(ran.place.folder / "cached.yaml")
    assert len(ran.trials) == 6
    for trial in ran.trials:
        trained = [report.metrics for report in Trial(space.config_for(trial.values))]
        assert [report.metrics for report in trial.reports] == trained


def test_each_pretraining_is_trained_once_and_the_others_say_where_it_comes_from(ran: Ran) -> None:
    origins = sorted(trial.pretraining for trial in ran.trials)
    # Two slots may begin with the same one at the same time.
    assert origins[:3] == ["cached"] * 3 and "trained" in origins
    assert "taken from the cache" in ran.said
    tags = {run.info.run_name: run.data.tags["pretraining"] for run in runs_of(ran.place, "trial")}
    assert set(tags.values()) == {"cached", "trained"}


@pytest.mark.long
def test_a_second_study_takes_all_but_what_is_damaged(ran: Ran) -> None:
    damaged = min((ran.place.folder / "mlruns" / "cache").glob("*.pt"))
    damaged.write_bytes(damaged.read_bytes()[:-100])
    words = ("--set", "pruner={name: asha, grace: 2, reduction: 2}", "--study", "second")
    done = ran.place.run("search/run.py", "--space", "cached.yaml", "--max-concurrent", "1", *words)
    assert done.returncode == 0, done.stderr
    second = trials_of(ran.place, "second")
    assert sorted(trial.pretraining for trial in second) == ["cached"] * 5 + ["trained"]
    assert done.stderr.count("damaged") == 1
    assert {trial.state for trial in second} == {"complete", "pruned"}
    whole = by_values(ran.trials)
    for values, trial in by_values(second).items():
        # What was pruned is the beginning of what was not.
        assert trial.reports == whole[values].reports[: len(trial.reports)]


def test_an_entry_that_is_damaged_is_trained_anew_and_said_once(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    whole = steps(new_actor(folder, tmp_path / "whole.pt"))
    [entry] = folder.glob("*.pt")
    entry.write_bytes(entry.read_bytes()[:-100])
    found = steps(new_actor(folder, tmp_path / "second.pt"))
    assert reports_of(found) == reports_of(whole)
    assert {result.pretraining for result in found} == {"trained"}
    [warning] = [warning for result in found for warning in result.warnings]
    assert "damaged" in warning
    assert {result.pretraining for result in steps(new_actor(folder, tmp_path / "third.pt"))} == {"cached"}


def steps(actor: TrialActor, count: int | None = None) -> list[StepResult]:
    """Runs an actor to its trial's end, or for some stretches."""
    found: list[StepResult] = []
    while (count is None or len(found) < count) and not (found and found[-1].finished):
        found.append(actor.step()[RESULT])
    return found


def new_actor(folder: Path, checkpoint: Path, recorded: int = 0) -> TrialActor:
    """An actor as Ray would set it up, in this process."""
    config = tiny_config(EPOCHS)
    actor = TrialActor.__new__(TrialActor)
    assignment = Assignment(0, config, (0,), 1, checkpoint, checkpoint_s=0.0, recorded=recorded)
    actor.setup({ASSIGNMENT: assignment}, {config.data: tiny_dataset()}, CachePlace(folder, 10_000_000))
    return actor


def reports_of(results: list[StepResult]) -> list[Report]:
    """All reports, in order."""
    return [report for result in results for report in result.reports]


def test_a_worker_does_not_import_torchs_compiler(tmp_path: Path) -> None:
    # It costs a process 1.3 s and 140 MiB; a resumed trial loads the optimiser's state too.
    code = (
        "import sys; from pathlib import Path; from test_cached_pretraining import new_actor, steps\n"
        "folder = Path(sys.argv[1])\n"
        "steps(new_actor(folder / 'cache', folder / '0.pt'), 6)\n"
        "assert steps(new_actor(folder / 'cache', folder / '0.pt', recorded=6))[-1].finished\n"
        "assert 'torch' in sys.modules and 'torch._dynamo' not in sys.modules"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parent.parent)])
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=os.environ | {"PYTHONPATH": paths})


@pytest.mark.parametrize("kept", [True, False], ids=["cache still there", "cache gone"])
@pytest.mark.parametrize("cut", [2, 4, 6])
def test_a_trial_with_cached_pretraining_is_resumed_wherever_it_was_cut(tmp_path: Path, cut: int, kept: bool) -> None:
    folder, checkpoint = tmp_path / "cache", tmp_path / "0.pt"
    whole = steps(new_actor(folder, tmp_path / "whole.pt"))
    assert reports_of(whole) == list(Trial(tiny_config(EPOCHS), dataset=tiny_dataset()))
    assert {result.pretraining for result in whole} == {"trained"}
    head = steps(new_actor(folder, checkpoint), cut)
    if not kept:
        shutil.rmtree(folder)
    tail = steps(new_actor(folder, checkpoint, recorded=cut))
    # A checkpoint is taken before a stretch, so the last one before the cut is repeated.
    assert reports_of(head)[:-1] + reports_of(tail) == reports_of(whole)
    assert {result.pretraining for result in head + tail} == {"cached"}
    assert not [warning for result in head + tail for warning in result.warnings]


def test_a_folder_that_cannot_be_used_costs_a_trial_nothing_and_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way", encoding="utf-8")
    found = steps(new_actor(tmp_path / "cache", tmp_path / "0.pt"))
    assert reports_of(found) == list(Trial(tiny_config(EPOCHS), dataset=tiny_dataset()))
    assert {result.pretraining for result in found} == {"trained"}
    [warning] = [warning for result in found for warning in result.warnings]
    assert "are not kept for other trials" in warning and str(tmp_path / "cache") in warning


def test_the_cache_is_bounded_by_the_space_file_and_turned_off_by_an_option(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SPACE, encoding="utf-8")

    def place_of(*words: str) -> CachePlace | None:
        return cache_place(
            load_space(build_parser().parse_args(["--space", str(tmp_path / "small.yaml"), *words])), tmp_path
        )

    assert place_of() == CachePlace(tmp_path / "cache", 2_000_000_000)
    assert place_of("--set", "cache.max_gb=0.5") == CachePlace(tmp_path / "cache", 500_000_000)
    assert place_of("--no-cache") is None


def test_a_study_goes_on_with_or_without_a_cache() -> None:
    with_cache, without = (
        SearchSpace.from_text(SPACE, source="small.yaml", overrides=[f"cache.max_gb={size}"]) for size in (1, 0)
    )
    check_same(with_cache, without)
