"""The knowledge graph as index arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from licap.errors import DataError
from licap.graph import KnowledgeGraph
from licap.optional import has_dgl


@st.composite
def knowledge_graphs(draw: st.DrawFn) -> KnowledgeGraph:
    """Small graphs, with loops, parallel edges, nodes without edges, and nothing at all."""
    nodes, relations = draw(st.integers(0, 8)), draw(st.integers(0, 4))
    count = draw(st.integers(0, 20)) if nodes and relations else 0
    ends = st.lists(st.integers(0, max(nodes - 1, 0)), min_size=count, max_size=count)
    kinds = st.lists(st.integers(0, max(relations - 1, 0)), min_size=count, max_size=count)
    return KnowledgeGraph.from_edges(draw(ends), draw(ends), draw(kinds), num_nodes=nodes, num_relations=relations)


def triples(graph: KnowledgeGraph) -> list[tuple[int, int, int]]:
    return list(zip(graph.src.tolist(), graph.rel.tolist(), graph.dst.tolist(), strict=True))


def test_edges_are_stored_as_given() -> None:
    graph = KnowledgeGraph.from_edges([2, 0, 2, 1], [0, 1, 0, 1], [1, 0, 1, 0], num_nodes=3, num_relations=2)
    assert triples(graph) == [(2, 1, 0), (0, 0, 1), (2, 1, 0), (1, 0, 1)]
    assert graph.num_edges == 4
    assert graph.src.dtype == np.int32


def test_the_arrays_cannot_be_changed() -> None:
    given_ids = np.array([0, 1])
    graph = KnowledgeGraph.from_edges(given_ids, given_ids, given_ids, num_nodes=2, num_relations=2)
    with pytest.raises(ValueError, match="read-only"):
        graph.src[0] = 1
    given_ids[0] = 1
    assert graph.src.tolist() == [0, 1]


@given(graph=knowledge_graphs())
def test_self_loops_add_one_edge_of_the_extra_relation_to_each_node(graph: KnowledgeGraph) -> None:
    looped = graph.with_self_loops()
    assert triples(looped)[: graph.num_edges] == triples(graph)
    added = triples(looped)[graph.num_edges :]
    assert added == [(node, graph.num_relations, node) for node in range(graph.num_nodes)]
    assert looped.num_relations == graph.num_relations + 1
    assert looped.num_nodes == graph.num_nodes


@given(graph=knowledge_graphs())
def test_either_grouping_holds_every_edge_once_in_the_given_order(graph: KnowledgeGraph) -> None:
    for adjacency, ends in ((graph.incoming, graph.dst), (graph.outgoing, graph.src)):
        assert adjacency.indptr.shape == (graph.num_nodes + 1,)
        assert sorted(adjacency.order.tolist()) == list(range(graph.num_edges))
        for node in range(graph.num_nodes):
            edges = adjacency.order[adjacency.indptr[node] : adjacency.indptr[node + 1]].tolist()
            assert edges == [edge for edge in range(graph.num_edges) if ends[edge] == node]


@given(graph=knowledge_graphs())
def test_degrees_count_parallel_edges(graph: KnowledgeGraph) -> None:
    assert graph.in_degree.tolist() == [graph.dst.tolist().count(node) for node in range(graph.num_nodes)]
    assert graph.out_degree.tolist() == [graph.src.tolist().count(node) for node in range(graph.num_nodes)]


def test_centrality_is_the_log_of_the_in_degree_in_single_precision() -> None:
    graph = KnowledgeGraph.from_edges([0, 0, 1], [1, 1, 1], [0, 0, 0], num_nodes=2, num_relations=1)
    centrality = graph.degree_centrality()
    assert centrality.dtype == np.float32
    np.testing.assert_allclose(centrality, np.log([1e-4, 3 + 1e-4]), rtol=1e-6)


@pytest.mark.parametrize("nodes", [0, 5])
def test_a_graph_may_have_no_edges(nodes: int) -> None:
    graph = KnowledgeGraph.from_edges([], [], [], num_nodes=nodes, num_relations=0)
    assert graph.num_edges == 0
    assert graph.incoming.indptr.tolist() == [0] * (nodes + 1)
    assert graph.in_degree.tolist() == [0] * nodes
    assert graph.with_self_loops().num_edges == nodes


BAD: dict[str, tuple[Any, Any, Any, str]] = {
    "source too large": ([0, 3], [0, 1], [0, 0], r"src\[1\] is 3, must be 0 to 2 \(1 such ids\)"),
    "destination negative": ([0, 0], [-1, 1], [0, 0], r"dst\[0\] is -1, must be 0 to 2"),
    "relation too large": ([0, 0], [1, 1], [0, 2], r"rel\[1\] is 2, must be 0 to 1"),
    "several": ([9, 9], [0, 0], [0, 0], r"src\[0\] is 9.*\(2 such ids\)"),
    "lengths": ([0], [1, 1], [0, 0], r"equally long \(got \[1, 2, 2\]\)"),
    "reals": ([0.0], [1.0], [0], r"src must hold integer ids \(got float64\)"),
    "square": ([[0]], [[1]], [[0]], r"src must be one-dimensional \(got shape \(1, 1\)\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_ids_are_refused_with_their_place(name: str) -> None:
    src, dst, rel, message = BAD[name]
    with pytest.raises(DataError, match=message):
        KnowledgeGraph.from_edges(src, dst, rel, num_nodes=3, num_relations=2)


@pytest.mark.skipif(not has_dgl(), reason="DGL is not installed")
def test_a_dgl_graph_has_the_same_edges_in_the_same_order() -> None:
    graph = KnowledgeGraph.from_edges([2, 0, 2], [0, 1, 0], [0, 0, 1], num_nodes=4, num_relations=2)
    converted = graph.to_dgl()
    src, dst = converted.edges(order="eid")
    assert (src.tolist(), dst.tolist(), converted.num_nodes()) == ([2, 0, 2], [0, 1, 0], 4)
