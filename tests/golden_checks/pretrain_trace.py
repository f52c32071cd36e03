"""Pretraining from given parameters: losses, gradient norms, early stop, last and best parameters, embeddings."""

from __future__ import annotations

import dataclasses

import torch
from golden_checks.case import Case
from golden_checks.models import close_parameters
from golden_checks.pregat import make_contrast, make_encoder

from licap.config import PretrainConfig
from licap.pretrain import Pretraining


def check(case: Case) -> None:
    """Runs the stage to its end."""
    contrast = make_contrast(case)
    config = dataclasses.replace(
        PretrainConfig(),
        lr=case.number("in.lr"),
        weight_decay=case.number("in.weight_decay"),
        clip_norm=float(case.number("in.clip_norm")),
        patience=case.number("in.patience"),
        max_epochs=case.number("in.max_epochs"),
        embeddings="last",
    )
    encoder = make_encoder(case, "param0")
    stage = Pretraining(encoder, torch.from_numpy(case["in.features"]), contrast, config)
    epochs = []
    while not stage.finished:
        epochs.append(stage.step())

    case.equal(len(epochs), "out.epochs_run")
    case.equal(int(stage.stopping.early_stop), "out.stopped_early")
    case.equal(stage.stopping.best_epoch, "out.best_epoch")
    case.equal(stage.stopping.counter, "out.counter")
    case.close([each.loss for each in epochs], "out.loss", 1e-5)
    case.close([contrast.eta1 * each.l1 for each in epochs], "out.l1_weighted", 1e-5)
    case.close([contrast.eta2 * each.l2 for each in epochs], "out.l2_weighted", 1e-5)
    case.close([each.grad_norm for each in epochs], "out.grad_norm", 1e-5)
    case.close(stage.embeddings, "out.published_embeddings", 1e-5)
    close_parameters(encoder, case, "param_last", 1e-5)
    stage.restore_best()
    close_parameters(encoder, case, "param_best", 1e-5)
