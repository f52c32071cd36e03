"""Degree centrality, without and with added self loops."""

from __future__ import annotations

from golden_checks.case import Case
from golden_checks.models import stored_graph


def check(case: Case) -> None:
    """log(in-degree + 1e-4) in float32."""
    graph = stored_graph(case)
    case.close(graph.degree_centrality(), "out.without_loops", 1e-6)
    case.close(graph.with_self_loops().degree_centrality(), "out.with_loops", 1e-6)
