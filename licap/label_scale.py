"""How a model sees log labels, and how its scores come back to their scale. Knows no model and no training.

Source: for GENI, whose outputs start near 0 where labels are near 9, either spares hundreds of epochs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from licap.models.base import ImportanceModule, root_mean_square, scores_by_batch_statistics


class ScaledModel(ImportanceModule):
    """A model between shift and scale: sees (label - shift) / scale, answers score · scale + shift.

    shift, unit: scalars of the labels; a parameter among them is learned. The scale is unit · factor, where `factor` is
    1 until `match_scale` lowers it. Its loss is in units of the labels as they are after shift and unit.
    """

    shift: Tensor
    unit: Tensor
    factor: Tensor

    def __init__(self, model: ImportanceModule, *, shift: Tensor, unit: Tensor) -> None:
        super().__init__()
        self.model = model
        for name, value in (("shift", shift), ("unit", unit), ("factor", torch.ones_like(unit))):
            if isinstance(value, nn.Parameter):
                self.register_parameter(name, value)
            else:
                self.register_buffer(name, value)

    def forward(self, *channels: Tensor) -> Tensor:
        """channels: each [N, width]. Returns: scores [N]."""
        scores: Tensor = self.model(*channels) * (self.unit * self.factor) + self.shift
        return scores

    def training_loss(self, channels: Sequence[Tensor], labels: Tensor, train: Tensor) -> Tensor:
        """The model's own loss on the labels as it sees them."""
        seen = (labels - self.shift) / (self.unit * self.factor)
        return self.model.training_loss(channels, seen, train) * self.factor.square()

    @torch.no_grad()
    def match_scale(self, channels: Sequence[Tensor], labels: Tensor, train: Tensor) -> None:
        """Lowers the factor until the training nodes' first scores are no larger than their labels (root mean squares).

        A sum over the neighbours of a hub makes them a thousand times larger, and training would only undo that.
        See `ImportanceModule.match_scale`.
        """
        self.model.match_scale(channels, labels, train)
        scores = scores_by_batch_statistics(self.model, channels)[train]
        seen = root_mean_square((labels[train] - self.shift) / self.unit)
        factor = seen / root_mean_square(scores)
        # Labels that are all equal give no scale to match.
        self.factor.copy_(torch.where(factor > 0, factor, 1.0).clamp(max=1.0))


def with_labels(kind: str, model: ImportanceModule, labels: Tensor, train: Tensor) -> ScaledModel:
    """The model as `downstream.labels` wants it: plain, standardised, or bias.

    labels: [N] log labels. train: ids of the training nodes, the only ones that are read.
    """
    mean, deviation = labels[train].mean(), labels[train].std(correction=0)
    one = torch.ones_like(mean)
    if kind == "plain":
        return ScaledModel(model, shift=torch.zeros_like(mean), unit=one)
    if kind == "bias":
        return ScaledModel(model, shift=nn.Parameter(mean), unit=one)
    # Where all labels are equal there is nothing to divide by.
    return ScaledModel(model, shift=mean, unit=torch.where(deviation > 0, deviation, one))
