"""The ridge probe against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from licap.probe import RidgeProbe

TRAIN, ASKED = torch.arange(0, 60), torch.arange(60, 80)


def make_arrays() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features and embeddings of different scales with a constant column, and labels."""
    rng = np.random.default_rng(0)
    features = rng.normal(3, 100, (80, 5))
    features[:, 2] = 0.1
    embeddings = rng.normal(0, 1e-3, (80, 4))
    labels = features[:, 0] / 100 + embeddings[:, 1] * 1e3 + rng.normal(0, 0.1, 80)
    return tuple(torch.from_numpy(each.astype(np.float32)) for each in (features, embeddings, labels))


def by_scikit_learn(inputs: torch.Tensor, labels: torch.Tensor, penalty: float) -> np.ndarray:
    """Standardise on training nodes, fit, predict."""
    scaler = StandardScaler().fit(inputs[TRAIN].double().numpy())
    train, asked = (scaler.transform(inputs[ids].double().numpy()) for ids in (TRAIN, ASKED))
    return Ridge(alpha=penalty).fit(train, labels[TRAIN].double().numpy()).predict(asked)


@pytest.mark.parametrize("penalty", [0.1, 1.0, 100.0])
def test_it_predicts_what_scikit_learn_does(penalty: float) -> None:
    features, embeddings, labels = make_arrays()
    probe = RidgeProbe(features, labels[TRAIN], train=TRAIN, asked=ASKED, penalty=penalty)
    alone, together = probe.predict(embeddings)
    np.testing.assert_allclose(alone, by_scikit_learn(embeddings, labels, penalty), rtol=1e-6)
    both = torch.cat([features, embeddings], 1)
    np.testing.assert_allclose(together, by_scikit_learn(both, labels, penalty), rtol=1e-6)


def test_columns_that_repeat_each_other_do_not_break_it() -> None:
    features, _, labels = make_arrays()
    probe = RidgeProbe(features, labels[TRAIN], train=TRAIN, asked=ASKED, penalty=1e-12)
    alone, together = probe.predict(torch.cat([features, features], 1))
    assert torch.isfinite(torch.cat([alone, together])).all()
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-4)


def test_embeddings_that_are_all_equal_predict_the_mean() -> None:
    features, _, labels = make_arrays()
    probe = RidgeProbe(features, labels[TRAIN], train=TRAIN, asked=ASKED, penalty=1.0)
    alone, _ = probe.predict(torch.full((80, 3), 0.3))
    torch.testing.assert_close(alone, labels[TRAIN].double().mean().expand(20))
