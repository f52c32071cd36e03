"""The main job from outside: run.py, export.py and `licap run` as subprocesses, and what they leave in MLflow."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest_tools import (
    REPOSITORY,
    FinishedSearch,
    Searches,
    Workplace,
    descendants,
    listening,
    living,
    make_workplace,
    misled,
)

from search.study import Ended, Proposed, Reported, Restarted, Study, TrialRecord
from search.tracking import git_commit


def client_of(place: Workplace) -> Any:
    """A client of the store that a search left."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{place.folder / 'mlruns' / 'mlflow.db'}")


def runs_of(place: Workplace, kind: str) -> list[Any]:
    """All runs of a kind (study, trial)."""
    client = client_of(place)
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(ids, f"tags.kind = '{kind}'", max_results=1000))


def trials_of(place: Workplace, study: str = "small") -> tuple[TrialRecord, ...]:
    """The record's trials."""
    return Study.open(place.folder / "mlruns", study).trials()


def test_a_search_ends_with_every_trial_in_a_final_state(finished: FinishedSearch) -> None:
    trials = trials_of(finished.place)
    assert [trial.number for trial in trials] == list(range(8))
    assert {trial.state for trial in trials} <= {"complete", "pruned"}
    assert any(trial.state == "pruned" for trial in trials)
    assert finished.result["study"] == "small"


def test_the_first_trial_is_the_starting_point(finished: FinishedSearch) -> None:
    first = trials_of(finished.place)[0]
    assert first.starting_point
    assert first.values["pretrain.imp_ratio"] == 0.2
    assert not any(trial.starting_point for trial in trials_of(finished.place)[1:])


def test_mlflow_holds_one_parent_and_a_child_per_trial(finished: FinishedSearch) -> None:
    [parent] = runs_of(finished.place, "study")
    children = runs_of(finished.place, "trial")
    assert parent.info.run_name == "small"
    assert parent.info.status == "FINISHED"
    assert {child.data.tags["mlflow.parentRunId"] for child in children} == {parent.info.run_id}
    states = {int(child.data.tags["trial"]): child.data.tags["state"] for child in children}
    assert states == {trial.number: trial.state for trial in trials_of(finished.place)}


def test_mlflow_holds_each_report_once_at_its_budget(finished: FinishedSearch) -> None:
    client = client_of(finished.place)
    for child in runs_of(finished.place, "trial"):
        record = trials_of(finished.place)[int(child.data.tags["trial"])]
        history = client.get_metric_history(child.info.run_id, "val.ndcg_at_20")
        reported = {r.budget: r.metrics["val.ndcg@20"] for r in record.reports if "val.ndcg@20" in r.metrics}
        assert {point.step: point.value for point in history} == pytest.approx(reported)
        assert len(history) == len(reported)
        assert child.data.params["downstream.input"] == record.values["downstream.input"]


def test_mlflow_holds_config_leaderboard_and_best_config(finished: FinishedSearch) -> None:
    client = client_of(finished.place)
    [parent] = runs_of(finished.place, "study")
    files = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert {"best.yaml", "leaderboard.csv", "leaderboard.txt", "plots"} <= files
    for child in runs_of(finished.place, "trial"):
        assert {"config.yaml", "curves.csv"} <= {item.path for item in client.list_artifacts(child.info.run_id)}


def test_every_run_in_mlflow_says_where_it_comes_from(finished: FinishedSearch) -> None:
    [parent] = runs_of(finished.place, "study")
    children = runs_of(finished.place, "trial")
    for run in (parent, *children):
        assert run.data.tags["dataset"] == "synthetic-150"
        assert len(run.data.tags["dataset_fingerprint"]) == 64
        assert run.data.tags.get("git_commit") == git_commit(REPOSITORY)
    assert {(run.data.tags["fold"], run.data.tags["seed"], run.data.tags["stage"]) for run in children} == {
        ("0", "0", "downstream")
    }


def test_two_runs_with_one_seed_and_one_slot_have_the_same_leaderboard(searches: Searches) -> None:
    finished, repeated = searches["one slot"], searches["one slot again"]
    again = repeated.result
    first, second = trials_of(finished.place), trials_of(repeated.place)
    assert again["trials"] == [{**row, "seconds": other["seconds"]} for row, other in
                                    zip(finished.result["trials"], again["trials"], strict=True)]  # fmt: skip
    assert [(t.values, t.state, [r.metrics for r in t.reports]) for t in first] == [
        (t.values, t.state, [r.metrics for r in t.reports]) for t in second
    ]


def test_the_exported_config_reproduces_the_trial_to_the_last_digit(finished: FinishedSearch) -> None:
    place = finished.place
    done = place.run("search/export.py", "small", "--out", "best.yaml")
    assert done.returncode == 0, done.stderr
    text = (place.folder / "best.yaml").read_text(encoding="utf-8")
    assert isinstance(yaml.safe_load(text), dict)
    done = place.run("-m", "licap.cli", "run", "best.yaml", "--out", "again")
    assert done.returncode == 0, done.stderr
    best = max(
        (trial for trial in trials_of(place) if trial.state == "complete"),
        key=lambda trial: (trial.final("ndcg@20") or -math.inf, -trial.number),
    )
    metrics = json.loads((place.folder / "again" / "metrics.json").read_text(encoding="utf-8"))
    [fold] = metrics["folds"].values()
    recorded = {k.removeprefix("val."): v for k, v in best.metrics().items() if k.startswith("val.")}
    assert fold["val"] == recorded


def test_predictions_list_every_node_with_its_split(finished: FinishedSearch) -> None:
    place = finished.place
    place.write("one.yaml", "data.synthetic: {num_nodes: 150, num_edges: 700}\ndata.node2vec: {dim: 8}\n"
                            "pretrain.max_epochs: 2\ndownstream.max_epochs: 2\n")  # fmt: skip
    done = place.run("-m", "licap.cli", "run", "one.yaml", "--out", "one", "--folds", "0,1")
    assert done.returncode == 0, done.stderr
    for fold in (0, 1):
        lines = (place.folder / "one" / f"fold-{fold}" / "predictions.csv").read_text(encoding="utf-8").splitlines()
        assert lines[0] == "node,name,true,predicted,split"
        assert len(lines) == 151
        assert {line.rpartition(",")[2] for line in lines[1:]} == {"train", "val", "test", "unlabelled"}
    assert (place.folder / "one" / "fold-0" / "embeddings.npy").exists()


def test_without_dgl_and_without_a_home_the_main_job_runs(searches: Searches) -> None:
    search = searches["in adversity"]
    assert search.place.run("-c", "import dgl", env=misled(search.place)).returncode != 0
    trials = trials_of(search.place)
    assert len(trials) >= 3 and "complete" in {trial.state for trial in trials}
    assert {trial.failure for trial in trials} <= {None, "diverged", "interrupted"}


def test_no_more_trials_run_at_a_time_than_memory_holds(searches: Searches) -> None:
    place = searches["in adversity"].place
    running, most = set(), 0
    for event in Study.open(place.folder / "mlruns", "small").events:
        if isinstance(event, Proposed):
            running.add(event.trial)
        elif isinstance(event, Ended):
            running.remove(event.trial)
        most = max(most, len(running))
    assert most == 1


def test_a_diverged_trial_is_told_and_the_study_goes_on(searches: Searches) -> None:
    place = searches["in adversity"].place
    trials = trials_of(place)
    diverged = [trial for trial in trials if trial.failure == "diverged"]
    assert diverged and any(trial.state == "complete" for trial in trials)
    for trial in diverged:
        assert "epoch" in trial.message
    tags = [child.data.tags for child in runs_of(place, "trial") if child.data.tags["state"] == "failed"]
    assert {tag["failure"] for tag in tags} == {"diverged"}


def wait_for(condition: Any, seconds: float = 90.0) -> None:
    """Waits until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def reports_of(place: Workplace) -> int:
    """How many reports the record holds by now."""
    record = place.folder / "mlruns" / "studies" / "small" / "record.jsonl"
    return record.read_text(encoding="utf-8").count('"reported"') if record.exists() else 0


def actors_below(pid: int) -> list[int]:
    """The workers of a search; Ray writes what a process does into its title."""
    titles = {each: Path(f"/proc/{each}/cmdline") for each in descendants(pid)}
    return [each for each, title in titles.items() if title.exists() and b"TrialActor" in title.read_bytes()]


@dataclass(frozen=True)
class Stopped:
    """A search that was ended from outside."""

    place: Workplace
    returncode: int
    errors: str
    listened_at: frozenset[str]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Mapping[int, Stopped]:
    """Two searches at the same time: one is interrupted, the other loses a worker and is terminated after that."""
    places = {
        number: make_workplace(tmp_path_factory.mktemp("stopped"), empty_database)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    words = ("search/run.py", "--space", "small.yaml", "--trials", "500", "--set", "pruner=none")
    running = {number: place.start(*words) for number, place in places.items()}
    for place in places.values():
        wait_for(lambda place=place: reports_of(place) > 3)
    below = set().union(*(descendants(process.pid) for process in running.values()))
    listened_at = frozenset(listening(below | {process.pid for process in running.values()}))
    assert below
    # Ctrl-C reaches all processes of a terminal, a termination signal the one it was sent to.
    os.killpg(running[signal.SIGINT].pid, signal.SIGINT)
    actors: list[int] = []
    # A title is written anew with each task, and may be caught half-way.
    wait_for(lambda: actors or actors.extend(actors_below(running[signal.SIGTERM].pid)))
    os.kill(actors[0], signal.SIGKILL)
    wait_for(lambda: goes_on_after_a_crash(places[signal.SIGTERM]))
    below |= descendants(running[signal.SIGTERM].pid)
    running[signal.SIGTERM].send_signal(signal.SIGTERM)
    errors = {number: process.communicate(timeout=90)[1] for number, process in running.items()}
    wait_for(lambda: not living(below), 20)
    return {
        number: Stopped(places[number], running[number].returncode, errors[number], listened_at) for number in places
    }


def test_no_server_of_a_search_listens_beyond_this_machine(stopped: Mapping[int, Stopped]) -> None:
    addresses = stopped[signal.SIGINT].listened_at
    assert addresses
    assert {address for address in addresses if not ip_address(address).is_loopback} == set()


def goes_on_after_a_crash(place: Workplace) -> bool:
    """Whether a trial whose worker died was started again and came to its end."""
    study = Study.open(place.folder / "mlruns", "small")
    return any(study.trial(number).state == "complete" for number in restarted(study))


def restarted(study: Study) -> list[int]:
    """Numbers of the trials that were started again."""
    return [event.trial for event in study.events if isinstance(event, Restarted)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_search_cleanly(stopped: Mapping[int, Stopped], number: int) -> None:
    search = stopped[number]
    assert search.returncode == 128 + number, search.errors
    assert "Traceback" not in search.errors
    assert all(trial.state != "running" for trial in trials_of(search.place))
    assert all(run.info.status != "RUNNING" for kind in ("study", "trial") for run in runs_of(search.place, kind))


def test_a_worker_that_dies_costs_no_trial(stopped: Mapping[int, Stopped]) -> None:
    search = stopped[signal.SIGTERM]
    study = Study.open(search.place.folder / "mlruns", "small")
    assert not [trial for trial in study.trials() if trial.state == "failed"]
    assert len(restarted(study)) == 1
    assert "its worker process died; it goes on from its last checkpoint" in search.errors
    reported = [(event.trial, event.budget) for event in study.events if isinstance(event, Reported)]
    assert len(reported) == len(set(reported))


def test_what_was_interrupted_is_resumed_in_record_and_store(stopped: Mapping[int, Stopped]) -> None:
    place = stopped[signal.SIGINT].place
    before = {trial.number: trial for trial in trials_of(place)}
    cut = {number for number, trial in before.items() if trial.state == "interrupted"}
    assert cut
    done = place.run("search/run.py", "--resume", "--trials", str(len(before)), "--json")
    assert done.returncode == 0, done.stderr
    after = {trial.number: trial for trial in trials_of(place)}
    assert {trial.state for trial in after.values()} == {"complete"}
    assert all(after[number] == trial for number, trial in before.items() if number not in cut)
    assert len(runs_of(place, "study")) == 1
    runs = {int(run.data.tags["trial"]): run for run in runs_of(place, "trial")}
    assert len(runs) == len(runs_of(place, "trial")) == len(after)
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    client = client_of(place)
    for number in cut:
        history = client.get_metric_history(runs[number].info.run_id, "val.spearman")
        assert [metric.step for metric in history] == [report.budget for report in after[number].reports]
    again = place.run("search/run.py", "--resume", "--study", "small")
    assert again.returncode == 0, again.stderr
    assert "nothing is left to do" in again.stderr


def test_a_time_budget_ends_the_search_in_good_order(searches: Searches) -> None:
    search = searches["in adversity"]
    trials = trials_of(search.place)
    assert 0 < len(trials) < 500
    assert search.result["stop_reason"] == "time budget"
    assert all(trial.state != "running" for trial in trials)


@pytest.mark.long
def test_the_first_search_of_a_newcomer_prunes_tracks_and_exports(workplace: Workplace) -> None:
    done = workplace.run("search/run.py", "--space", str(REPOSITORY / "spaces" / "default.yaml"), "--json")
    assert done.returncode == 0, done.stderr
    trials = trials_of(workplace, "default")
    assert len(trials) >= 10
    assert sum(trial.state == "pruned" for trial in trials) >= 1
    assert len(runs_of(workplace, "study")) == 1
    assert len(runs_of(workplace, "trial")) == len(trials)
    assert workplace.run("search/export.py").returncode == 0
    assert (workplace.folder / "best.yaml").exists()
