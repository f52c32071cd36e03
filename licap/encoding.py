"""Encoders of all channels: pretrained each on its own, or not trained at all; and what stage 2 sees of the result.

A channel is structure, semantics, or both side by side; `data.features: both` has two. Each channel's encoder starts
from the same seed, so that a channel's embeddings do not depend on the other's presence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import torch
from torch import Tensor

from licap.config import DownstreamConfig, TrialConfig
from licap.graph import KnowledgeGraph
from licap.models import Encoder, build_encoder
from licap.pretrain import STAGE, Contrast, PretrainEpoch, Pretraining
from licap.reproducibility import Randomness, stage_seed
from licap.signals import Signals
from licap.stored import History


@dataclass(frozen=True, eq=False)
class Channel:
    """One input of the encoders. name: `struct`, `semantic` or `concat`. features: [N, F]."""

    name: str
    features: Tensor


def new_encoder(config: TrialConfig, channel: Channel, graph_with_loops: KnowledgeGraph) -> tuple[Encoder, Randomness]:
    """A channel's encoder with its initial weights, on the features' device, and the generators after drawing them."""
    randomness = Randomness(stage_seed(config.seed, STAGE))
    own, features = config.pretrain, channel.features
    with randomness.active():
        encoder = build_encoder(
            own, features.shape[1], own.width_of(channel.name), graph_with_loops, config.runtime.backend
        )
    return encoder.to(features.device, features.dtype), randomness


def untrained_embeddings(
    config: TrialConfig, channels: Sequence[Channel], graph_with_loops: KnowledgeGraph
) -> list[Tensor]:
    """[N, D] for each channel: what the encoders give before any training."""
    with torch.no_grad():
        return [new_encoder(config, channel, graph_with_loops)[0](channel.features) for channel in channels]


def assemble(features: Sequence[Tensor], embeddings: Sequence[Tensor] | None, own: DownstreamConfig) -> list[Tensor]:
    """The model's inputs: per channel features, embeddings, or both; side by side unless the model takes two channels.

    features, embeddings: [N, width] for each channel; no embeddings where the model does not see any.
    """
    seen = [list(features)] if own.sees_features else []
    if embeddings is not None:
        seen.append(list(embeddings))
    parts = [list(channel) for channel in zip(*seen, strict=True)]
    if not own.model_config.two_channels:
        parts = [[each for channel in parts for each in channel]]
    return [channel[0] if len(channel) == 1 else torch.cat(channel, dim=1) for channel in parts]


def input_widths(config: TrialConfig, channels: Sequence[Channel]) -> tuple[int, ...]:
    """Widths of what `assemble` gives, before there are embeddings."""
    own = config.downstream
    widths = [
        channel.features.shape[1] * own.sees_features + config.pretrain.width_of(channel.name) * own.sees_embeddings
        for channel in channels
    ]
    return tuple(widths) if own.model_config.two_channels else (sum(widths),)


class Encoding:
    """Stage 1 of all channels, one epoch of each a step; a channel that has stopped early waits for the others."""

    def __init__(
        self,
        config: TrialConfig,
        channels: Sequence[Channel],
        contrast: Contrast,
        graph_with_loops: KnowledgeGraph,
        signals: Signals,
    ) -> None:
        self.history = History(config.pretrain.probe_every)
        self._signals = signals
        self._stages: dict[str, Pretraining] = {}
        self._randomness: dict[str, Randomness] = {}
        self._numbers: dict[str, PretrainEpoch] = {}
        for channel in channels:
            encoder, self._randomness[channel.name] = new_encoder(config, channel, graph_with_loops)
            self._stages[channel.name] = Pretraining(
                encoder, channel.features, contrast, config.pretrain, cuda_graphs=config.runtime.cuda_graphs
            )

    @property
    def epoch(self) -> int:
        """Epochs done, by the channel that has done most."""
        return max(stage.epoch for stage in self._stages.values())

    @property
    def finished(self) -> bool:
        """Whether every channel has ended, by the stage's length or early."""
        return all(stage.finished for stage in self._stages.values())

    @property
    def embeddings(self) -> list[Tensor] | None:
        """[N, D] of each channel, as `Pretraining.embeddings`; None before the first epoch."""
        found = [stage.embeddings for stage in self._stages.values()]
        return None if None in found else [each for each in found if each is not None]

    def step(self) -> None:
        """One epoch of each channel that goes on; its numbers are means over the channels. Raises: DivergedError."""
        epoch = self.epoch
        for name, stage in self._stages.items():
            if not stage.finished:
                with self._randomness[name].active():
                    self._numbers[name] = stage.step()
        if self.history.look_is_due and self.embeddings is not None:
            self.history.looks.append(self._signals.look(self.embeddings, epoch))
        columns = zip(*(astuple(each) for each in self._numbers.values()), strict=True)
        self.history.epochs.append(PretrainEpoch(*(sum(column) / len(column) for column in columns)))

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, by channel, as tensors and plain values."""
        channels = {
            name: {
                "stage": stage.state_dict(),
                "randomness": self._randomness[name].state_dict(),
                "numbers": list(astuple(self._numbers[name])) if name in self._numbers else None,
            }
            for name, stage in self._stages.items()
        }
        return {"channels": channels, "history": self.history.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave."""
        self.history = History.from_state(state["history"])
        for name, stage in self._stages.items():
            own = state["channels"][name]
            stage.load_state_dict(own["stage"])
            self._randomness[name].load_state_dict(own["randomness"])
            if own["numbers"] is not None:
                self._numbers[name] = PretrainEpoch(*own["numbers"])
