"""The generated graph: reproducible, of the shape of real knowledge graphs, and learnable."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from licap.config import SyntheticConfig, TextConfig
from licap.datasets.raw import RawGraph
from licap.datasets.synthetic import generate
from licap.datasets.text_features import semantic_features

DIGEST = """
import hashlib
from licap.config import SyntheticConfig
from licap.datasets.synthetic import generate
raw = generate(SyntheticConfig(num_nodes=300, num_edges=2000, seed=5))
parts = [raw.graph.src, raw.graph.dst, raw.graph.rel, raw.importance, raw.valid]
texts = repr((raw.names, raw.relation_names, raw.descriptions)).encode()
print(hashlib.sha256(b"".join(part.tobytes() for part in parts) + texts).hexdigest())
"""

configs = st.builds(
    SyntheticConfig,
    num_nodes=st.integers(60, 400),
    num_edges=st.integers(60, 3000),
    num_relations=st.integers(1, 80),
    noise=st.floats(0.0, 2.0),
    seed=st.integers(0, 2**32 - 1),
)


@pytest.fixture(scope="module")
def default() -> RawGraph:
    return generate(SyntheticConfig())


@pytest.fixture(scope="module")
def large() -> RawGraph:
    return generate(SyntheticConfig(num_nodes=40_000, num_edges=400_000, num_relations=100))


def total_degree(raw: RawGraph) -> np.ndarray:
    return raw.graph.in_degree + raw.graph.out_degree


def test_one_config_gives_the_same_graph_in_every_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1


def test_another_seed_gives_another_graph(default: RawGraph) -> None:
    other = generate(SyntheticConfig(seed=1))
    assert not np.array_equal(default.graph.src, other.graph.src)
    assert not np.array_equal(default.importance, other.importance)
    assert default.names != other.names


@settings(max_examples=60, deadline=None)
@given(config=configs)
def test_a_graph_of_any_size_is_whole(config: SyntheticConfig) -> None:
    raw = generate(config)
    assert raw.graph.num_nodes == config.num_nodes
    assert raw.graph.num_edges == config.num_edges
    assert raw.graph.num_relations == config.num_relations
    assert raw.valid.sum() >= 50
    assert np.isfinite(raw.importance).all()
    assert (raw.importance[raw.valid] >= 1).all()
    assert (raw.importance[~raw.valid] == 0).all()
    assert len(set(raw.names)) == len(raw.names) == config.num_nodes
    assert len(set(raw.relation_names)) == len(raw.relation_names) == config.num_relations
    assert raw.descriptions is not None
    assert len(raw.descriptions) == config.num_nodes
    assert (raw.graph.src == raw.graph.dst).any()


@settings(max_examples=25, deadline=None)
@given(config=configs)
def test_a_node_has_one_type_in_all_relations(config: SyntheticConfig) -> None:
    raw = generate(config)
    type_of: dict[int, str] = {}
    for src, dst, rel in zip(raw.graph.src, raw.graph.dst, raw.graph.rel, strict=True):
        head, _, tail = raw.relation_names[rel].split("/")
        assert type_of.setdefault(int(src), head) == head
        assert type_of.setdefault(int(dst), tail) == tail


def test_degrees_have_the_tail_of_a_power_law(large: RawGraph) -> None:
    degrees = np.sort(large.graph.in_degree)[::-1].astype(float)
    assert degrees[0] > 100 * np.median(degrees)
    # Hill's estimate of the density's exponent from the largest two per cent.
    tail = degrees[: large.graph.num_nodes // 50]
    assert 1.7 < 1 + 1 / np.log(tail / tail[-1]).mean() < 3.0


def test_relations_follow_zipfs_law(large: RawGraph) -> None:
    counts = np.bincount(large.graph.rel, minlength=large.graph.num_relations)
    share_times_rank = counts * np.arange(1, counts.size + 1) / counts[0]
    assert np.allclose(share_times_rank, 1.0, atol=0.15)


def test_oddities_of_real_graphs_are_there_but_rare(default: RawGraph) -> None:
    graph = default.graph
    triples = np.stack([graph.src, graph.rel, graph.dst])
    repeats = graph.num_edges - np.unique(triples, axis=1).shape[1]
    loops = int((graph.src == graph.dst).sum())
    isolated = int((total_degree(default) == 0).sum())
    assert 0 < repeats < 0.06 * graph.num_edges
    assert 0 < loops < 0.01 * graph.num_edges
    assert 0 < isolated < 0.05 * graph.num_nodes
    assert 0.03 < 1 - default.valid.mean() < 0.07


def test_names_and_descriptions_are_readable_words(default: RawGraph) -> None:
    assert all(name[0].isupper() and name.replace(".", "").replace(",", "").isprintable() for name in default.names)
    assert all(3 <= len(name) <= 60 and not any(mark in name for mark in "\t\n/_{}") for name in default.names)
    described = [text for text in default.descriptions or () if text]
    assert 0.9 < len(described) / len(default.names) < 1.0
    assert all(len(text.split()) >= 5 for text in described)


def test_names_stay_unique_when_their_parts_run_out(large: RawGraph) -> None:
    assert len(set(large.names)) == large.graph.num_nodes
    assert any(name.endswith("(2)") for name in large.names)


def test_importance_has_a_long_tail(default: RawGraph) -> None:
    scores = default.importance[default.valid]
    assert scores.max() > 20 * np.median(scores)
    assert (scores == np.rint(scores)).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_structure_and_text_each_tell_something_of_importance(seed: int) -> None:
    raw = generate(SyntheticConfig(seed=seed))
    labels = np.log1p(raw.importance)
    degree = np.log1p(total_degree(raw))[:, None]
    texts = semantic_features(raw.descriptions or (), TextConfig(), progress=lambda _: None)
    known = np.flatnonzero(raw.valid)
    train, test = known[::2], known[1::2]

    def held_out_spearman(inputs: np.ndarray) -> float:
        inputs = np.column_stack([inputs, np.ones(len(inputs))])
        gram = inputs[train].T @ inputs[train] + 0.1 * np.eye(inputs.shape[1])
        weights = np.linalg.solve(gram, inputs[train].T @ labels[train])
        return float(spearmanr(inputs[test] @ weights, labels[test]).statistic)

    structure, text = held_out_spearman(degree), held_out_spearman(texts)
    both = held_out_spearman(np.column_stack([degree, texts]))
    assert structure > 0.35
    assert text > 0.35
    assert both > max(structure, text) + 0.05


def test_noise_hides_the_signal() -> None:
    clear, noisy = (generate(SyntheticConfig(noise=noise)) for noise in (0.0, 5.0))
    correlation = [
        spearmanr(total_degree(raw)[raw.valid], raw.importance[raw.valid]).statistic for raw in (clear, noisy)
    ]
    assert correlation[0] > correlation[1] + 0.1
