"""What a study leaves in MLflow, read back through MLflow's own client."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from licap.errors import StoreError


def test_a_study_is_a_parent_with_a_child_per_trial(store: Any) -> None:
    with store.tracker("first", tags={"dataset": "abc"}) as tracker:
        for number in range(2):
            tracker.start_trial(number, {}, {"fold": 0})
            tracker.end_trial(number, "complete", {}, {})
        tracker.finish({"val.NDCG@20": 0.5}, {"leaderboard.csv": "rank,trial\n1,0\n", "plots/best.png": b"\x89PNG"})
    parent = store.parent()
    assert parent.info.run_name == "first"
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["dataset"] == "abc"
    assert parent.data.tags["state"] == "complete"
    assert parent.data.metrics == {"val.ndcg_at_20": 0.5}
    assert store.artifact(parent, "leaderboard.csv") == b"rank,trial\n1,0\n"
    assert store.artifact(parent, "plots/best.png") == b"\x89PNG"
    children = store.runs(kind="trial")
    assert [run.info.run_name for run in children] == ["trial 0", "trial 1"]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.data.tags["fold"] for run in children} == {"0"}


def test_two_studies_stand_side_by_side_in_one_experiment(store: Any) -> None:
    for name in ("a", "b"):
        with store.tracker(name) as tracker:
            tracker.start_trial(0, {"pretrain.lr": 0.1}, {})
            tracker.end_trial(0, "complete", {}, {})
    a, b = store.runs(kind="study")
    assert (a.info.run_name, b.info.run_name) == ("a", "b")
    assert a.info.experiment_id == b.info.experiment_id
    assert [run.data.tags["mlflow.parentRunId"] for run in store.runs(kind="trial")] == [a.info.run_id, b.info.run_id]


def test_parameters_keep_their_dotted_names_and_all_their_digits(store: Any) -> None:
    many = {f"many.p{i}": i for i in range(230)}
    with store.tracker() as tracker:
        tracker.start_trial(
            0, {"pretrain.lr": 0.1 + 0.2, "a.none": None, "a.flag": True, "a.long": "x" * 7000, **many}, {}
        )
        tracker.end_trial(0, "complete", {}, {})
    params = store.trial(0).data.params
    assert float(params["pretrain.lr"]) == 0.1 + 0.2
    assert (params["a.none"], params["a.flag"]) == ("null", "true")
    assert params["a.long"] == "x" * 5999 + "…"
    assert all(params[name] == str(value) for name, value in many.items())


def test_a_metric_has_one_value_a_step_at_its_budget(store: Any) -> None:
    with store.tracker(flush_s=0.01) as tracker:
        tracker.start_trial(0, {}, {})
        for budget in (1, 2, 2, 5, 1):
            tracker.log(0, budget, {"val.NDCG@20": budget / 10, "pretrain.loss": 1.0})
        # Same metric, same step, written long before; and both spellings of one metric.
        tracker.end_trial(0, "complete", {}, {})
        tracker.start_trial(1, {}, {})
        tracker.log(1, 3, {"ndcg@20": 0.1})
        tracker.log(1, 3, {"NDCG@20": 0.9})
        tracker.end_trial(1, "complete", {}, {})
    assert store.history(store.trial(0), "val.ndcg_at_20") == [(1, 0.1), (2, 0.2), (5, 0.5)]
    assert store.history(store.trial(0), "pretrain.loss") == [(1, 1.0), (2, 1.0), (5, 1.0)]
    assert store.history(store.trial(1), "ndcg_at_20") == [(3, 0.1)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_only_finite_values_are_metrics_and_a_tag_names_the_rest(store: Any, value: float) -> None:
    with store.tracker() as tracker:
        tracker.start_trial(0, {}, {})
        tracker.log(0, 7, {"pretrain.loss": value, "pretrain.l1": 2.0})
        tracker.log(0, 8, {"pretrain.loss": value, "val.spearman": value})
        tracker.end_trial(0, "failed", {"failure": "diverged", "message": "pretrain epoch 7: loss is not finite."}, {})
        tracker.finish({"best": value}, {})
    run = store.trial(0)
    assert run.data.metrics == {"pretrain.l1": 2.0}
    assert run.data.tags["non_finite"] == "pretrain.loss at 7, val.spearman at 8"
    assert run.data.tags["failure"] == "diverged"
    assert store.parent().data.metrics == {}


@pytest.mark.parametrize(
    ("state", "status"),
    [("complete", "FINISHED"), ("pruned", "KILLED"), ("failed", "FAILED"), ("interrupted", "KILLED")],
)
def test_how_a_trial_ended_is_a_tag_and_a_status(store: Any, state: Any, status: str) -> None:
    with store.tracker() as tracker:
        tracker.start_trial(3, {}, {"stage": "pretrain"})
        tracker.end_trial(3, state, {"stage": "downstream", "notes": "constant"}, {"config.yaml": "seed: 0\n"})
    run = store.trial(3)
    assert run.info.status == status
    assert run.info.end_time is not None
    assert run.data.tags.items() >= {"state": state, "stage": "downstream", "notes": "constant"}.items()
    assert store.artifact(run, "config.yaml") == b"seed: 0\n"


@pytest.mark.parametrize(
    ("error", "state", "status"), [(KeyboardInterrupt, "interrupted", "KILLED"), (RuntimeError, "failed", "FAILED")]
)
def test_a_search_that_is_cut_off_leaves_no_run_open(
    store: Any, error: type[BaseException], state: str, status: str
) -> None:
    with pytest.raises(error), store.tracker() as tracker:
        tracker.start_trial(0, {}, {})
        tracker.log(0, 1, {"loss": 1.0})
        raise error
    assert (store.parent().info.status, store.parent().data.tags["state"]) == (status, state)
    assert (store.trial(0).info.status, store.trial(0).data.tags["state"]) == ("KILLED", "interrupted")
    assert store.trial(0).data.metrics == {"loss": 1.0}


def test_values_are_written_in_batches_of_at_most_a_thousand(store: Any, counted: Callable[[], list[int]]) -> None:
    with store.tracker(flush_s=60.0) as tracker:
        for number in range(2):
            tracker.start_trial(number, {}, {})
        for budget in range(1, 1201):
            for number in range(2):
                tracker.log(number, budget, {"a": budget, "b": -budget})
        for number in range(2):
            tracker.end_trial(number, "complete", {}, {})
    assert sorted(counted()) == [400, 400, 1000, 1000, 1000, 1000]
    assert store.history(store.trial(1), "b") == [(budget, -budget) for budget in range(1, 1201)]


def test_a_resumed_study_goes_on_in_its_runs(store: Any) -> None:
    with store.tracker('it\'s "s"') as tracker:
        for number in range(2):
            tracker.start_trial(number, {"lr": 0.1}, {})
            tracker.log(number, 1, {"loss": 3.0})
        tracker.log(1, 2, {"loss": 2.0})
        tracker.end_trial(0, "complete", {}, {})
        tracker.finish({}, {}, state="interrupted")
    assert store.parent().info.status == "KILLED"
    with store.tracker('it\'s "s"', resume=True) as tracker:
        tracker.start_trial(1, {"lr": 0.1}, {})
        tracker.log(1, 2, {"loss": 2.0})
        tracker.log(1, 3, {"loss": 1.0})
        tracker.end_trial(1, "complete", {}, {})
    assert store.parent().info.status == "FINISHED"
    assert store.trial(1).info.status == "FINISHED"
    assert store.history(store.trial(1), "loss") == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_what_was_said_of_an_end_that_was_none_is_taken_back(store: Any) -> None:
    with store.tracker() as tracker:
        tracker.start_trial(0, {}, {"fold": 0})
        cut_off = {"stage": "pretrain", "failure": "interrupted", "message": "cut off", "notes": "slow"}
        tracker.end_trial(0, "interrupted", cut_off, {})
    store.client.set_tag(store.trial(0).info.run_id, "mine", "a word of my own")
    with store.tracker(resume=True) as tracker:
        tracker.start_trial(0, {}, {"fold": 0})
        tracker.end_trial(0, "complete", {"stage": "downstream"}, {})
    tags = {name: value for name, value in store.trial(0).data.tags.items() if not name.startswith("mlflow.")}
    assert not tags.keys() & {"failure", "message", "notes"}
    assert (tags["state"], tags["stage"], tags["mine"]) == ("complete", "downstream", "a word of my own")


def test_a_study_of_the_same_name_gets_runs_of_its_own(store: Any) -> None:
    for _ in range(2):
        with store.tracker("s") as tracker:
            tracker.start_trial(0, {}, {})
            tracker.end_trial(0, "complete", {}, {})
    assert len(store.runs(kind="study", study="s")) == len(store.runs(kind="trial", trial="0")) == 2


def test_a_run_deleted_meanwhile_is_told_once_and_the_others_go_on(store: Any) -> None:
    with store.tracker(flush_s=60.0) as tracker:
        tracker.start_trial(0, {}, {})
        tracker.start_trial(1, {}, {})
        tracker.end_trial(1, "complete", {}, {})
        _await(lambda: [run for run in store.runs(trial="1") if run.info.status == "FINISHED"])
        store.client.delete_run(store.trial(0).info.run_id)
        tracker.start_trial(2, {}, {})
        tracker.log(0, 1, {"loss": 1.0})
        tracker.end_trial(0, "complete", {}, {})
        with pytest.raises(StoreError, match="MLflow refuses"):
            _await(lambda: tracker.log(2, 1, {"loss": 2.0}))
        tracker.log(2, 2, {"loss": 1.0})
        tracker.end_trial(2, "complete", {}, {})
    assert store.history(store.trial(2), "loss") == [(1, 2.0), (2, 1.0)]
    assert store.parent().info.status == "FINISHED"


def test_reports_of_a_trial_that_is_not_open_are_a_fault(store: Any) -> None:
    with store.tracker() as tracker, pytest.raises(ValueError, match="trial 4 is not open"):
        tracker.log(4, 1, {"loss": 1.0})


def _await(happened: Callable[[], object]) -> None:
    """Calls until the answer is true."""
    import time

    for _ in range(400):
        if happened():
            return
        time.sleep(0.02)
    raise AssertionError("did not happen within 8 s")
