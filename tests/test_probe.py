"""The ridge probes against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm, rankdata
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from licap.probe import RidgeProbe, normal_scores

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


def mean_of_neighbours(values: torch.Tensor) -> torch.Tensor:
    """As on a ring: each node's neighbours are the one before it and the one after."""
    return (values.roll(1, 0) + values.roll(-1, 0)) / 2


def make_probe(features: torch.Tensor, labels: torch.Tensor, penalty: float) -> RidgeProbe:
    """A probe of the split of these tests."""
    return RidgeProbe(features, labels[TRAIN], mean_of_neighbours, train=TRAIN, asked=ASKED, penalty=penalty)


@pytest.mark.parametrize("penalty", [0.1, 1.0, 100.0])
def test_all_probes_predict_what_scikit_learn_does(penalty: float) -> None:
    features, embeddings, labels = make_arrays()
    found = make_probe(features, labels, penalty).predict(embeddings)
    both = torch.cat([features, embeddings], 1)
    propagated = torch.cat([both, mean_of_neighbours(both)], 1)
    scores = torch.full_like(labels, torch.nan, dtype=torch.float64)
    scores[TRAIN] = normal_scores(labels[TRAIN])
    for prediction, inputs, targets in (
        (found.embeddings, embeddings, labels),
        (found.features_embeddings, both, labels),
        (found.ranks, both, scores),
        (found.propagated, propagated, labels),
    ):
        np.testing.assert_allclose(prediction, by_scikit_learn(inputs, targets, penalty), rtol=1e-6, atol=1e-9)


def test_a_column_far_from_zero_weighs_as_much_as_any_other() -> None:
    features, embeddings, labels = make_arrays()
    near = make_probe(features, labels, 1.0).predict(embeddings)
    far = make_probe(features.double() + 1e6, labels, 1.0).predict(embeddings.double() * 8)
    np.testing.assert_allclose(far.features_embeddings, near.features_embeddings, rtol=1e-6)


def test_columns_that_repeat_each_other_do_not_break_it() -> None:
    features, _, labels = make_arrays()
    found = make_probe(features, labels, 1e-12).predict(torch.cat([features, features], 1))
    assert all(torch.isfinite(each).all() for each in vars(found).values())
    torch.testing.assert_close(found.embeddings, found.features_embeddings, rtol=1e-4, atol=1e-4)


def test_embeddings_that_are_all_equal_predict_the_mean() -> None:
    features, _, labels = make_arrays()
    found = make_probe(features, labels, 1.0).predict(torch.full((80, 3), 0.3))
    torch.testing.assert_close(found.embeddings, labels[TRAIN].double().mean().expand(20))


@pytest.mark.parametrize("spoilt", [torch.nan, torch.inf, 1e300])
def test_what_cannot_be_solved_is_not_a_number_and_no_error(spoilt: float) -> None:
    features, embeddings, labels = make_arrays()
    embeddings = embeddings.double()
    embeddings[0, 0] = spoilt
    assert torch.isnan(make_probe(features, labels, 1.0).predict(embeddings).embeddings).all()


def test_normal_scores_are_quantiles_of_mean_ranks() -> None:
    labels = np.random.default_rng(0).integers(0, 9, 50).astype(np.float32)
    expected = norm.ppf(rankdata(labels) / 51)
    np.testing.assert_allclose(normal_scores(torch.from_numpy(labels)), expected, rtol=1e-12, atol=1e-12)
