"""The pretraining stage by itself; its numbers are checked against golden vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from trial_cases import NUM_NODES, tiny_config, tiny_dataset

from licap.config import PretrainConfig
from licap.errors import DivergedError
from licap.losses import finer_bin_loss, top_bin_loss
from licap.models import build_encoder
from licap.pretrain import Contrast, Pretraining
from licap.sampling import sample_fold

CONFIG = tiny_config().pretrain


def make_stage(config: PretrainConfig = CONFIG) -> Pretraining:
    """A stage on the tiny graph with two bins."""
    data = tiny_dataset()
    torch.manual_seed(0)
    encoder = build_encoder(config, 6, 8, data.graph.with_self_loops(), "auto").double()
    contrast = Contrast(
        top=torch.arange(10),
        nontop=torch.arange(20, 40),
        column_of_top=torch.arange(10) % 2,
        closeness_of_top=torch.tensor([[1.0, 0.4], [0.4, 1.0]]).double()[torch.arange(10) % 2],
        temperature=config.temperature,
        eta1=config.eta1,
        eta2=config.eta2,
    )
    return Pretraining(encoder, torch.tensor(data.features["struct"]).double(), contrast, config)


def test_a_contrast_holds_a_sample_and_weighs_both_losses() -> None:
    # The bin in the middle is empty, so that a node's column is not the number of its bin.
    labels = np.concatenate([np.linspace(0, 1, 40), [4.0, 4.5, 6.9, 7.0]]).astype(np.float32)
    config = replace(CONFIG, imp_ratio=0.07, temperature=0.3, eta1=0.5, eta2=2.0)
    sample = sample_fold(labels, [np.arange(44)], config)
    assert sample.column_of_top.tolist() != sample.bin_of_top.tolist()
    h = torch.randn(44, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    top, drawn, column = (torch.from_numpy(each) for each in (sample.top, sample.drawn, sample.column_of_top))
    l1 = top_bin_loss(h, top, drawn, temperature=0.3).item()
    l2 = finer_bin_loss(h, top, column, torch.from_numpy(sample.closeness_of_top), temperature=0.3).item()
    found = Contrast.from_sample(sample, config, device=h.device, dtype=h.dtype).losses(h)
    assert [each.item() for each in (found.l1, found.l2, found.total)] == pytest.approx([l1, l2, 0.5 * l1 + 2 * l2])


def test_the_loss_falls_and_is_the_weighted_sum() -> None:
    stage = make_stage(replace(CONFIG, eta1=0.5, eta2=2.0, max_epochs=15))
    epochs = []
    while not stage.finished:
        epochs.append(stage.step())
    assert len(epochs) == stage.epoch == 15
    assert epochs[-1].loss < epochs[0].loss
    for each in epochs:
        assert each.loss == pytest.approx(0.5 * each.l1 + 2.0 * each.l2)


def test_embeddings_are_those_of_the_last_forward_pass() -> None:
    stage = make_stage()
    assert stage.embeddings is None
    start = stage._encoder(stage._features).detach()
    stage.step()
    assert torch.equal(stage.embeddings, start)
    assert stage.embeddings.shape == (NUM_NODES, 8)
    assert not stage.embeddings.requires_grad


def test_best_embeddings_have_the_lowest_loss() -> None:
    stage = make_stage(replace(CONFIG, lr=0.5, max_epochs=12, embeddings="best"))
    losses = []
    while not stage.finished:
        losses.append(stage.step().loss)
    assert int(np.argmin(losses)) == stage.stopping.best_epoch < len(losses) - 1
    assert stage._contrast.losses(stage.embeddings).total.item() == min(losses)


def test_before_an_epoch_is_watched_the_last_embeddings_stand_in_for_the_best() -> None:
    stage = make_stage(replace(CONFIG, embeddings="best", min_epoch=5))
    stage.step()
    assert stage.stopping.best_epoch is None
    assert stage.embeddings is not None


@pytest.mark.parametrize("patience", [1, 3])
def test_the_stage_ends_after_as_many_epochs_without_a_better_loss_as_it_has_patience(patience: int) -> None:
    stage = make_stage(replace(CONFIG, lr=0.5, patience=patience, max_epochs=200))
    while not stage.finished:
        stage.step()
    assert stage.epoch < 200
    assert stage.epoch - 1 - stage.stopping.best_epoch == stage.stopping.counter == patience


def test_no_clipping_reports_the_same_norm() -> None:
    norms = [make_stage(replace(CONFIG, clip_norm=clip)).step().grad_norm for clip in (None, 1e-3, 1e3)]
    assert norms[0] == norms[1] == norms[2] > 1e-3


def test_clipping_bounds_the_step_but_not_the_direction() -> None:
    stage = make_stage(replace(CONFIG, clip_norm=0.01))
    stage.step()
    squares = [value.grad.square().sum() for value in stage._encoder.parameters()]
    assert torch.stack(squares).sum().sqrt().item() == pytest.approx(0.01, rel=1e-3)


def test_an_embedding_that_is_not_finite_is_found_where_no_loss_sees_it() -> None:
    stage = make_stage()
    stage.step()
    before, uncontrasted = stage.embeddings, torch.tensor([NUM_NODES - 1])
    stage._encoder.register_forward_hook(lambda encoder, given, out: out.index_fill(0, uncontrasted, torch.nan))
    with pytest.raises(DivergedError, match=r"pretrain epoch 1: embedding"):
        stage.step()
    assert torch.equal(stage.embeddings, before)


def test_a_divergence_leaves_everything_as_it_was() -> None:
    stage = make_stage()
    stage.step()
    before = stage.embeddings
    with torch.no_grad():
        next(stage._encoder.parameters()).fill_(float("nan"))
    with pytest.raises(DivergedError, match=r"pretrain epoch 1: loss"):
        stage.step()
    assert (stage.epoch, stage.stopping.best_epoch) == (1, 0)
    assert torch.equal(stage.embeddings, before)
