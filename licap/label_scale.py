"""How a model sees log labels, and how its scores come back to their scale. Knows no model and no training.

Source: for GENI, whose outputs start near 0 where labels are near 9, either spares hundreds of epochs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from licap.models.base import ImportanceModule


class ScaledModel(ImportanceModule):
    """A model between shift and scale: sees (label - shift) / scale, answers score · scale + shift.

    shift, scale: scalars; a parameter among them is learned.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, model: ImportanceModule, *, shift: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.model = model
        for name, value in (("shift", shift), ("scale", scale)):
            if isinstance(value, nn.Parameter):
                self.register_parameter(name, value)
            else:
                self.register_buffer(name, value)

    def forward(self, *channels: Tensor) -> Tensor:
        """channels: each [N, width]. Returns: scores [N]."""
        scores: Tensor = self.model(*channels) * self.scale + self.shift
        return scores

    def training_loss(self, channels: Sequence[Tensor], labels: Tensor, train: Tensor) -> Tensor:
        """The model's own loss on the labels as it sees them."""
        return self.model.training_loss(channels, (labels - self.shift) / self.scale, train)


def with_labels(kind: str, model: ImportanceModule, labels: Tensor, train: Tensor) -> ImportanceModule:
    """The model as `downstream.labels` wants it: plain, standardised, or bias.

    labels: [N] log labels. train: ids of the training nodes, the only ones that are read.
    """
    if kind == "plain":
        return model
    mean, deviation = labels[train].mean(), labels[train].std(correction=0)
    one = torch.ones_like(mean)
    if kind == "bias":
        return ScaledModel(model, shift=nn.Parameter(mean), scale=one)
    # Where all labels are equal there is nothing to divide by.
    return ScaledModel(model, shift=mean, scale=torch.where(deviation > 0, deviation, one))
