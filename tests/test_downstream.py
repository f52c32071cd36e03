"""The training stage by itself; its numbers are checked against golden vectors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from trial_cases import NUM_NODES, tiny_config, tiny_dataset

from licap.config import DownstreamConfig
from licap.downstream import Downstream, Fitting
from licap.errors import DivergedError
from licap.models import FittedModel, Setting, build_model

CONFIG = tiny_config({"downstream.lr": 0.05, "downstream.max_epochs": 30}).downstream
TRAIN, VAL = torch.arange(0, 100), torch.arange(100, 130)


def make_stage(config: DownstreamConfig = CONFIG) -> Downstream:
    """A stage on the tiny graph; the labels of nodes that are neither trained on nor validated are NaN."""
    data = tiny_dataset()
    setting = Setting(graph=data.graph, widths=(6,), labelled=data.valid, backend="auto")
    torch.manual_seed(0)
    model = build_model(config, setting).double()
    labels = torch.log1p(torch.tensor(data.importance).double())
    labels[130:] = float("nan")
    inputs = torch.tensor(data.features["struct"]).double()
    return Downstream(model, [inputs], labels, train=TRAIN, val=VAL, config=config)


def test_training_lowers_both_losses() -> None:
    stage = make_stage()
    epochs = []
    while not stage.finished:
        epochs.append(stage.step())
    assert epochs[-1].loss < epochs[0].loss / 2
    assert min(each.val_loss for each in epochs) < epochs[0].val_loss / 2


def test_the_best_scores_are_those_of_the_best_parameters() -> None:
    stage = make_stage(replace(CONFIG, lr=0.3))
    losses = [stage.step().val_loss for _ in range(3)]
    while losses[-1] == min(losses):
        losses.append(stage.step().val_loss)
    assert min(losses) == losses[stage.stopping.best_epoch]
    stage.restore_best()
    stage._model.eval()
    assert torch.equal(stage._model(*stage._channels), stage.best.scores)
    assert stage.best.scores.shape == (NUM_NODES,)


def test_scores_are_made_without_dropout_and_the_loss_with_it() -> None:
    calm, noisy = (make_stage(replace(CONFIG, geni=replace(CONFIG.geni, dropout=rate))) for rate in (0.0, 0.9))
    assert calm.step().loss != noisy.step().loss
    noisy._model.eval()
    assert torch.equal(noisy._model(*noisy._channels), noisy.scores)


def test_early_stopping_waits_for_patience() -> None:
    stage = make_stage(replace(CONFIG, lr=0.5, patience=3, max_epochs=200))
    while not stage.finished:
        stage.step()
    assert stage.stopping.early_stop
    assert stage.epoch < 200
    assert stage.epoch - 1 - stage.stopping.best_epoch == stage.stopping.counter == 3


def test_epochs_that_are_not_watched_stand_in_for_the_best() -> None:
    stage = make_stage(replace(CONFIG, min_epoch=3))
    for _ in range(3):
        stage.step()
        assert torch.equal(stage.best.scores, stage.scores)
    assert stage.stopping.best_epoch is None
    stage.step()
    assert stage.stopping.best_epoch == 3


@pytest.mark.parametrize("cut", [0, 1, 4])
@pytest.mark.parametrize("step_limit", [None, 0.05])
def test_a_stage_cut_anywhere_goes_on_to_the_same_bits(step_limit: float | None, cut: int) -> None:
    # Dropout draws from a generator that is no part of the stage.
    config = replace(CONFIG, lr=0.3, step_limit=step_limit, clip_norm=1.0, geni=replace(CONFIG.geni, dropout=0.0))
    whole, first, second = (make_stage(config) for _ in range(3))
    expected = [whole.step() for _ in range(8)]
    found = [first.step() for _ in range(cut)]
    state = first.state_dict()
    # What the second stage has done itself must not matter.
    second.step()
    second.load_state_dict(state)
    assert (second.best is None) == (cut == 0)
    found += [second.step() for _ in range(8 - cut)]
    assert found == expected
    assert torch.equal(second.best.scores, whole.best.scores) and second.best.val_metrics == whole.best.val_metrics
    assert all(torch.equal(value, whole.best.parameters[name]) for name, value in second.best.parameters.items())


def test_no_step_moves_scores_further_than_its_limit() -> None:
    limited, free = (make_stage(replace(CONFIG, lr=1.0, step_limit=limit)) for limit in (0.02, None))
    labels, start = limited._labels[TRAIN], limited._score()[TRAIN]
    error = (start - labels).square().mean().sqrt()
    for stage in (limited, free):
        stage.step()
    moved = [(stage.scores[TRAIN] - start).square().mean().sqrt() for stage in (limited, free)]
    assert 0 < moved[0] <= 0.02 * error < moved[1]


def test_a_gradient_that_is_clipped_to_nothing_moves_nothing() -> None:
    config = replace(CONFIG, step_limit=None, weight_decay=0.0)
    still, moving = (make_stage(replace(config, clip_norm=clip)) for clip in (1e-14, None))
    before = still._score()
    for stage in (still, moving):
        stage.step()
    assert (still.scores - before).abs().max() < 1e-4 < 1e-2 < (moving.scores - before).abs().max()


def test_inputs_that_could_take_a_gradient_get_none() -> None:
    stage = make_stage()
    (inputs,) = stage._channels
    inputs.requires_grad_()
    before = inputs.detach().clone()
    for _ in range(2):
        stage.step()
    assert inputs.grad is None and torch.equal(inputs, before)
    assert not stage.scores.requires_grad and not stage.best.scores.requires_grad


def test_a_score_that_is_not_finite_is_found_where_no_loss_sees_it() -> None:
    stage = make_stage()
    stage.step()
    best, unseen = stage.best, torch.tensor([NUM_NODES - 1])
    stage._model.register_forward_hook(lambda model, given, out: out.index_fill(0, unseen, torch.nan))
    with pytest.raises(DivergedError, match=r"downstream epoch 1: prediction"):
        stage.step()
    assert stage.best is best


def test_a_divergence_keeps_the_best() -> None:
    stage = make_stage()
    stage.step()
    best = stage.best
    with torch.no_grad():
        stage._model.beta.fill_(float("inf"))
    with pytest.raises(DivergedError, match=r"downstream epoch 1: loss"):
        stage.step()
    assert stage.best is best
    assert (stage.epoch, stage.stopping.best_epoch) == (1, 0)


class Given(FittedModel):
    """Predicts what it is given, whatever it is fitted on, and remembers that."""

    def __init__(self, scores: torch.Tensor) -> None:
        self.scores = scores

    @classmethod
    def build(cls, config: DownstreamConfig, setting: Setting) -> Given:
        """Not built from a config."""
        raise NotImplementedError

    def fit_predict(self, inputs: torch.Tensor, labels: torch.Tensor, train: torch.Tensor) -> torch.Tensor:
        """See `FittedModel.fit_predict`."""
        self.fitted_on = inputs, labels, train
        return self.scores


def test_a_fitted_model_is_measured_in_one_epoch() -> None:
    model, labels, inputs = Given(torch.tensor([1.0, 5.0, 2.0, 0.0])), torch.tensor([2.0, 1.0, 5.0, torch.nan]), TRAIN
    stage = Fitting(model, inputs, labels, train=torch.tensor([0, 2]), val=torch.tensor([1]))
    assert not stage.finished and stage.best is None
    epoch = stage.step()
    assert (epoch.loss, epoch.val_loss) == (5.0, 16.0)
    assert stage.finished and stage.best.val_metrics["rmse"] == 4.0
    assert torch.equal(stage.best.scores, model.scores)
    given, _, train = model.fitted_on
    assert given is inputs and train.tolist() == [0, 2]


def test_a_fitted_models_prediction_that_is_not_finite_diverges_wherever_it_is() -> None:
    stage = Fitting(
        Given(torch.tensor([1.0, 5.0, torch.inf])),
        TRAIN,
        torch.tensor([2.0, 1.0, torch.nan]),
        train=TRAIN[:1],
        val=TRAIN[1:2],
    )
    with pytest.raises(DivergedError, match="downstream epoch 0: prediction"):
        stage.step()
    assert stage.best is None and not stage.finished


def test_a_fitted_stage_is_resumed_before_and_after_its_step() -> None:
    def make() -> Fitting:
        model, labels = Given(torch.tensor([1.0, 5.0, 2.0, 0.0])), torch.tensor([2.0, 1.0, 5.0, torch.nan])
        return Fitting(model, torch.zeros(4, 1), labels, train=torch.tensor([0, 2]), val=torch.tensor([1]))

    whole, before, after = make(), make(), make()
    before.load_state_dict(make().state_dict())
    assert before.best is None and not before.finished
    numbers = whole.step()
    assert before.step() == numbers
    after.load_state_dict(whole.state_dict())
    assert after.finished and torch.equal(after.best.scores, whole.best.scores)
    assert after.best.val_metrics == whole.best.val_metrics and after.best.parameters == {}
