"""What the checks of trained models share: the stage with a case's options, its trace, and its test metrics."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from golden_checks.case import Case
from golden_checks.models import close_parameters

from licap.config import DownstreamConfig
from licap.downstream import Downstream
from licap.metrics import BY_LABEL_TIES, evaluate

RTOL = 1e-5


def check_trace(case: Case, model: torch.nn.Module, *, features: tuple[str, ...], monitor: str) -> None:
    """Trains to the end of the stage: losses, best epoch, best parameters, their scores and test metrics.

    features: keys of the model's inputs. monitor: what early stopping watches.
    """
    channels = [torch.from_numpy(case[f"in.{name}"]) for name in features]
    labels, train, val = (torch.from_numpy(case[f"in.{name}"]) for name in ("labels", "train", "val"))
    stage = Downstream(model, channels, labels, train=train, val=val, config=stage_config(case, monitor))
    epochs, spearman = [], []
    while not stage.finished:
        epochs.append(stage.step())
        true, predicted = labels[val].numpy(), stage.scores[val].numpy()
        spearman.append(evaluate(true, predicted, ["spearman"])["spearman"])

    case.equal(len(epochs), "out.epochs_run")
    case.equal(int(stage.stopping.early_stop), "out.stopped_early")
    case.equal(stage.stopping.best_epoch, "out.best_epoch")
    case.close([each.loss for each in epochs], "out.train_loss", RTOL)
    case.close([each.val_loss for each in epochs], "out.val_loss", RTOL)
    case.close(spearman, "out.val_spearman", RTOL)
    case.close(stage.best.scores, "out.scores_best", RTOL)
    stage.restore_best()
    close_parameters(model, case, "param_best", RTOL)
    check_test_metrics(case, stage.best.scores.numpy())


def stage_config(case: Case, monitor: str) -> DownstreamConfig:
    """The stage's options; a clipping norm of 0 means none."""
    return dataclasses.replace(
        DownstreamConfig(),
        initial_scores="drawn",
        step_limit=None,
        lr=case.number("in.lr"),
        weight_decay=case.number("in.weight_decay"),
        clip_norm=case.number("in.clip_norm") or None,
        max_epochs=case.number("in.max_epochs"),
        patience=case.number("in.patience"),
        monitor=monitor,
    )


def check_test_metrics(case: Case, scores: np.ndarray) -> None:
    """Metrics on the test nodes, at the cut-offs that the case has."""
    test = case["in.test"]
    true, predicted = case["in.labels"][test], scores[test]
    for key in case.names("out.test"):
        kind, _, cutoff = key.partition("@")
        if cutoff:
            # The authors rank equal labels by position.
            metric = BY_LABEL_TIES["position"][f"{kind}@20"]
            value = metric.compute.func(true, predicted, k=int(cutoff))
        else:
            value = evaluate(true, predicted, [kind])[kind]
        case.close(value, f"out.test.{key}", RTOL)
