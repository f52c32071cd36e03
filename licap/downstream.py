"""Stage 2: a model that estimates importance, trained on the full batch, one epoch a step, or fitted in one step.

An epoch is forward, loss on training nodes, backward, clipping, Adam; then a forward pass without dropout gives the
validation values that early stopping looks at (published order), so the scores of an epoch belong to the parameters
after its step. Knows neither test labels nor stage 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from licap.config import DownstreamConfig
from licap.early_stopping import EarlyStopping
from licap.metrics import evaluate as default_evaluate
from licap.models.base import FittedModel, ImportanceModule
from licap.stalled import LossHistory
from licap.step_limit import StepLimit
from licap.training import Learner, check_finite, epoch_pass, float64_array

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


class DownstreamStage(ABC):
    """What both kinds of stage 2 have in common: call `step` until it is `finished`."""

    epoch: int
    best: Best | None

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether the stage has ended, by its length or early."""

    @abstractmethod
    def step(self) -> DownstreamEpoch:
        """One epoch. Raises: DivergedError; `best` keeps what it had."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the training so far; mostly nothing."""
        return ()

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, as tensors and plain values."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave."""


class Fitting(DownstreamStage):
    """The stage of a model that is fitted in one go: a single epoch. Arguments as of `Downstream`, with one input."""

    def __init__(
        self,
        model: FittedModel,
        inputs: Tensor,
        labels: Tensor,
        *,
        train: Tensor,
        val: Tensor,
        evaluate: Callable[..., dict[str, float]] = default_evaluate,
    ) -> None:
        self.epoch = 0
        self.best: Best | None = None
        self._model, self._inputs, self._labels = model, inputs, labels
        self._train, self._val, self._evaluate = train, val, evaluate

    @property
    def finished(self) -> bool:
        """Whether the model has been fitted."""
        return self.epoch > 0

    def step(self) -> DownstreamEpoch:
        """Fits and predicts. Raises: DivergedError where a prediction is not finite."""
        scores = self._model.fit_predict(self._inputs, self._labels, self._train)
        check_finite(STAGE, self.epoch, {"prediction": scores})
        self.best = Best(
            scores, {}, self._evaluate(float64_array(self._labels[self._val]), float64_array(scores[self._val]))
        )
        self.epoch = 1
        losses = (nn.functional.mse_loss(scores[of], self._labels[of]).item() for of in (self._train, self._val))
        return DownstreamEpoch(*losses)

    def state_dict(self) -> dict[str, Any]:
        """See `DownstreamStage.state_dict`."""
        return {"epoch": self.epoch, "best": _packed(self.best)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `DownstreamStage.load_state_dict`."""
        self.epoch, self.best = state["epoch"], _unpacked(state["best"], self._inputs.device)


class Downstream(DownstreamStage):
    """The stage of a model that is trained by gradient. Starts from whatever parameters the model has.

    channels: inputs, each [N, width], frozen. labels: [N] log labels; only those of `train` and `val` nodes are read.
    evaluate: as `metrics.evaluate`.
    """

    def __init__(
        self,
        model: ImportanceModule,
        channels: Sequence[Tensor],
        labels: Tensor,
        *,
        train: Tensor,
        val: Tensor,
        config: DownstreamConfig,
        evaluate: Callable[..., dict[str, float]] = default_evaluate,
        cuda_graphs: bool = False,
    ) -> None:
        self.epoch = 0
        self.stopping = EarlyStopping(patience=config.patience, min_epoch=config.min_epoch, save_path="")
        self.scores: Tensor | None = None
        self.best: Best | None = None
        self._losses = LossHistory()
        self._model, self._channels, self._labels, self._config = model, channels, labels, config
        self._train, self._val, self._evaluate = train, val, evaluate
        self._val_labels = float64_array(labels[val])
        cuda_graph_on = labels.device if cuda_graphs else None
        if config.initial_scores == "matched":
            model.match_scale(channels, labels, train)
        self._limit = None if config.step_limit is None else StepLimit(config.step_limit)
        self._learner = Learner(
            model,
            partial(_training_loss, model, channels, labels, train),
            lr=config.lr,
            weight_decay=config.weight_decay,
            clip_norm=config.clip_norm,
            cuda_graph_on=cuda_graph_on,
        )
        self._scores_pass = epoch_pass(partial(_scores, model, channels), cuda_graph_on)

    @property
    def finished(self) -> bool:
        """Whether the stage has ended, by its length or early."""
        return self.stopping.early_stop or self.epoch >= self._config.max_epochs

    @property
    def notes(self) -> tuple[str, ...]:
        """A training loss that does not come below its start."""
        return self._losses.notes

    def step(self) -> DownstreamEpoch:
        """One epoch. `scores` are then the model's; `best` is set, also while epochs are not watched yet.

        Raises: DivergedError; `best` and early stopping keep what they had.
        """
        if self._limit is not None and self.scores is None:
            self.scores = self._score()
        loss, scores = self._train_once()
        self._losses.add(loss)
        val_loss = nn.functional.mse_loss(scores[self._val], self._labels[self._val]).item()
        check_finite(STAGE, self.epoch, {"validation loss": val_loss, "prediction": scores})
        self.scores = scores
        better = self.stopping.update(self._watched(scores, val_loss), self.epoch)
        # Until an epoch is watched, the latest one stands in for the best.
        if better or self.stopping.best_epoch is None:
            self.best = Best(
                scores, self._learner.parameters(), self._evaluate(self._val_labels, float64_array(scores[self._val]))
            )
        self.epoch += 1
        return DownstreamEpoch(loss, val_loss)

    def _train_once(self) -> tuple[float, Tensor]:
        """Returns: the loss before the update, and the scores after it."""
        self._model.train()
        values, grad_norm = self._learner.gradients()
        check_finite(STAGE, self.epoch, {**values, "gradient norm": grad_norm})
        loss = values["loss"].item()
        if self._limit is None or self.scores is None:
            self._learner.update()
            return loss, self._score()
        return loss, self._limit.update(self._learner, self.scores, self._labels, self._train, self._score)

    def _score(self) -> Tensor:
        self._model.eval()
        return self._scores_pass()["scores"]

    def _watched(self, scores: Tensor, val_loss: float) -> float:
        if self._config.monitor == "loss":
            return -val_loss
        monitor = self._config.monitor
        return self._evaluate(self._val_labels, float64_array(scores[self._val]), [monitor])[monitor]

    def restore_best(self) -> None:
        """Gives the model the parameters of the best epoch."""
        if self.best is not None:
            self._model.load_state_dict(self.best.parameters)

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, as tensors and plain values."""
        return {
            "epoch": self.epoch,
            "stopping": self.stopping.state_dict(),
            "learner": self._learner.state_dict(),
            "scores": self.scores,
            "rate": None if self._limit is None else self._limit.rate,
            "losses": self._losses.state_dict(),
            "best": _packed(self.best),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave."""
        device = self._channels[0].device
        self._learner.load_state_dict(state["learner"])
        self.stopping.load_state_dict(state["stopping"])
        self.epoch = state["epoch"]
        self.scores = None if state["scores"] is None else state["scores"].to(device)
        if self._limit is not None:
            self._limit.rate = state["rate"]
        self._losses.load_state_dict(state["losses"])
        self.best = _unpacked(state["best"], device)


def _training_loss(
    model: ImportanceModule, channels: Sequence[Tensor], labels: Tensor, train: Tensor
) -> dict[str, Tensor]:
    return {"loss": model.training_loss(channels, labels, train)}


def _scores(model: ImportanceModule, channels: Sequence[Tensor]) -> dict[str, Tensor]:
    with torch.no_grad():
        return {"scores": model(*channels)}


def _packed(best: Best | None) -> list[Any] | None:
    return None if best is None else [best.scores, dict(best.parameters), dict(best.val_metrics)]


def _unpacked(state: list[Any] | None, device: torch.device) -> Best | None:
    return None if state is None else Best(state[0].to(device), state[1], state[2])
