"""What may not know which labels: test labels move nothing, validation labels move validation values alone.

Checked bit for bit, on whole trials, for everything in the registries that a config can name.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
import sklearn.linear_model  # noqa: F401  Loading it draws from Python's generator: before the first trial.
import torch
from numpy.typing import NDArray
from trial_cases import tiny_config, two_channel_dataset

from licap.config import DownstreamConfig, PretrainConfig, TrialConfig
from licap.fields import specs_of
from licap.metrics import evaluate
from licap.model_configs import MODEL_NAMES, ModelConfigs
from licap.presets import PRESETS
from licap.splits import make_split, transform_labels
from licap.trial import Report, Trial, contrastive_sample

DATASET = two_channel_dataset()
SPLIT = make_split(DATASET.valid, fold=0, seed=0)
UNLABELLED = np.flatnonzero(~DATASET.valid)
PRETRAINING = {"pretrain.max_epochs": 3, "pretrain.probe_every": 2}
# No epoch is watched, so that predictions are always those of the latest epoch.
SHORT = PRETRAINING | {
    "pretrain.patience": 99,
    "downstream.max_epochs": 3,
    "downstream.min_epoch": 99,
    "downstream.random_forest.num_trees": 5,
    "downstream.mlp.max_iterations": 5,
}
TRAINED = [name for name in MODEL_NAMES if getattr(ModelConfigs(), name).trained]
GRAPH_ALONE = [name for name in MODEL_NAMES if not getattr(ModelConfigs(), name).sees_inputs]
INPUTS = specs_of(DownstreamConfig)["input"].choices
LABELS = specs_of(DownstreamConfig)["labels"].choices
BINS = specs_of(PretrainConfig)["bins.kind"].choices
ENCODERS = specs_of(PretrainConfig)["encoder"].choices
BOTH = {"data.features": "both"}

BY_MODEL = {
    name: BOTH | {"downstream.model": name} | ({"downstream.input": "features"} if name in GRAPH_ALONE else {})
    for name in MODEL_NAMES
}
CASES: Mapping[str, Mapping[str, object]] = {
    **BY_MODEL,
    **{
        f"{model}, labels {labels}": BOTH
        | {"downstream.model": model, "downstream.labels": labels, "downstream.input": "features"}
        for model in TRAINED
        for labels in LABELS
        if labels != DownstreamConfig().labels
    },
    **{f"input {seen}": {"downstream.input": seen} for seen in INPUTS},
    **{f"encoder {encoder}": {"pretrain.encoder": encoder, "downstream.input": "embeddings"} for encoder in ENCODERS},
    **{f"joint, labels {labels}": {"pretrain.training": "joint", "downstream.labels": labels} for labels in LABELS},
    "joint, two channels": BOTH | {"pretrain.training": "joint", "downstream.model": "rgtn"},
    **{f"bins {kind}": {"pretrain.bins.kind": kind, "pretrain.embeddings": "best"} for kind in BINS},
    **{f"published {model}": {**PRESETS["published"][model], **BOTH} for model in ("geni", "rgtn")},
    "another fold": {"fold": 3},
    "double": {"runtime.dtype": "float64"},
}


def config_of(case: str, values: Mapping[str, object] = {}) -> TrialConfig:
    """The case's config, made short."""
    return tiny_config({**CASES[case], **SHORT, **values})


@dataclass(frozen=True, eq=False)
class Run:
    """What a trial showed. predictions, embeddings: [N] and [N, D] after each report, None where there are none."""

    reports: list[Report]
    predictions: list[NDArray[np.float64] | None]
    embeddings: list[NDArray[np.floating] | None]
    notes: tuple[str, ...]
    metrics: dict[str, dict[str, float]]
    state: dict[str, object]


def run_of(config: TrialConfig, importance: NDArray[np.float32]) -> Run:
    """A whole trial on the tiny data set with these scores."""
    trial = Trial(config, dataset=replace(DATASET, importance=importance))
    reports, predictions, embeddings = [], [], []
    for report in trial:
        reports.append(report)
        predictions.append(trial.predictions() if report.stage == "downstream" else None)
        embeddings.append(trial.embeddings())
    metrics = {split: trial.evaluate(split) for split in ("train", "val", "test")}
    return Run(reports, predictions, embeddings, trial.notes, metrics, trial.state_dict())


def with_other_scores(nodes: NDArray[np.int64], seed: int = 0) -> NDArray[np.float32]:
    """The data set's scores, those of some nodes shuffled and larger."""
    importance = DATASET.importance.copy()
    importance[nodes] = 1 + 30 * np.random.default_rng(seed).permutation(importance[nodes])
    return importance


@cache
def run(case: str, replaced: str) -> Run:
    """The case's trial with the scores of some nodes replaced: none, hidden, val or train."""
    config = config_of(case)
    split = make_split(DATASET.valid, fold=config.fold, seed=config.split_seed)
    nodes = {
        "none": split.test[:0],
        "hidden": np.concatenate([split.test, UNLABELLED]),
        "val": split.val,
        "train": split.train,
    }
    return run_of(config, with_other_scores(nodes[replaced]))


def assert_same_arrays(ours: list[NDArray[np.float64] | None], theirs: list[NDArray[np.float64] | None]) -> None:
    """Array by array, to the last bit."""
    assert len(ours) == len(theirs)
    assert all(
        np.array_equal(*pair) if pair[0] is not None else pair[1] is None for pair in zip(ours, theirs, strict=True)
    )


def same(ours: object, theirs: object) -> bool:
    """Whether two states are equal to the last bit."""
    if isinstance(ours, torch.Tensor):
        return torch.equal(ours, theirs)
    if isinstance(ours, Mapping):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, (list, tuple)):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs


def of_training(reports: list[Report]) -> list[dict[str, float]]:
    """What no validation label may move."""
    free = ("pretrain.", "signal.", "downstream.loss")
    return [{name: value for name, value in each.metrics.items() if name.startswith(free)} for each in reports]


@pytest.mark.parametrize("case", CASES)
def test_labels_of_test_nodes_and_scores_of_unlabelled_nodes_move_nothing(case: str) -> None:
    own, other = run(case, "none"), run(case, "hidden")
    assert own.reports == other.reports
    assert_same_arrays(own.predictions, other.predictions)
    assert_same_arrays(own.embeddings, other.embeddings)
    assert own.notes == other.notes
    assert same(own.state, other.state)
    for split in ("train", "val"):
        assert own.metrics[split] == other.metrics[split]
    assert own.metrics["test"] != other.metrics["test"]


@pytest.mark.parametrize("case", CASES)
def test_labels_of_validation_nodes_move_validation_values_alone(case: str) -> None:
    own, other = run(case, "none"), run(case, "val")
    assert of_training(own.reports) == of_training(other.reports)
    assert_same_arrays(own.predictions, other.predictions)
    assert_same_arrays(own.embeddings, other.embeddings)
    for split in ("train", "test"):
        assert own.metrics[split] == other.metrics[split]
    for ours, theirs in zip(own.reports, other.reports, strict=True):
        for name in ("val.rmse", "val.median_ae", "val.spearman", "downstream.val_loss"):
            assert name not in ours.metrics or ours.metrics[name] != theirs.metrics[name]


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_labels_of_training_nodes_are_what_models_learn_from(model: str) -> None:
    own, other = run(model, "none"), run(model, "train")
    if model not in GRAPH_ALONE:
        assert not np.allclose(own.predictions[-1], other.predictions[-1])
        return
    assert_same_arrays(own.predictions, other.predictions)
    for split in ("val", "test"):
        assert own.metrics[split] == other.metrics[split]


@pytest.mark.parametrize("case", CASES)
def test_reported_values_are_those_of_their_own_nodes(case: str) -> None:
    found, fold = run(case, "none"), config_of(case).fold
    split = make_split(DATASET.valid, fold=fold, seed=0)
    labels = transform_labels(DATASET.importance)
    for report, predicted in zip(found.reports, found.predictions, strict=True):
        if predicted is None:
            continue
        values = {name: value for name, value in report.metrics.items() if name.startswith("val.")}
        expected = evaluate(labels[split.val], predicted[split.val])
        assert values == {f"val.{name}": value for name, value in expected.items()}
        errors = {name: np.mean((predicted - labels)[getattr(split, name)] ** 2) for name in ("train", "val")}
        assert report.metrics["downstream.val_loss"] == pytest.approx(errors["val"], rel=1e-4)
        if not config_of(case).downstream.model_config.trained:
            assert report.metrics["downstream.loss"] == pytest.approx(errors["train"], rel=1e-4)
    for name in ("train", "val", "test"):
        nodes = getattr(split, name)
        assert found.metrics[name] == evaluate(labels[nodes], found.predictions[-1][nodes])


@pytest.mark.parametrize(
    ("nodes", "noted"),
    [(SPLIT.train, False), (SPLIT.val, True), (SPLIT.test, False)],
    ids=["train", "val", "test"],
)
def test_notes_are_those_of_validation_nodes(nodes: NDArray[np.int64], noted: bool) -> None:
    importance = DATASET.importance.copy()
    importance[nodes] = 5.0
    notes = run_of(config_of("gcn, labels plain"), importance).notes
    assert any("all labels are equal" in note for note in notes) == noted


@pytest.mark.parametrize("monitor", specs_of(DownstreamConfig)["monitor"].choices)
@pytest.mark.parametrize("model", ["geni", "rgtn"])
def test_the_best_epoch_is_the_one_that_validation_nodes_prefer(model: str, monitor: str) -> None:
    watched = {"downstream.max_epochs": 12, "downstream.min_epoch": 2, "downstream.patience": 99}
    config = tiny_config(
        BY_MODEL[model]
        | watched
        | {"downstream.monitor": monitor, "downstream.input": "features", "downstream.lr": 0.1}
    )
    # Their labels have nothing to do with those of training nodes, which prefer other epochs.
    importance = with_other_scores(SPLIT.val)
    latest = run_of(config.with_values({"downstream.min_epoch": 99}), importance).predictions
    best = {name: best_epochs(latest, importance, getattr(SPLIT, name), monitor) for name in ("train", "val", "test")}
    assert best["val"] not in (best["train"], best["test"])
    assert_same_arrays(run_of(config, importance).predictions, [latest[epoch] for epoch in best["val"]])


def best_epochs(
    latest: list[NDArray[np.float64]], importance: NDArray[np.float32], nodes: NDArray[np.int64], monitor: str
) -> list[int]:
    """After each epoch, which one is the best; the latest before epoch 2, and of two that are equal."""
    labels = transform_labels(importance)[nodes]
    by = {
        "loss": lambda predicted: -np.mean((predicted - labels) ** 2),
        "spearman": lambda predicted: evaluate(labels, predicted)["spearman"],
    }
    scores = [by[monitor](each[nodes]) for each in latest]
    return [epoch if epoch < 2 else max(range(2, epoch + 1), key=lambda k: (scores[k], k)) for epoch in range(12)]


@pytest.mark.parametrize("case", ["geni", "rgtn", "joint, two channels", "mlp"])
def test_no_tensor_holds_a_label_of_a_test_node(case: str) -> None:
    importance = DATASET.importance.copy()
    importance[SPLIT.test] = np.linspace(1e30, 2e30, SPLIT.test.size)
    sealed, before = transform_labels(importance)[SPLIT.test], living_tensors()
    trial = Trial(config_of(case), dataset=replace(DATASET, importance=importance))
    # The labels that the trial evaluates by may share their memory with a tensor.
    allowed = trial._labels.ctypes.data
    for report in trial:
        if report.epoch == 0:
            new = [each for name, each in living_tensors().items() if name not in before]
            assert len(new) > 3
            assert [each for each in new if np.isin(each.detach(), sealed).any() and each.data_ptr() != allowed] == []


def living_tensors() -> dict[int, torch.Tensor]:
    """Every tensor there is, by its address."""
    return {id(each): each for each in gc.get_objects() if type(each) in (torch.Tensor, torch.nn.Parameter)}


@pytest.mark.parametrize("fold", range(5))
def test_only_training_nodes_are_contrasted(fold: int) -> None:
    config = tiny_config({"fold": fold})
    train = make_split(DATASET.valid, fold=fold, seed=0).train
    own = contrastive_sample(config, DATASET)
    assert np.isin(np.concatenate([own.top, own.pool, own.drawn]), train).all()
    others = np.setdiff1d(np.arange(DATASET.valid.size), train)
    for seed in range(3):
        changed = replace(DATASET, importance=with_other_scores(others, seed))
        other = contrastive_sample(config, changed)
        for name, value in vars(own).items():
            assert np.array_equal(value, getattr(other, name))
