"""Walks that follow the graph with the bias they should have, and embeddings that are the same everywhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licap.config import Node2vecConfig
from licap.datasets.node2vec import structure_features
from licap.datasets.walks import random_walks, undirected_neighbours
from licap.graph import KnowledgeGraph

SMALL = Node2vecConfig(dim=8, num_walks=4, walk_length=12, window=3)

DIGEST = """
import hashlib
from licap.config import Node2vecConfig, SyntheticConfig
from licap.datasets.node2vec import structure_features
from licap.datasets.synthetic import generate
graph = generate(SyntheticConfig(num_nodes=200, num_edges=1500)).graph
config = Node2vecConfig(dim=16, num_walks=3, walk_length=20, p=0.5, q=2.0, epochs=2)
print(hashlib.sha256(structure_features(graph, config, progress=lambda _: None).tobytes()).hexdigest())
"""

ENDLESS = """
from licap.config import Node2vecConfig, SyntheticConfig
from licap.datasets.node2vec import structure_features
from licap.datasets.synthetic import generate
graph = generate(SyntheticConfig(num_nodes=2000, num_edges=20000)).graph
structure_features(graph, Node2vecConfig(num_walks=100000), progress=lambda text: print(text, flush=True))
"""


def graph_of(edges: list[tuple[int, int]], num_nodes: int) -> KnowledgeGraph:
    src, dst = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    return KnowledgeGraph.from_edges(src, dst, np.zeros_like(src), num_nodes=num_nodes, num_relations=1)


@st.composite
def graphs(draw: st.DrawFn) -> KnowledgeGraph:
    num_nodes = draw(st.integers(1, 9))
    node = st.integers(0, num_nodes - 1)
    return graph_of(draw(st.lists(st.tuples(node, node), max_size=25)), num_nodes)


@settings(max_examples=80, deadline=None)
@given(graph=graphs(), p=st.floats(1e-4, 1e4), q=st.floats(1e-4, 1e4), seed=st.integers(0, 2**32 - 1))
def test_walks_only_follow_edges(graph: KnowledgeGraph, p: float, q: float, seed: int) -> None:
    neighbours = undirected_neighbours(graph)
    starts = np.flatnonzero(neighbours.degree)
    walks = random_walks(neighbours, starts, number=3, length=9, p=p, q=q, seed=seed)
    edges = {frozenset(pair) for pair in zip(graph.src.tolist(), graph.dst.tolist(), strict=True)}
    assert walks[:, 0].tolist() == starts.tolist()
    for walk in walks.tolist():
        for here, there in pairwise(walk):
            assert here != there
            assert frozenset((here, there)) in edges


@settings(max_examples=40, deadline=None)
@given(graph=graphs())
def test_neighbours_are_both_directions_of_every_proper_edge(graph: KnowledgeGraph) -> None:
    neighbours = undirected_neighbours(graph)
    expected: list[list[int]] = [[] for _ in range(graph.num_nodes)]
    for src, dst in zip(graph.src.tolist(), graph.dst.tolist(), strict=True):
        if src != dst:
            expected[src].append(dst)
            expected[dst].append(src)
    bounds = pairwise(neighbours.indptr)
    assert [neighbours.nodes[low:high].tolist() for low, high in bounds] == [sorted(row) for row in expected]


@pytest.mark.parametrize(("p", "q"), [(1.0, 1.0), (0.25, 4.0), (4.0, 0.25), (0.002, 1.0), (50.0, 0.02)])
def test_steps_have_the_probabilities_of_the_paper(p: float, q: float) -> None:
    # From 0 to 1: back to 0, on to 2 (a neighbour of 0), twice as likely on to 3 (two edges) as to 4 (one edge).
    graph = graph_of([(0, 1), (0, 2), (1, 2), (1, 3), (3, 1), (1, 4)], 5)
    neighbours = undirected_neighbours(graph)
    weights = np.array([1 / p, 0.0, 1.0, 2 / q, 1 / q])
    steps: Counter[int] = Counter()
    for number in range(30_000):
        walk = random_walks(neighbours, np.array([0]), number=number, length=3, p=p, q=q, seed=7)[0]
        if walk[1] == 1:
            steps[int(walk[2])] += 1
    total = sum(steps.values())
    observed = np.array([steps[node] for node in range(5)]) / total
    expected = weights / weights.sum()
    # Five standard errors: a wrong kernel is off by far more, a right one never fails with this seed.
    assert (np.abs(observed - expected) <= 5 * np.sqrt(expected * (1 - expected) / total) + 1e-12).all()


def test_a_walk_does_not_depend_on_the_batch_it_stands_in() -> None:
    neighbours = undirected_neighbours(graph_of([(node, (node * 3 + 1) % 20) for node in range(20)], 20))
    starts = np.flatnonzero(neighbours.degree)
    arguments = {"number": 2, "length": 15, "p": 0.5, "q": 2.0, "seed": 1}
    together = random_walks(neighbours, starts, **arguments)
    alone = np.concatenate([random_walks(neighbours, starts[[row]], **arguments) for row in range(starts.size)])
    assert np.array_equal(together, alone)


@pytest.mark.parametrize("change", [{"seed": 2}, {"number": 3}])
def test_seed_and_number_each_give_other_walks(change: dict[str, int]) -> None:
    neighbours = undirected_neighbours(graph_of([(a, b) for a in range(8) for b in range(a)], 8))
    arguments = {"number": 2, "seed": 1}
    first, second = (
        random_walks(neighbours, np.arange(8), length=30, p=1.0, q=1.0, **(arguments | given)) for given in ({}, change)
    )
    assert not np.array_equal(first, second)


def test_features_are_the_same_in_every_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed, threads in (("1", "1"), ("2", "2"))
    }
    assert len(digests) == 1


def test_another_seed_gives_other_features() -> None:
    graph = graph_of([(a, b) for a in range(6) for b in range(a)], 6)
    first, second = (
        structure_features(graph, Node2vecConfig(dim=4, num_walks=2, seed=seed), progress=lambda _: None)
        for seed in (0, 1)
    )
    assert not np.array_equal(first, second)


def test_nodes_of_one_community_are_embedded_side_by_side() -> None:
    cliques = [(start + a, start + b) for start in (0, 10) for a in range(10) for b in range(a)]
    config = Node2vecConfig(dim=8, num_walks=40, walk_length=30, window=3, epochs=2)
    features = structure_features(graph_of([*cliques, (0, 10)], 20), config, progress=lambda _: None)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    closeness = features @ features.T
    within = (closeness[:10, :10].mean() + closeness[10:, 10:].mean()) / 2
    assert within > closeness[:10, 10:].mean() + 0.3


def test_a_node_without_neighbours_gets_zeros() -> None:
    features = structure_features(graph_of([(0, 1), (1, 2), (3, 3)], 5), SMALL, progress=lambda _: None)
    assert features.dtype == np.float32
    assert features.shape == (5, 8)
    assert np.isfinite(features).all()
    assert features.any(axis=1).tolist() == [True, True, True, False, False]


def test_a_graph_without_edges_is_said_to_have_none() -> None:
    said: list[str] = []
    features = structure_features(graph_of([], 3), SMALL, progress=said.append)
    assert not features.any()
    assert "no edge" in said[0]


def test_the_end_is_reported() -> None:
    said: list[str] = []
    structure_features(graph_of([(0, 1)], 2), SMALL, progress=said.append)
    assert "4 walks from each of 2 nodes" in said[0]
    assert "done" in said[-1]


def test_ctrl_c_ends_it_in_the_midst() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "walks from each" in process.stdout.readline()
        assert "left" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in errors
