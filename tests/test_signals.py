"""Early signals against plain numpy, their properties, and that looking disturbs nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import norm, rankdata, spearmanr
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from trial_cases import NUM_NODES, tiny_config, tiny_dataset, two_channel_dataset

from licap.datasets.dataset import Dataset
from licap.errors import DivergedError
from licap.graph import KnowledgeGraph
from licap.metrics import evaluate
from licap.pretrain import Contrast
from licap.signals import Signals, alignment, effective_rank, neighbour_mean, node_pairs, uniformity, unit_rows
from licap.splits import make_split, transform_labels
from licap.trial import Trial, contrastive_sample

# Enough that the top fifth of the validation nodes has an order to find.
NUM_PROBED = 700


def points(n: int = 40, width: int = 6, seed: int = 0) -> torch.Tensor:
    """Embeddings of unequal spread, float32."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy((rng.normal(0.3, 1, (n, width)) * np.arange(1, width + 1)).astype(np.float32))


def rotation(width: int) -> torch.Tensor:
    """An orthogonal matrix, float64."""
    return torch.from_numpy(np.linalg.qr(np.random.default_rng(1).normal(size=(width, width)))[0])


def test_effective_rank_is_the_published_formula() -> None:
    z = points()
    sigma = np.linalg.svd(z.double().numpy(), compute_uv=False)
    p = sigma / sigma.sum() + 1e-7
    assert effective_rank(z) == pytest.approx(math.exp(-(p * np.log(p)).sum()), rel=1e-9)


def test_effective_rank_counts_directions() -> None:
    isotropic = torch.cat([torch.eye(8), -torch.eye(8)])
    assert effective_rank(isotropic) == pytest.approx(8, rel=1e-5)
    one_direction = torch.arange(1.0, 31.0)[:, None] * torch.tensor([[3.0, -1.0, 2.0, 5.0]])
    assert effective_rank(one_direction) == pytest.approx(1, abs=1e-4)
    assert effective_rank(torch.zeros(5, 4)) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("factor", [1e-30, 1e-3, 1e30, 1e200])
def test_signals_of_geometry_do_not_depend_on_scale_or_rotation(factor: float) -> None:
    z = points().double()
    turned = z @ rotation(z.shape[1]) * factor
    group, pairs = torch.arange(40) % 7, node_pairs(40, torch.device("cpu"))
    assert effective_rank(turned) == pytest.approx(effective_rank(z), rel=1e-9)
    for measure in (lambda u: alignment(u, group), lambda u: uniformity(u, pairs)):
        assert measure(unit_rows(turned)) == pytest.approx(measure(unit_rows(z)), rel=1e-9)


def test_alignment_is_the_mean_over_partners_of_one_group() -> None:
    u = unit_rows(points(30))
    group = torch.tensor([0] * 12 + [1] * 1 + [3] * 17)
    expected, nodes = 0.0, 0
    for each in group.unique():
        members = u[group == each].numpy()
        if len(members) > 1:
            distances = [np.sum((a - b) ** 2) for a, b in combinations(members, 2)]
            expected, nodes = expected + len(members) * np.mean(distances), nodes + len(members)
    assert alignment(u, group) == pytest.approx(expected / nodes, rel=1e-9)


def test_two_nodes_of_a_group_are_partners() -> None:
    u = unit_rows(points(5))
    apart = float((u[1] - u[3]).square().sum())
    assert alignment(u, torch.tensor([0, 1, 2, 1, 3])) == pytest.approx(apart, rel=1e-12)


def test_alignment_of_nodes_without_partners_is_that_of_one_group() -> None:
    u = unit_rows(points(5))
    assert alignment(u, torch.arange(5)) == alignment(u, torch.zeros(5, dtype=torch.int64))


def test_alignment_and_uniformity_have_their_ends() -> None:
    same, opposite = torch.ones(6, 3).double() / math.sqrt(3), torch.tensor([[1.0], [-1.0]]).double()
    one_group, pairs = torch.zeros(6, dtype=torch.int64), node_pairs(6, torch.device("cpu"))
    assert alignment(same, one_group) == pytest.approx(0, abs=1e-12)
    assert alignment(opposite, one_group[:2]) == pytest.approx(4)
    assert uniformity(same, pairs) == pytest.approx(0, abs=1e-12)
    assert uniformity(unit_rows(torch.zeros(6, 3)), pairs) == 0
    assert uniformity(opposite, node_pairs(2, torch.device("cpu"))) == pytest.approx(-8)


def test_uniformity_is_the_published_formula() -> None:
    u, pairs = unit_rows(points()), node_pairs(40, torch.device("cpu"))
    distances = ((u[pairs[0]] - u[pairs[1]]) ** 2).sum(1).numpy()
    assert uniformity(u, pairs) == pytest.approx(np.log(np.mean(np.exp(-2 * distances))), rel=1e-9)
    every = np.array(list(combinations(range(40), 2))).T
    whole = uniformity(u, torch.from_numpy(every))
    assert uniformity(u, pairs) == pytest.approx(whole, abs=0.05)


@pytest.mark.parametrize("num_nodes", [2, 3, 1000])
def test_pairs_are_of_two_nodes_and_the_same_each_time(num_nodes: int) -> None:
    torch.manual_seed(0)
    pairs = node_pairs(num_nodes, torch.device("cpu"))
    torch.manual_seed(1)
    assert torch.equal(pairs, node_pairs(num_nodes, torch.device("cpu")))
    assert (pairs[0] != pairs[1]).all()
    assert pairs.min() >= 0 and pairs.max() == num_nodes - 1


def test_the_mean_over_neighbours_counts_parallel_edges_and_is_zero_without_any() -> None:
    graph = KnowledgeGraph.from_edges([0, 0, 1, 2], [2, 2, 2, 0], [0, 1, 0, 0], num_nodes=4, num_relations=2)
    x = torch.tensor([[3.0], [6.0], [5.0], [1.0]])
    assert neighbour_mean(x, graph, "torch").tolist() == [[5.0], [0.0], [4.0], [0.0]]


def test_a_report_holds_the_signals_of_its_epochs_embeddings_as_means_over_channels() -> None:
    data = two_channel_dataset()
    config = tiny_config({"data.features": "both", "downstream.input": "embeddings"})
    trial, sample = Trial(config, dataset=data), contrastive_sample(config, data)
    metrics, embeddings = next(trial).metrics, torch.from_numpy(trial.embeddings())
    channels = embeddings.chunk(2, dim=1)
    pairs, group = node_pairs(NUM_NODES, torch.device("cpu")), torch.from_numpy(sample.column_of_top)
    expected = {
        "effective_rank": [effective_rank(z) for z in channels],
        "alignment": [alignment(unit_rows(z)[torch.from_numpy(sample.top)], group) for z in channels],
        "uniformity": [uniformity(unit_rows(z), pairs) for z in channels],
    }
    for name, (first, second) in expected.items():
        assert first != second
        assert metrics[f"signal.{name}"] == (first + second) / 2


@dataclass(frozen=True, eq=False)
class Probed:
    """What each probe predicts of the validation nodes by scikit-learn, and their labels."""

    labels: np.ndarray
    by: dict[str, np.ndarray]

    def expected(self, seen: str) -> dict[str, float]:
        """What a report says of the probes and, for one that stage 2 sees the input of, of validation."""
        top = np.argsort(-self.labels)[: math.ceil(self.labels.size / 5)]
        values = {f"probe.{name}.spearman": spearmanr(self.labels, each).statistic for name, each in self.by.items()}
        both = self.by["features_embeddings"]
        values["probe.top.spearman"] = spearmanr(self.labels[top], both[top]).statistic
        values["probe.top.ndcg@100"] = evaluate(self.labels, both)["ndcg@100"]
        return values | {f"val.{name}": value for name, value in evaluate(self.labels, self.by[seen]).items()}


def probed(trial: Trial, data: Dataset) -> Probed:
    """The probes of the embeddings that the trial has now, fitted on its training nodes alone."""
    train, val, penalty = trial.split.train, trial.split.val, trial.config.pretrain.probe_ridge
    labels = transform_labels(data.importance).astype(np.float64)
    ranked = labels.copy()
    ranked[train] = norm.ppf(rankdata(labels[train]) / (train.size + 1))
    adjacency = np.eye(NUM_PROBED)
    np.add.at(adjacency, (data.graph.dst, data.graph.src), 1)
    x, z = (
        np.concatenate(each, axis=1).astype(np.float64)
        for each in (tuple(data.features.values())[:2], [trial.embeddings()])
    )
    both = np.concatenate([x, z], axis=1)
    around = np.concatenate([both, adjacency @ both / adjacency.sum(1, keepdims=True)], axis=1)

    def predicted(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        model = make_pipeline(StandardScaler(), Ridge(alpha=penalty)).fit(inputs[train], targets[train])
        return model.predict(inputs[val])

    by = {"embeddings": (z, labels), "features_embeddings": (both, labels), "ranks": (both, ranked)}
    by |= {"propagated": (around, labels)}
    return Probed(labels[val], {name: predicted(*each) for name, each in by.items()})


@pytest.mark.parametrize("seen", ["embeddings", "features_embeddings"])
def test_each_probe_value_is_that_of_its_own_prediction(seen: str) -> None:
    data = two_channel_dataset(NUM_PROBED)
    values = {"data.features": "both", "downstream.input": seen.replace("_", "+"), "pretrain.probe_ridge": 30.0}
    trial = Trial(tiny_config(values), dataset=data)
    report, found = next(trial), probed(trial, data)
    expected = found.expected(seen)
    assert len({value for name, value in expected.items() if name.startswith("probe.")}) == 6
    assert {name: report.metrics[name] for name in expected} == pytest.approx(expected, rel=1e-5)


def test_probes_treat_ties_among_labels_as_the_trial_does() -> None:
    data = two_channel_dataset(NUM_PROBED)
    order = np.argsort(np.argsort(data.importance, kind="stable"), kind="stable")
    data = replace(data, importance=(1.0 + order // (NUM_PROBED // 7)).astype(data.importance.dtype))
    found = {}
    for ties in ("mean", "position"):
        values = {"data.features": "both", "downstream.input": "embeddings", "label_ties": ties}
        trial = Trial(tiny_config({**values, "pretrain.imp_ratio": 0.2}), dataset=data)
        metrics, probes = next(trial).metrics, probed(trial, data)
        found[ties] = metrics["val.overlap@20"]
        assert found[ties] == evaluate(probes.labels, probes.by["embeddings"], label_ties=ties)["overlap@20"]
    assert found["mean"] != found["position"]


def test_looking_more_often_does_not_change_the_training() -> None:
    losses = []
    for every in (1, 6):
        trial = Trial(tiny_config({"pretrain.probe_every": every}), dataset=tiny_dataset())
        losses.append([report.metrics.get("pretrain.loss", report.metrics["val.rmse"]) for report in trial])
    assert losses[0] == losses[1]


def test_a_signal_that_is_not_finite_ends_the_trial_as_diverged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("licap.signals.effective_rank", lambda z: math.nan)
    with pytest.raises(DivergedError, match=r"epoch 0: signal\.effective_rank is not finite"):
        list(Trial(tiny_config(), dataset=tiny_dataset()))


def test_the_order_of_nodes_does_not_decide_who_is_among_the_top_of_the_probe() -> None:
    config, dataset = tiny_config({"pretrain.probe_every": 1}), tiny_dataset()
    split = make_split(dataset.valid, fold=0, seed=0)
    labels = torch.from_numpy(np.log1p(dataset.importance).astype(np.float32))
    # 14 nodes, whose top fifth of 3 begins in the middle of 7 equal ones.
    labels[torch.from_numpy(split.val)] = torch.tensor([9.0, 8.0] + [7.0] * 7 + [1.0] * 5)
    contrast = Contrast.from_sample(
        contrastive_sample(config, dataset), config.pretrain, device=labels.device, dtype=torch.float32
    )
    looks = []
    for val in (split.val, split.val[::-1].copy()):
        features = [torch.from_numpy(dataset.features["struct"].copy())]
        signals = Signals(config, features, labels, replace(split, val=val), contrast, dataset.graph.with_self_loops())
        looks.append(signals.look([points(labels.numel())], 0).values)
    assert looks[0] == pytest.approx(looks[1], abs=1e-12)
