"""Stage 2 learns whatever its inputs are: wide, large, of few columns; and says so where it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from test_trial import through_a_file
from trial_cases import NUM_NODES, tiny_config, tiny_dataset

from licap.config import config_from
from licap.datasets.dataset import Dataset
from licap.downstream import Downstream
from licap.label_scale import with_labels
from licap.model_configs import TRAINED_MODELS
from licap.models import Setting, build_model
from licap.models.base import root_mean_square
from licap.presets import PRESETS
from licap.reproducibility import set_threads
from licap.stalled import STALLED_AFTER, LossHistory
from licap.training import Learner
from licap.trial import Trial

NODES = np.random.default_rng(1).permutation(NUM_NODES)
TRAIN, VAL = torch.from_numpy(NODES[:100]), torch.from_numpy(NODES[100:130])
# Columns and the size of their values; the first column is one that importance follows.
INPUTS = {"narrow": (6, 1.0), "wide": (300, 1.0), "wide and large": (300, 40.0), "huge": (60, 1e4)}
PUBLISHED = {"downstream.initial_scores": "drawn", "downstream.step_limit": None}


def wide_features(columns: int, size: float) -> np.ndarray:
    """[N, columns] features that start with those of the tiny data set, which importance follows; then noise."""
    rng = np.random.default_rng(2)
    given = tiny_dataset().features["struct"][:, :columns]
    noise = rng.normal(size=(NUM_NODES, columns - given.shape[1]))
    return (np.hstack([given, noise]) * size).astype(np.float32)


def make_stage(values: Mapping[str, object], columns: int, size: float) -> Downstream:
    """Stage 2 of a model on features alone, as a trial makes it; models of two channels get them twice."""
    model_config = config_from({"downstream.input": "features", "data.features": "both"} | dict(values)).downstream
    data = tiny_dataset()
    channels = [torch.from_numpy(wide_features(columns, size))] * (1 + model_config.model_config.two_channels)
    set_threads(1)
    torch.manual_seed(0)
    model = build_model(
        model_config,
        Setting(
            graph=data.graph,
            widths=tuple(each.shape[1] for each in channels),
            labelled=data.valid,
            backend="torch",
        ),
    )
    labels = torch.log1p(torch.from_numpy(data.importance.copy()))
    whole = with_labels(model_config.labels, model, labels, TRAIN)
    return Downstream(whole, channels, labels, train=TRAIN, val=VAL, config=model_config)


def losses_of(stage: Downstream, epochs: int) -> list[float]:
    """Training loss of each epoch; dropout from one seed."""
    torch.manual_seed(3)
    return [stage.step().loss for _ in range(epochs)]


@pytest.mark.parametrize("model", TRAINED_MODELS)
@pytest.mark.parametrize(("name", "labels"), [*((name, "bias") for name in INPUTS), ("wide and large", "standardised")])
def test_every_model_learns_on_every_input(model: str, name: str, labels: str) -> None:
    losses = losses_of(make_stage({"downstream.model": model, "downstream.labels": labels}, *INPUTS[name]), 20)
    # Dropout and batch statistics let a loss rise a little.
    assert max(losses) < 1.7 * losses[0]
    assert min(losses[-5:]) < 0.95 * losses[0]


def test_what_is_published_does_not_learn_there() -> None:
    # What the limit and the matched scores are for; without them this file would test nothing.
    for model in ("geni", "gcn", "graphsage", "rgcn", "gat"):
        stage = make_stage(PUBLISHED | {"downstream.model": model}, *INPUTS["wide and large"])
        assert min(losses_of(stage, 10)) > 1.5 * stage._labels[TRAIN].var(), model


@pytest.mark.parametrize("limit", [0.2, 1.0])
@pytest.mark.parametrize("labels", ["plain", "standardised", "bias"])
def test_an_epoch_moves_scores_no_further_than_the_limit(labels: str, limit: float) -> None:
    values = {"downstream.lr": 0.05, "downstream.step_limit": limit, "downstream.labels": labels}
    stage, true = make_stage(values, *INPUTS["wide"]), None
    stage.step()
    moved_by_limit = 0
    for _ in range(12):
        before, true = stage.scores[TRAIN], stage._labels[TRAIN]
        stage.step()
        error = root_mean_square(before - true)
        moved = root_mean_square(stage.scores[TRAIN] - before)
        assert moved <= limit * error
        moved_by_limit += bool(moved > 0.5 * limit * error)
    assert moved_by_limit


def test_a_limit_that_is_kept_anyway_changes_no_bit() -> None:
    values = {"downstream.lr": 1e-3, "downstream.initial_scores": "drawn"}
    free, limited = (
        make_stage(values | {"downstream.step_limit": limit}, *INPUTS["narrow"]) for limit in (None, 100.0)
    )
    assert losses_of(free, 10) == losses_of(limited, 10)
    assert torch.equal(free.scores, limited.scores)


@pytest.mark.parametrize("model", TRAINED_MODELS)
@pytest.mark.parametrize("labels", ["plain", "standardised", "bias"])
def test_first_scores_are_no_larger_than_the_labels(model: str, labels: str) -> None:
    for columns, size in INPUTS.values():
        stage = make_stage({"downstream.model": model, "downstream.labels": labels}, columns, size)
        shift = stage._model.shift.detach()
        first = stage._model.eval()(*stage._channels)[TRAIN].detach() - shift
        assert root_mean_square(first) <= 1.001 * root_mean_square(stage._labels[TRAIN] - shift)


def test_scores_that_are_small_anyway_are_left_as_they_are() -> None:
    matched, drawn = (make_stage({"downstream.initial_scores": kind}, 6, 0.3) for kind in ("matched", "drawn"))
    assert matched._model.factor == 1
    assert losses_of(matched, 3) == losses_of(drawn, 3)


def test_the_reported_loss_is_in_units_of_the_labels() -> None:
    stage = make_stage({"downstream.model": "gcn", "downstream.gcn.hidden": 8}, *INPUTS["wide and large"])
    assert stage._model.factor < 0.1
    first = stage._model(*stage._channels)[TRAIN].detach()
    expected = torch.nn.functional.mse_loss(first, stage._labels[TRAIN]).item()
    assert stage.step().loss == pytest.approx(expected, rel=1e-4)


def test_labels_that_are_all_equal_leave_the_scores_as_they_are() -> None:
    labels = torch.full((NUM_NODES,), 4.0)
    config = config_from({"downstream.input": "features"}).downstream
    data = tiny_dataset()
    model = build_model(config, Setting(graph=data.graph, widths=(6,), labelled=data.valid, backend="torch"))
    for kind in ("standardised", "bias"):
        whole = with_labels(kind, model, labels, TRAIN)
        whole.match_scale([torch.from_numpy(wide_features(6, 100.0))], labels, TRAIN)
        assert whole.factor == 1


def wide_dataset() -> Dataset:
    """The tiny data set with wide, large features."""
    features = wide_features(300, 30.0)
    features.flags.writeable = False
    return replace(tiny_dataset(fingerprint="wide"), features={"struct": features})


@pytest.mark.parametrize("training", ["before", "joint"])
def test_a_trial_under_the_limit_goes_on_bit_for_bit(training: str) -> None:
    config = tiny_config({"pretrain.max_epochs": 2, "pretrain.training": training, "downstream.step_limit": 0.1})
    data = wide_dataset()
    whole = Trial(config, dataset=data)
    uncut = list(whole)
    assert whole._downstream._limit.rate < 1
    skipped = 2 if training == "before" else 0
    for cut in (skipped, skipped + 1, skipped + 5):
        cut_off, resumed = Trial(config, dataset=data), Trial(config, dataset=data)
        head = list(islice(cut_off, cut))
        resumed.load_state_dict(through_a_file(cut_off.state_dict()))
        assert head + list(resumed) == uncut
        assert np.array_equal(resumed.predictions(), whole.predictions())


def test_the_published_presets_train_as_published() -> None:
    for by_model in PRESETS.values():
        for values in by_model.values():
            assert {name: values[name] for name in PUBLISHED} == PUBLISHED


def test_pulling_an_update_back_leaves_a_share_of_it() -> None:
    module = torch.nn.Linear(3, 1)
    learner = Learner(
        module, lambda: {"loss": module(torch.ones(2, 3)).square().mean()}, lr=0.1, weight_decay=0.0, clip_norm=None
    )
    start = learner.values()
    learner.gradients()
    learner.update()
    gone = [each - before for each, before in zip(learner.values(), start, strict=True)]
    learner.pull_back(start, 0.25)
    for each, before, way in zip(learner.values(), start, gone, strict=True):
        torch.testing.assert_close(each - before, 0.25 * way)


@pytest.mark.parametrize(
    ("losses", "noted"),
    [
        ([1.0] + [1.1] * STALLED_AFTER, True),
        ([1.0] + [1.1] * (STALLED_AFTER - 1), False),
        ([1.0] + [1.0] * STALLED_AFTER, False),
        ([1.0] + [1.1] * STALLED_AFTER + [0.9], False),
        ([1.0, 0.9] + [1.1] * STALLED_AFTER, True),
        ([1.0, 1.1, 0.9] + [1.1] * (STALLED_AFTER - 1), False),
    ],
)
def test_a_loss_above_its_start_for_thirty_epochs_is_noted(losses: list[float], noted: bool) -> None:
    history, resumed = LossHistory(), LossHistory()
    for loss in losses[:20]:
        history.add(loss)
    resumed.load_state_dict(history.state_dict())
    for loss in losses[20:]:
        resumed.add(loss)
    assert [note.partition(":")[0] for note in resumed.notes] == ["stalled"] * noted


def test_a_trial_that_stalls_says_so_beside_its_values() -> None:
    values = PUBLISHED | {
        "downstream.model": "graphsage",
        "downstream.input": "features",
        "downstream.lr": 0.1,
        "downstream.max_epochs": 40,
    }
    stalled = Trial(tiny_config(values), dataset=wide_dataset())
    list(stalled)
    assert any(note.startswith("stalled: the training loss") for note in stalled.notes)
    learns = Trial(tiny_config(values | {"downstream.lr": 0.005, "downstream.step_limit": 1.0}), dataset=tiny_dataset())
    list(learns)
    assert not any("stalled" in note for note in learns.notes)
