"""How models see labels: standardised by the training nodes alone, or with a bias that starts at their mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from licap.label_scale import with_labels
from licap.models.base import ImportanceModule

# Few enough that a division by n - 1 is far from one by n. What is not trained on is no number.
LABELS = torch.tensor([5.0, torch.nan, 1.0, 9.0, torch.nan, 8.0], dtype=torch.float64)
TRAIN = torch.tensor([0, 2, 3, 5])
OF_TRAINING = np.array([5.0, 1.0, 9.0, 8.0])
MEAN, DEVIATION = OF_TRAINING.mean(), np.sqrt(np.mean((OF_TRAINING - OF_TRAINING.mean()) ** 2))


class Scores(ImportanceModule):
    """Answers its parameter whatever comes in, and has a loss of its own: twice the mean absolute error."""

    def __init__(self, values: Sequence[float]) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.tensor(values, dtype=torch.float64))

    def forward(self, *channels: Tensor) -> Tensor:
        return self.values + sum(each.sum() for each in channels)

    def training_loss(self, channels: Sequence[Tensor], labels: Tensor, train: Tensor) -> Tensor:
        return 2 * (self(*channels) - labels)[train].abs().mean()


def wrapped(kind: str, labels: Tensor = LABELS) -> tuple[ImportanceModule, Scores]:
    """A model between the labels and training, and the model itself."""
    model = Scores([-3.0, -1.0, 2.0, 0.0, 3.0, 1.0])
    return with_labels(kind, model, labels, TRAIN), model


def test_plain_labels_are_the_models_own() -> None:
    module, model = wrapped("plain")
    assert (module.shift, module.unit, module.factor) == (0, 1, 1)
    assert list(module.parameters()) == list(model.parameters())


@pytest.mark.parametrize(
    ("kind", "shift", "scale"), [("standardised", MEAN, DEVIATION), ("bias", MEAN, 1.0)], ids=["standardised", "bias"]
)
def test_scores_and_labels_go_through_the_mean_and_deviation_of_training_labels(
    kind: str, shift: float, scale: float
) -> None:
    module, model = wrapped(kind)
    channel = torch.tensor([0.25], dtype=torch.float64)
    own = model(channel).detach().numpy()
    np.testing.assert_allclose(module(channel).detach(), own * scale + shift, rtol=1e-12)
    expected = 2 * np.abs(own[TRAIN] - (OF_TRAINING - shift) / scale).mean()
    assert module.training_loss([channel], LABELS, TRAIN).item() == pytest.approx(expected, rel=1e-12)


def test_scores_that_are_larger_than_labels_are_divided_until_they_are_not() -> None:
    module, model = wrapped("standardised", LABELS / 100)
    assert float(module.unit) == pytest.approx(DEVIATION / 100, rel=1e-12)
    module.match_scale([], LABELS / 100, TRAIN)
    seen = (OF_TRAINING - MEAN) / DEVIATION
    own = model().detach().numpy()
    factor = np.sqrt(np.mean(seen**2) / np.mean(own[TRAIN] ** 2))
    assert factor < 0.9
    np.testing.assert_allclose(module().detach(), own * factor * DEVIATION / 100 + MEAN / 100, rtol=1e-9)
    # The model's own loss, in units of the labels as they are without the factor.
    expected = 2 * np.abs(own[TRAIN] - seen / factor).mean() * factor**2
    assert module.training_loss([], LABELS / 100, TRAIN).item() == pytest.approx(expected, rel=1e-9)


def test_only_the_bias_is_learned() -> None:
    for kind, learned in (("standardised", {"model.values"}), ("bias", {"model.values", "shift"})):
        module, _ = wrapped(kind)
        module.training_loss([], LABELS, TRAIN).backward()
        assert {name for name, value in module.named_parameters() if value.grad.abs().sum() > 0} == learned


@pytest.mark.parametrize("kind", ["standardised", "bias"])
def test_a_state_brings_its_scale_along(kind: str) -> None:
    module, _ = wrapped(kind)
    other, _ = wrapped(kind, LABELS * 3 + 1)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(), module())


def test_labels_that_are_all_equal_are_shifted_and_not_scaled() -> None:
    module, model = wrapped("standardised", torch.full_like(LABELS, 7.0))
    torch.testing.assert_close(module(), model() + 7.0)
