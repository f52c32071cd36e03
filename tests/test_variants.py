"""Trials of every model and every ablation: channels, untrained encoders, joint training, label handling."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from test_trial import through_a_file
from trial_cases import tiny_config, tiny_dataset, two_channel_dataset

from licap.config import config_from
from licap.datasets.dataset import Dataset
from licap.errors import ConfigError, DivergedError
from licap.metrics import METRICS
from licap.model_configs import MODEL_NAMES, ModelConfigs
from licap.pretrain import Contrast
from licap.sampling import closeness
from licap.splits import make_split
from licap.trial import Trial, contrastive_sample

CONFIG_OF = {name: {"downstream.model": name, "data.features": "both"} for name in MODEL_NAMES}
for _name, _config in CONFIG_OF.items():
    if not getattr(ModelConfigs(), _name).sees_inputs:
        _config["downstream.input"] = "features"
VARIANTS = {
    "two channels": {"data.features": "both"},
    "rgtn": {"data.features": "both", "downstream.model": "rgtn"},
    "rgtn, gate": {"data.features": "both", "downstream.model": "rgtn", "downstream.rgtn.edge_mode": "gate"},
    "untrained": {"downstream.input": "untrained"},
    "joint": {"pretrain.training": "joint"},
    "joint, two channels": {"pretrain.training": "joint", "data.features": "both", "downstream.model": "rgtn"},
    "standardised": {"downstream.labels": "standardised"},
    "bias": {"downstream.labels": "bias"},
    "fitted": {"downstream.model": "mlp"},
    "gat": {"pretrain.encoder": "gat"},
    "one channel stops before the other": {
        "data.features": "both",
        "pretrain.patience": 1,
        "pretrain.lr": 0.3,
        "pretrain.max_epochs": 12,
    },
}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """The same arrays for all tests: nothing writes to them."""
    return two_channel_dataset()


def embeddings_of(dataset: Dataset, **values: object) -> np.ndarray:
    """What stage 2 gets to see."""
    trial = Trial(tiny_config({key.replace("__", "."): value for key, value in values.items()}), dataset=dataset)
    list(trial)
    found = trial.embeddings()
    assert found is not None
    return found


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_every_model_makes_a_whole_trial(dataset: Dataset, name: str) -> None:
    trial = Trial(tiny_config(CONFIG_OF[name]), dataset=dataset)
    reports = list(trial)
    assert all(math.isfinite(value) for report in reports for value in report.metrics.values())
    second = [report for report in reports if report.stage == "downstream"]
    assert second[0].budget == 7
    assert len(second) == (8 if trial.config.downstream.model_config.trained else 1)
    assert trial.finished and np.isfinite(trial.predictions()).all()
    # Nodes are told apart, those of the test fold too.
    assert np.unique(trial.predictions()[trial.split.test]).size > 5
    assert list(trial.evaluate("test")) == list(METRICS)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_resumed_bit_for_bit(dataset: Dataset, name: str) -> None:
    config = tiny_config(VARIANTS[name])
    whole = Trial(config, dataset=dataset)
    uncut = list(whole)
    for cut in range(0, len(uncut) + 1, 3):
        cut_off, resumed = Trial(config, dataset=dataset), Trial(config, dataset=dataset)
        head = list(islice(cut_off, cut))
        resumed.load_state_dict(through_a_file(cut_off.state_dict()))
        assert head + list(resumed) == uncut
        assert np.array_equal(resumed.predictions(), whole.predictions())


def test_a_channels_embeddings_do_not_depend_on_the_other(dataset: Dataset) -> None:
    struct, semantic, both = (
        embeddings_of(dataset, data__features=features) for features in ("struct", "semantic", "both")
    )
    assert np.array_equal(both, np.concatenate([struct, semantic], axis=1))


def test_numbers_of_an_epoch_are_means_over_the_channels_that_each_train_on_their_own(dataset: Dataset) -> None:
    struct, semantic, both = (
        [report.metrics for report in islice(Trial(tiny_config({"data.features": kind}), dataset=dataset), 3)]
        for kind in ("struct", "semantic", "both")
    )
    for name in ("pretrain.loss", "pretrain.l1", "pretrain.l2", "pretrain.grad_norm"):
        means = [(first[name] + second[name]) / 2 for first, second in zip(struct, semantic, strict=True)]
        assert [each[name] for each in both] == pytest.approx(means, rel=1e-9)


def test_models_of_one_channel_see_two_side_by_side(dataset: Dataset) -> None:
    values = {"downstream.input": "features", "downstream.model": "linear_regression"}
    predictions = []
    for features in ("concat", "both"):
        trial = Trial(tiny_config(values | {"data.features": features}), dataset=dataset)
        list(trial)
        predictions.append(trial.predictions())
    assert np.array_equal(*predictions)


def test_untrained_embeddings_are_those_of_the_initial_weights(dataset: Dataset) -> None:
    untrained = embeddings_of(dataset, downstream__input="untrained")
    first = embeddings_of(dataset, pretrain__max_epochs=1)
    trained = embeddings_of(dataset)
    # The first epoch's embeddings belong to the parameters before its step.
    np.testing.assert_allclose(untrained, first, rtol=1e-6)
    assert not np.allclose(untrained, trained, rtol=1e-3)


def test_untrained_embeddings_that_are_not_finite_are_named() -> None:
    trial = Trial(tiny_config({"downstream.input": "features+untrained"}), dataset=tiny_dataset(scale=1e38))
    with pytest.raises(DivergedError, match=r"pretrain epoch 0: an untrained embedding \(struct\)"):
        next(trial)


def test_without_training_of_the_encoder_stage_2_starts_where_it_always_does(dataset: Dataset) -> None:
    for values in ({"downstream.input": "features+untrained"}, {"pretrain.training": "joint"}):
        assert [report.budget for report in Trial(tiny_config(values), dataset=dataset)] == list(range(7, 15))


def joint_losses(dataset: Dataset, **values: object) -> list[float]:
    """Losses of joint training on two channels, epoch by epoch."""
    joint = {"pretrain.training": "joint", "downstream.input": "embeddings", "data.features": "both"}
    config = tiny_config(joint | {key.replace("__", "."): value for key, value in values.items()})
    return [report.metrics["downstream.loss"] for report in Trial(config, dataset=dataset)]


def test_joint_training_lowers_the_models_loss_and_both_losses_of_each_channel(dataset: Dataset) -> None:
    alone = joint_losses(dataset, pretrain__eta1=1e-30, pretrain__eta2=1e-30)
    whole = joint_losses(dataset, pretrain__eta1=5.0, pretrain__eta2=3.0)
    config = tiny_config({"pretrain.eta1": 5.0, "pretrain.eta2": 3.0})
    sample = contrastive_sample(config, dataset)
    contrast = Contrast.from_sample(sample, config.pretrain, device=torch.device("cpu"), dtype=torch.float32)
    start = torch.from_numpy(embeddings_of(dataset, downstream__input="untrained", data__features="both"))
    contrasted = sum(contrast.losses(channel).total.item() for channel in start.chunk(2, dim=1))
    assert whole[0] == pytest.approx(alone[0] + contrasted, rel=1e-4)
    assert whole[-1] < whole[0]


def test_joint_training_moves_the_encoders(dataset: Dataset) -> None:
    trial = Trial(tiny_config({"pretrain.training": "joint", "downstream.max_epochs": 2}), dataset=dataset)
    next(trial)
    before = trial.state_dict()["downstream"]["learner"]["parameters"]
    next(trial)
    after = trial.state_dict()["downstream"]["learner"]["parameters"]
    encoders = [name for name in before if name.startswith("encoders.")]
    assert encoders and not any(torch.equal(before[name], after[name]) for name in encoders)


def test_scores_start_at_the_mean_of_the_training_labels_and_on_their_scale(dataset: Dataset) -> None:
    def at_start(kind: str) -> np.ndarray:
        # A step of this length moves nothing.
        values = {"downstream.labels": kind, "downstream.max_epochs": 1, "downstream.lr": 1e-12}
        trial = Trial(tiny_config(values | {"downstream.input": "features"}), dataset=dataset)
        list(trial)
        return trial.predictions()

    train = make_split(dataset.valid, fold=0, seed=0).train
    labels, plain = np.log1p(dataset.importance[train].astype(np.float64)), at_start("plain")
    np.testing.assert_allclose(at_start("standardised"), plain * labels.std() + labels.mean(), rtol=1e-5)
    np.testing.assert_allclose(at_start("bias"), plain + labels.mean(), rtol=1e-5)


def test_equal_labels_are_no_trouble_when_standardised(dataset: Dataset) -> None:
    flat = replace(dataset, importance=np.where(dataset.valid, np.float32(7.0), np.float32(0.0)))
    config = tiny_config({"downstream.labels": "standardised", "downstream.input": "features"})
    trial = Trial(config, dataset=flat)
    list(trial)
    assert np.isfinite(trial.predictions()).all()


def test_without_closeness_weighting_all_bins_weigh_one(dataset: Dataset) -> None:
    weighted, flat = (
        contrastive_sample(tiny_config({"pretrain.beta.kind": kind}), dataset).closeness_of_top
        for kind in ("binomial", "none")
    )
    assert weighted.shape == flat.shape
    assert (flat == 1).all() and not (weighted == 1).all()
    assert closeness(3, p=0.5, scale=1.0).min() < 1


def test_only_the_encoder_with_relations_sees_them(dataset: Dataset) -> None:
    graph = dataset.graph
    renamed = replace(dataset, graph=replace(graph, rel=np.random.default_rng(0).permutation(graph.rel)))
    for encoder, sees in (("pregat", True), ("gat", False)):
        own, other = (embeddings_of(data, pretrain__encoder=encoder) for data in (dataset, renamed))
        assert sees != np.array_equal(own, other)


@pytest.mark.parametrize("name", [name for name in MODEL_NAMES if config_from({}).downstream.model != name])
def test_a_model_that_diverges_says_where(dataset: Dataset, name: str) -> None:
    config = tiny_config(CONFIG_OF[name] | {"downstream.lr": 1e30, "downstream.input": "features"})
    trial = Trial(config, dataset=dataset)
    if not config.downstream.model_config.trained:
        list(trial)
        return
    with pytest.raises(DivergedError) as caught:
        list(trial)
    assert (caught.value.stage, caught.value.epoch) == ("downstream", trial.state_dict()["diverged"][1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"downstream.model": "rgtn"},
            r"data\.features: is struct, but rgtn takes structure and semantic.*Set it to both",
        ),
        ({"downstream.model": "pagerank"}, r"downstream\.input: is features\+embeddings.*Set it to features"),
        ({"downstream.model": "gat", "downstream.gat.heads": 7}, r"downstream\.gat\.heads: must divide hidden.*as 63"),
        ({"pretrain.training": "joint", "downstream.input": "untrained"}, r"pretrain\.training: is joint, but"),
        ({"pretrain.training": "joint", "downstream.model": "mlp"}, r"mlp is not trained by gradient"),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_remedy(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_from(values)


def test_a_missing_channel_is_refused_before_training(dataset: Dataset) -> None:
    lacking = replace(dataset, features={"struct": dataset.features["struct"]})
    with pytest.raises(ConfigError, match=r"semantic is not among the features of tiny \(struct\)"):
        Trial(tiny_config({"data.features": "both"}), dataset=lacking)
