"""Trials from outside: reports, exact resumption, divergence, what they may see."""

from __future__ import annotations

import gc
import io
import math
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from trial_cases import NUM_NODES, tiny_config, tiny_dataset

from licap.config import config_from
from licap.datasets import load_dataset
from licap.datasets.dataset import Dataset
from licap.errors import ConfigError, DataError, DeviceError, DivergedError, LicapError, StoreError
from licap.metrics import METRICS, evaluate
from licap.models import DownstreamModel, Encoder
from licap.ops import available_backends
from licap.splits import transform_labels
from licap.trial import Report, Trial

# Long enough for both stages to stop early; patience 1 ends them within a few epochs.
EARLY = {"pretrain.patience": 1, "pretrain.lr": 0.5, "downstream.patience": 1, "downstream.lr": 0.3}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """The same arrays for all tests: nothing writes to them."""
    return tiny_dataset()


def through_a_file(state: dict[str, object]) -> dict[str, object]:
    """What comes back from a checkpoint that is read without running code."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, object] = torch.load(file, weights_only=True)
    return loaded


def test_reports_count_epochs_and_budget_over_both_stages(dataset: Dataset) -> None:
    reports = list(Trial(tiny_config(), dataset=dataset))
    assert [report.budget for report in reports] == list(range(1, 15))
    assert [(report.stage, report.epoch) for report in reports] == [
        *(("pretrain", epoch) for epoch in range(6)),
        *(("downstream", epoch) for epoch in range(8)),
    ]


def test_metrics_have_their_names_and_are_finite(dataset: Dataset) -> None:
    validation = {f"val.{name}" for name in METRICS}
    first = {"pretrain.loss", "pretrain.l1", "pretrain.l2", "pretrain.grad_norm"}
    first |= {"signal.effective_rank", "signal.alignment", "signal.uniformity", "probe.top.ndcg@100"}
    first |= {f"probe.{name}.spearman" for name in ("embeddings", "features_embeddings", "ranks", "propagated", "top")}
    second = {"downstream.loss", "downstream.val_loss"}
    for report in Trial(tiny_config(), dataset=dataset):
        assert set(report.metrics) == validation | (first if report.stage == "pretrain" else second)
        assert all(math.isfinite(value) for value in report.metrics.values())


def test_the_probe_looks_every_few_epochs_and_at_what_stage_2_will_see(dataset: Dataset) -> None:
    probed = {
        seen: [report.metrics for report in Trial(tiny_config({"downstream.input": seen}), dataset=dataset)][:6]
        for seen in ("embeddings", "features+embeddings")
    }
    for seen, key in (("embeddings", "embeddings"), ("features+embeddings", "features_embeddings")):
        values = [metrics["val.spearman"] for metrics in probed[seen]]
        assert values == [metrics[f"probe.{key}.spearman"] for metrics in probed[seen]]
        assert values[0] == values[1] != values[2] == values[3]


@pytest.fixture(scope="module")
def tied() -> Dataset:
    """600 nodes with eight different scores."""
    dataset = load_dataset(config_from({"data.synthetic.num_nodes": 600, "data.synthetic.num_edges": 2000}).data)
    return replace(dataset, importance=np.round(np.log1p(dataset.importance)).astype(np.float32))


@pytest.mark.parametrize("model", ["graphsage", "linear_regression"])
@pytest.mark.parametrize("label_ties", ["mean", "position"])
def test_every_overlap_follows_the_rule_for_equal_labels(tied: Dataset, model: str, label_ties: str) -> None:
    config = tiny_config({"downstream.model": model, "pretrain.max_epochs": 2, "downstream.max_epochs": 2})
    trial = Trial(config.with_values({"label_ties": label_ties}), dataset=tied)
    pretrained, *_, last = list(trial)
    overlaps = [name for name in METRICS if name.startswith("overlap")]

    def expected(rule: str) -> dict[str, float]:
        labels = transform_labels(tied.importance)[trial.split.val]
        return evaluate(labels, trial.predictions()[trial.split.val], overlaps, label_ties=rule)

    found = {name: trial.evaluate("val")[name] for name in overlaps}
    assert found == {name: last.metrics[f"val.{name}"] for name in overlaps} == expected(label_ties)
    assert expected("mean") != expected("position")
    # By position, k nodes are common or not.
    whole = all((pretrained.metrics[f"val.overlap@{k}"] * k).is_integer() for k in (20, 50))
    assert whole == (label_ties == "position")


def test_without_embeddings_there_is_no_pretraining(dataset: Dataset) -> None:
    trial = Trial(tiny_config({"downstream.input": "features"}), dataset=dataset)
    reports = list(trial)
    assert [report.budget for report in reports] == list(range(7, 15))
    assert trial.embeddings() is None


def test_pretraining_that_stops_early_jumps_to_the_end_of_its_stage(dataset: Dataset) -> None:
    reports = list(Trial(tiny_config(EARLY | {"pretrain.max_epochs": 50}), dataset=dataset))
    first = [report for report in reports if report.stage == "pretrain"]
    second = [report for report in reports if report.stage == "downstream"]
    assert len(first) < 50
    assert second[0].budget == 51


def test_validation_metrics_are_those_of_the_best_epoch_so_far(dataset: Dataset) -> None:
    values = {"downstream.lr": 0.1, "downstream.max_epochs": 40, "downstream.labels": "plain"}
    trial = Trial(tiny_config(values), dataset=dataset)
    reports = [report for report in trial if report.stage == "downstream"]
    losses = [report.metrics["downstream.val_loss"] for report in reports]
    best = np.minimum.accumulate(losses)
    np.testing.assert_allclose([report.metrics["val.rmse"] ** 2 for report in reports], best, rtol=1e-5)
    assert losses[-1] > best[-1]
    assert trial.evaluate("val")["rmse"] == reports[-1].metrics["val.rmse"]


def test_monitoring_spearman_keeps_its_best_epoch(dataset: Dataset) -> None:
    config = tiny_config({"downstream.monitor": "spearman", "downstream.lr": 0.1, "downstream.max_epochs": 30})
    reports = [report for report in Trial(config, dataset=dataset) if report.stage == "downstream"]
    values = [report.metrics["val.spearman"] for report in reports]
    assert values == sorted(values)


def test_predictions_cover_all_nodes_and_evaluate_looks_at_one_split(dataset: Dataset) -> None:
    trial = Trial(tiny_config(), dataset=dataset)
    list(trial)
    assert trial.finished
    assert trial.predictions().shape == (NUM_NODES,)
    embeddings = trial.embeddings()
    assert embeddings is not None
    assert embeddings.shape == (NUM_NODES, 8)
    error = trial.predictions() - np.log1p(dataset.importance.astype(np.float64))
    for split, nodes in (("val", trial.split.val), ("test", trial.split.test)):
        assert trial.evaluate(split)["rmse"] == pytest.approx(np.sqrt(np.mean(error[nodes] ** 2)), rel=1e-5)


def test_there_are_no_predictions_before_stage_2(dataset: Dataset) -> None:
    trial = Trial(tiny_config(), dataset=dataset)
    next(trial)
    with pytest.raises(LicapError, match="no predictions yet"):
        trial.predictions()


def test_the_width_of_embeddings_follows_the_features_unless_set(dataset: Dataset) -> None:
    config = tiny_config({"pretrain.out_dim": None, "data.features": "concat"})
    for features, width in (("struct", 64), ("concat", 128)):
        data = replace(dataset, features={features: dataset.features["struct"]})
        trial = Trial(config.with_values({"data.features": features}), dataset=data)
        next(trial)
        embeddings = trial.embeddings()
        assert embeddings is not None
        assert embeddings.shape[1] == width


def test_last_and_best_embeddings_differ_where_the_last_epoch_is_not_the_best(dataset: Dataset) -> None:
    handed = {}
    for kind in ("last", "best"):
        trial = Trial(tiny_config(EARLY | {"pretrain.embeddings": kind}), dataset=dataset)
        list(trial)
        handed[kind] = trial.embeddings()
    assert not np.array_equal(handed["last"], handed["best"])


@pytest.mark.parametrize(
    ("values", "cuts"),
    [
        ({}, range(15)),
        (EARLY | {"pretrain.max_epochs": 30, "downstream.max_epochs": 30}, range(0, 20, 2)),
        ({"downstream.input": "features"}, (0, 3, 8)),
        ({"downstream.input": "embeddings", "pretrain.embeddings": "best", "runtime.dtype": "float64"}, (3, 6, 9)),
        ({"pretrain.min_epoch": 3, "downstream.min_epoch": 4, "downstream.monitor": "spearman"}, (2, 5, 8, 12)),
    ],
)
def test_a_trial_cut_anywhere_goes_on_bit_for_bit(
    dataset: Dataset, values: dict[str, object], cuts: Iterator[int]
) -> None:
    config = tiny_config(values)
    whole = Trial(config, dataset=dataset)
    uncut = list(whole)
    for cut in cuts:
        cut_off, resumed = Trial(config, dataset=dataset), Trial(config, dataset=dataset)
        head = list(islice(cut_off, cut))
        resumed.load_state_dict(through_a_file(cut_off.state_dict()))
        assert head + list(resumed) == uncut
        assert np.array_equal(resumed.predictions(), whole.predictions())
        assert np.array_equal(resumed.embeddings(), whole.embeddings()) or whole.embeddings() is None


def test_a_state_is_not_changed_by_going_on(dataset: Dataset) -> None:
    config = tiny_config()
    for cut in (3, 9):
        trial = Trial(config, dataset=dataset)
        list(islice(trial, cut))
        state = trial.state_dict()
        before = through_a_file(state)
        rest = list(trial)
        resumed = Trial(config, dataset=dataset)
        resumed.load_state_dict(state)
        assert list(resumed) == rest
        resumed.load_state_dict(before)
        assert list(resumed) == rest


def test_a_used_trial_can_be_set_back(dataset: Dataset) -> None:
    trial = Trial(tiny_config(), dataset=dataset)
    start = through_a_file(trial.state_dict())
    uncut = list(trial)
    trial.load_state_dict(start)
    assert list(trial) == uncut


@pytest.mark.parametrize("change", ["config", "fingerprint", "features", "format"])
def test_a_state_of_something_else_is_refused_and_changes_nothing(dataset: Dataset, change: str) -> None:
    config = tiny_config()
    uncut = list(Trial(config, dataset=dataset))
    trial = Trial(config, dataset=dataset)
    list(islice(trial, 4))
    others = {
        "config": lambda: Trial(tiny_config({"pretrain.lr": 0.006}), dataset=dataset),
        "fingerprint": lambda: Trial(config, dataset=tiny_dataset(fingerprint="other")),
        "features": lambda: Trial(config, dataset=tiny_dataset(scale=2.0)),
        "format": lambda: Trial(config, dataset=dataset),
    }
    state = others[change]().state_dict()
    if change == "format":
        state["format"] = -1
    with pytest.raises(StoreError, match="another config, data set or version"):
        trial.load_state_dict(state)
    assert list(trial) == uncut[4:]


def test_the_same_seed_gives_the_same_trial_and_another_seed_another(dataset: Dataset) -> None:
    first, again, other = (list(Trial(tiny_config({"seed": seed}), dataset=dataset)) for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.parametrize(("seen", "stage"), [("embeddings", "pretrain"), ("features", "downstream")])
def test_each_stage_draws_from_the_trials_seed(dataset: Dataset, seen: str, stage: str) -> None:
    configs = [tiny_config({"seed": seed, "downstream.input": seen}) for seed in (3, 4)]
    first, other = (next(Trial(config, dataset=dataset)) for config in configs)
    assert first.stage == other.stage == stage
    assert first.metrics != other.metrics


def test_interleaved_trials_do_not_disturb_each_other_nor_the_program(dataset: Dataset) -> None:
    configs = [tiny_config({"seed": seed}) for seed in (0, 1)]
    alone = [list(Trial(config, dataset=dataset)) for config in configs]
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    trials = [Trial(config, dataset=dataset) for config in configs]
    together: list[list[Report]] = [[], []]
    for pair in zip(*trials, strict=True):
        for reports, report in zip(together, pair, strict=True):
            reports.append(report)
    assert together == alone
    assert torch.equal(torch.rand(3), expected)


def test_stage_2_draws_its_own_numbers_however_long_stage_1_ran(dataset: Dataset) -> None:
    state = {}
    for epochs in (2, 5):
        trial = Trial(tiny_config({"pretrain.max_epochs": epochs}), dataset=dataset)
        list(islice(trial, epochs + 1))
        state[epochs] = trial.state_dict()["randomness"]["torch"]
    assert torch.equal(state[2], state[5])


@pytest.mark.parametrize(
    ("values", "stage"), [({"pretrain.lr": 1e30}, "pretrain"), ({"downstream.lr": 1e30}, "downstream")]
)
def test_a_learning_rate_that_is_far_too_large_ends_as_diverged(
    dataset: Dataset, values: dict[str, object], stage: str
) -> None:
    trial = Trial(tiny_config(values), dataset=dataset)
    reports: list[Report] = []
    with pytest.raises(DivergedError) as caught:
        for report in trial:
            reports.append(report)
    assert caught.value.stage == stage
    assert caught.value.epoch == sum(report.stage == stage for report in reports)
    with pytest.raises(DivergedError):
        next(trial)


def test_a_trial_that_diverged_has_also_done_so_after_a_resume(dataset: Dataset) -> None:
    config = tiny_config({"downstream.lr": 1e30})
    trial, resumed = Trial(config, dataset=dataset), Trial(config, dataset=dataset)
    with pytest.raises(DivergedError) as first:
        list(trial)
    resumed.load_state_dict(through_a_file(trial.state_dict()))
    for each in (trial, resumed):
        with pytest.raises(DivergedError) as again:
            next(each)
        assert str(again.value) == str(first.value)


def test_features_with_huge_values_end_as_diverged() -> None:
    for seen in ("features", "features+embeddings"):
        trial = Trial(tiny_config({"downstream.input": seen}), dataset=tiny_dataset(scale=1e38))
        with pytest.raises(DivergedError, match="epoch 0"):
            list(trial)


def test_the_best_epoch_before_a_divergence_is_kept(dataset: Dataset) -> None:
    config = tiny_config({"downstream.max_epochs": 4})
    whole = Trial(config, dataset=dataset)
    list(whole)
    # A finite start, and then a step that breaks the parameters.
    broken = Trial(config, dataset=dataset)
    list(islice(broken, 9))
    kept, metrics = broken.predictions(), broken.evaluate("val")
    state = broken.state_dict()
    for value in state["downstream"]["learner"]["parameters"].values():
        value.fill_(math.nan)
    broken.load_state_dict(state)
    with pytest.raises(DivergedError) as caught:
        list(broken)
    assert (caught.value.stage, caught.value.epoch) == ("downstream", 3)
    assert np.array_equal(broken.predictions(), kept)
    assert broken.evaluate("val") == metrics
    assert np.isfinite(broken.predictions()).all()
    resumed = Trial(config, dataset=dataset)
    resumed.load_state_dict(through_a_file(broken.state_dict()))
    with pytest.raises(DivergedError):
        next(resumed)


def test_test_labels_change_nothing_but_the_test_metrics(dataset: Dataset) -> None:
    trial = Trial(tiny_config(), dataset=dataset)
    importance = dataset.importance.copy()
    importance[trial.split.test] = importance[trial.split.test][::-1] * 3
    other = Trial(tiny_config(), dataset=replace(dataset, importance=importance))
    assert list(trial) == list(other)
    assert np.array_equal(trial.predictions(), other.predictions())
    assert trial.evaluate("val") == other.evaluate("val")
    assert trial.evaluate("test") != other.evaluate("test")


def test_read_only_arrays_are_used_without_a_warning(dataset: Dataset) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(Trial(tiny_config(), dataset=dataset))


@pytest.mark.parametrize("name", ["tpu", "cpu:0", "cuda:", "cuda:x", "cuda:99", "cuda:-1", "CUDA", ""])
def test_an_unknown_device_is_refused(dataset: Dataset, name: str) -> None:
    config = tiny_config()
    object.__setattr__(config.runtime, "device", name)
    with pytest.raises(DeviceError, match=r"runtime\.device"):
        Trial(config, dataset=dataset)


def test_features_that_the_data_set_lacks_are_refused(dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match=r"data\.features: concat is not among the features of tiny \(struct\)"):
        Trial(tiny_config({"data.features": "concat"}), dataset=dataset)


def test_sampling_that_the_labels_do_not_allow_is_refused_before_training(dataset: Dataset) -> None:
    config = tiny_config({"pretrain.bins.kind": "quantile", "pretrain.bins.count": 1000})
    with pytest.raises(DataError, match=r"pretrain\.bins\.count"):
        Trial(config, dataset=dataset)


def test_notes_tell_what_the_numbers_do_not(dataset: Dataset) -> None:
    trial = Trial(tiny_config(), dataset=replace(dataset, notes=("from the data",)))
    assert trial.notes == ("from the data",)
    list(trial)
    assert trial.notes[0] == "from the data"
    assert any("k is capped" in note for note in trial.notes)


@pytest.fixture
def no_gc(dataset: Dataset) -> Iterator[None]:
    """Without Python's look for objects that only hold each other."""
    # What torch loads at its first epoch holds the frames that it was loaded from.
    list(Trial(tiny_config(), dataset=dataset))
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def living() -> tuple[int, int]:
    """How many encoders and how many models there are."""
    kinds = Counter(map(type, gc.get_objects()))
    encoders, models = (
        sum(count for kind, count in kinds.items() if issubclass(kind, wanted)) for wanted in (Encoder, DownstreamModel)
    )
    return encoders, models


@pytest.mark.parametrize(("training", "beside_the_model"), [("before", 0), ("joint", 1)])
def test_encoder_and_model_are_gone_as_soon_as_they_are_not_needed(
    dataset: Dataset, training: str, beside_the_model: int, no_gc: None
) -> None:
    trial = Trial(tiny_config({"pretrain.training": training}), dataset=dataset)
    expected = {"pretrain": (1, 0), "downstream": (beside_the_model, 1)}
    assert [living() for report in trial if living() != expected[report.stage]] == []
    del trial
    assert living() == (0, 0)


@pytest.mark.parametrize("stage", ["pretrain", "downstream"])
def test_a_trial_that_diverged_keeps_nothing(dataset: Dataset, stage: str, no_gc: None) -> None:
    trial = Trial(tiny_config({f"{stage}.lr": 1e30, f"{stage}.clip_norm": None}), dataset=dataset)
    for _ in range(2):
        with pytest.raises(DivergedError, match=stage):
            list(trial)
    del trial
    assert living() == (0, 0)


def test_both_backends_agree(dataset: Dataset) -> None:
    values = {
        backend: [
            report.metrics["val.rmse"]
            for report in Trial(tiny_config({"runtime.backend": backend, "runtime.dtype": "float64"}), dataset=dataset)
        ]
        for backend in available_backends()
    }
    for other in values.values():
        np.testing.assert_allclose(other, values["torch"], rtol=1e-6)
