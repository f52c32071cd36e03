"""Joint training, an ablation: encoders and model learn together, with LICAP's losses beside the model's own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from licap.config import DownstreamConfig
from licap.encoding import assemble
from licap.models.base import Encoder, ImportanceModule
from licap.pretrain import Contrast


class JointModel(ImportanceModule):
    """A model whose embeddings come from encoders that learn with it. Its channels are the features alone."""

    def __init__(
        self, model: ImportanceModule, encoders: Sequence[Encoder], contrast: Contrast, config: DownstreamConfig
    ) -> None:
        super().__init__()
        self.model = model
        self.encoders = nn.ModuleList(encoders)
        self._contrast, self._config = contrast, config

    def forward(self, *channels: Tensor) -> Tensor:
        """channels: features, each [N, F]. Returns: scores [N]."""
        return self.model(*assemble(channels, self._encode(channels), self._config))

    def training_loss(self, channels: Sequence[Tensor], labels: Tensor, train: Tensor) -> Tensor:
        """The model's loss plus, for each channel, η1 · L1 + η2 · L2 of its embeddings."""
        embeddings = self._encode(channels)
        loss = self.model.training_loss(assemble(channels, embeddings, self._config), labels, train)
        for each in embeddings:
            loss = loss + self._contrast.losses(each).total
        return loss

    @torch.no_grad()
    def match_scale(self, channels: Sequence[Tensor], labels: Tensor, train: Tensor) -> None:
        """See `ImportanceModule.match_scale`."""
        self.model.match_scale(assemble(channels, self._encode(channels), self._config), labels, train)

    def _encode(self, channels: Sequence[Tensor]) -> list[Tensor]:
        return [encoder(features) for encoder, features in zip(self.encoders, channels, strict=True)]
