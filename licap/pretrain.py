"""Stage 1: contrastive pretraining of an encoder, one epoch a step. Source: LICAP (arXiv 2402.17791).

An epoch is forward, losses, backward, clipping, Adam, and only then the look at early stopping (published order). So
the embeddings of an epoch belong to the parameters before its step. Knows neither test labels nor stage 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from licap.config import PretrainConfig
from licap.early_stopping import EarlyStopping
from licap.losses import finer_bin_loss, top_bin_loss
from licap.models.base import Encoder
from licap.sampling import HierarchicalSample
from licap.training import Learner, check_finite

STAGE = "pretrain"


@dataclass(frozen=True)
class Losses:
    """L1, L2 (unweighted) and their weighted sum, as scalars."""

    l1: Tensor
    l2: Tensor
    total: Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Contrast:
    """What the losses contrast, and how: the sample as tensors of one device.

    top: [T], nontop: [J] node ids. column_of_top: [T] column of each top node's bin. closeness_of_top: [T, B'] β.
    """

    top: Tensor
    nontop: Tensor
    column_of_top: Tensor
    closeness_of_top: Tensor
    temperature: float
    eta1: float
    eta2: float

    @classmethod
    def from_sample(
        cls, sample: HierarchicalSample, config: PretrainConfig, *, device: torch.device, dtype: torch.dtype
    ) -> Contrast:
        """The contrast of a fold's sample."""
        return cls(
            top=torch.tensor(sample.top, device=device),
            nontop=torch.tensor(sample.drawn, device=device),
            column_of_top=torch.tensor(sample.column_of_top, device=device),
            closeness_of_top=torch.tensor(sample.closeness_of_top, device=device, dtype=dtype),
            temperature=config.temperature,
            eta1=config.eta1,
            eta2=config.eta2,
        )

    def losses(self, embeddings: Tensor) -> Losses:
        """The losses of embeddings [N, D]: total = η1 · L1 + η2 · L2."""
        members, top, nontop = self._members
        # Looked up once: each look-up has a gradient of the size of all embeddings.
        h = embeddings.index_select(0, members)
        l1 = top_bin_loss(h, top, nontop, temperature=self.temperature)
        l2 = finer_bin_loss(h, top, self.column_of_top, self.closeness_of_top, temperature=self.temperature)
        return Losses(l1, l2, self.eta1 * l1 + self.eta2 * l2)

    @cached_property
    def _members(self) -> tuple[Tensor, Tensor, Tensor]:
        """[T + J] all nodes that are contrasted, and the places of top and drawn nodes among them."""
        members = torch.cat([self.top, self.nontop])
        places = torch.arange(len(members), device=members.device)
        return members, places[: len(self.top)], places[len(self.top) :]


@dataclass(frozen=True)
class PretrainEpoch:
    """Numbers of one epoch; l1 and l2 are unweighted, grad_norm is before clipping."""

    loss: float
    l1: float
    l2: float
    grad_norm: float


class Pretraining:
    """The stage: call `step` until it is `finished`. Starts from whatever parameters the encoder has."""

    def __init__(
        self,
        encoder: Encoder,
        features: Tensor,
        contrast: Contrast,
        config: PretrainConfig,
        *,
        cuda_graphs: bool = False,
    ) -> None:
        self.epoch = 0
        self.stopping = EarlyStopping(patience=config.patience, min_epoch=config.min_epoch, save_path="")
        self._encoder, self._features, self._contrast, self._config = encoder, features, contrast, config
        self._learner = Learner(
            encoder,
            partial(_forward, encoder, features, contrast),
            lr=config.lr,
            weight_decay=config.weight_decay,
            clip_norm=config.clip_norm,
            cuda_graph_on=features.device if cuda_graphs else None,
        )
        self._last: Tensor | None = None
        self._best: Tensor | None = None
        self._best_parameters: dict[str, Tensor] | None = None

    @property
    def finished(self) -> bool:
        """Whether the stage has ended, by its length or early."""
        return self.stopping.early_stop or self.epoch >= self._config.max_epochs

    @property
    def embeddings(self) -> Tensor | None:
        """[N, D] what the stage would hand on now: of its last forward pass, or of the one with the lowest loss.

        The last ones stand in for the best until an epoch is watched. None before the first epoch.
        """
        if self._config.embeddings == "best" and self._best is not None:
            return self._best
        return self._last

    def step(self) -> PretrainEpoch:
        """One epoch. Raises: DivergedError, before parameters, embeddings or early stopping are touched."""
        self._encoder.train()
        values, grad_norm = self._learner.gradients()
        embeddings = values.pop("embedding")
        check_finite(STAGE, self.epoch, {**values, "embedding": embeddings, "gradient norm": grad_norm})
        self._learner.update()
        self._last = embeddings
        numbers = PretrainEpoch(**{name: value.item() for name, value in values.items()}, grad_norm=grad_norm)
        if self.stopping.update(-numbers.loss, self.epoch):
            self._best, self._best_parameters = self._last, self._learner.parameters()
        self.epoch += 1
        return numbers

    def restore_best(self) -> None:
        """Gives the encoder the parameters of the best epoch, as they were after its step (published)."""
        if self._best_parameters is not None:
            self._encoder.load_state_dict(self._best_parameters)

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, as tensors and plain values."""
        return {
            "epoch": self.epoch,
            "stopping": self.stopping.state_dict(),
            "learner": self._learner.state_dict(),
            "last": self._last,
            "best": self._best,
            "best_parameters": self._best_parameters,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave."""
        self._learner.load_state_dict(state["learner"])
        self.stopping.load_state_dict(state["stopping"])
        self.epoch = state["epoch"]
        device = self._features.device
        self._last, self._best = (None if each is None else each.to(device) for each in (state["last"], state["best"]))
        self._best_parameters = state["best_parameters"]


def _forward(encoder: Encoder, features: Tensor, contrast: Contrast) -> dict[str, Tensor]:
    embeddings = encoder(features)
    losses = contrast.losses(embeddings)
    return {"loss": losses.total, "l1": losses.l1, "l2": losses.l2, "embedding": embeddings}
