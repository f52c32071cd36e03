"""Degree centrality, without and with added self loops."""

from __future__ import annotations

from golden_checks.case import Case

from licap.graph import KnowledgeGraph


def check(case: Case) -> None:
    """log(in-degree + 1e-4) in float32."""
    graph = KnowledgeGraph.from_edges(
        case["in.src"],
        case["in.dst"],
        case["in.rel"],
        num_nodes=case.number("in.num_nodes"),
        num_relations=case.number("in.num_relations"),
    )
    case.close(graph.degree_centrality(), "out.without_loops", 1e-6)
    case.close(graph.with_self_loops().degree_centrality(), "out.with_loops", 1e-6)
