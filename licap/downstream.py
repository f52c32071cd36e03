"""Stage 2: full-batch training of a model that estimates importance, one epoch a step.

An epoch is forward, loss on training nodes, backward, clipping, Adam; then a forward pass without dropout gives the
validation values that early stopping looks at (published order), so the scores of an epoch belong to the parameters
after its step. Knows neither test labels nor stage 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from licap.config import DownstreamConfig
from licap.early_stopping import EarlyStopping
from licap.metrics import evaluate
from licap.models.base import DownstreamModel
from licap.training import Learner, check_finite

STAGE = "downstream"


@dataclass(frozen=True)
class DownstreamEpoch:
    """Numbers of one epoch: training loss before the step, validation loss (mean squared error) after it."""

    loss: float
    val_loss: float


@dataclass(frozen=True, eq=False)
class Best:
    """The best epoch so far: scores [N], parameters, metrics of the validation nodes by name."""

    scores: Tensor
    parameters: Mapping[str, Tensor]
    val_metrics: Mapping[str, float]


class Downstream:
    """The stage: call `step` until it is `finished`. Starts from whatever parameters the model has.

    inputs: [N, in_dim], frozen. labels: [N] log labels; only those of `train` and `val` nodes are read.
    """

    def __init__(
        self,
        model: DownstreamModel,
        inputs: Tensor,
        labels: Tensor,
        *,
        train: Tensor,
        val: Tensor,
        config: DownstreamConfig,
    ) -> None:
        self.epoch = 0
        self.stopping = EarlyStopping(patience=config.patience, min_epoch=config.min_epoch, save_path="")
        self.scores: Tensor | None = None
        self.best: Best | None = None
        self._model, self._inputs, self._labels, self._config = model, inputs, labels, config
        self._train, self._val = train, val
        self._val_labels: NDArray[np.float64] = labels[val].double().cpu().numpy()
        self._learner = Learner(model, lr=config.lr, weight_decay=config.weight_decay, clip_norm=config.clip_norm)

    @property
    def finished(self) -> bool:
        """Whether the stage has ended, by its length or early."""
        return self.stopping.early_stop or self.epoch >= self._config.max_epochs

    def step(self) -> DownstreamEpoch:
        """One epoch. `scores` are then the model's; `best` is set, also while epochs are not watched yet.

        Raises: DivergedError; `best` and early stopping keep what they had.
        """
        loss = self._train_once()
        scores = self._score()
        val_loss = nn.functional.mse_loss(scores[self._val], self._labels[self._val]).item()
        check_finite(STAGE, self.epoch, {"validation loss": val_loss, "prediction": scores})
        self.scores = scores
        better = self.stopping.update(self._watched(scores, val_loss), self.epoch)
        # Until an epoch is watched, the latest one stands in for the best.
        if better or self.stopping.best_epoch is None:
            self.best = Best(scores, self._learner.parameters(), evaluate(self._val_labels, self._of_val(scores)))
        self.epoch += 1
        return DownstreamEpoch(loss, val_loss)

    def _train_once(self) -> float:
        self._model.train()
        loss = self._model.loss(self._model(self._inputs), self._labels, self._train)
        check_finite(STAGE, self.epoch, {"loss": loss})
        grad_norm = self._learner.gradients(loss)
        check_finite(STAGE, self.epoch, {"gradient norm": grad_norm})
        self._learner.update()
        return loss.item()

    def _score(self) -> Tensor:
        self._model.eval()
        with torch.no_grad():
            return self._model(self._inputs)

    def _watched(self, scores: Tensor, val_loss: float) -> float:
        if self._config.monitor == "loss":
            return -val_loss
        return evaluate(self._val_labels, self._of_val(scores), [self._config.monitor])[self._config.monitor]

    def _of_val(self, scores: Tensor) -> NDArray[np.float64]:
        values: NDArray[np.float64] = scores[self._val].double().cpu().numpy()
        return values

    def restore_best(self) -> None:
        """Gives the model the parameters of the best epoch."""
        if self.best is not None:
            self._model.load_state_dict(self.best.parameters)

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, as tensors and plain values."""
        best = self.best
        return {
            "epoch": self.epoch,
            "stopping": self.stopping.state_dict(),
            "learner": self._learner.state_dict(),
            "scores": self.scores,
            "best": None if best is None else [best.scores, dict(best.parameters), dict(best.val_metrics)],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave."""
        device = self._inputs.device
        self._learner.load_state_dict(state["learner"])
        self.stopping.load_state_dict(state["stopping"])
        self.epoch = state["epoch"]
        self.scores = None if state["scores"] is None else state["scores"].to(device)
        self.best = None
        if state["best"] is not None:
            scores, parameters, val_metrics = state["best"]
            self.best = Best(scores.to(device), parameters, val_metrics)
