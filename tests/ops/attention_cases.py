"""Graphs and inputs for the attention primitive, and its definition written out in loops."""

from __future__ import annotations

import math

import torch
from hypothesis import strategies as st
from torch import Tensor

from licap.graph import KnowledgeGraph

Inputs = tuple[Tensor, Tensor, Tensor, Tensor]

# Parallel edges (identical, and of another relation), a self loop, node 3 without incoming and node 4 without any edge.
SMALL = ([0, 0, 0, 1, 2, 2, 3, 1], [1, 1, 1, 2, 0, 2, 0, 0], [0, 0, 1, 2, 1, 0, 2, 2], 5, 3)
GRAPHS = {
    "small": SMALL,
    "one node": ([], [], [], 1, 1),
    "one node, one loop": ([0], [0], [0], 1, 1),
    "no edges": ([], [], [], 4, 2),
    "no relations": ([], [], [], 2, 0),
}


def build(src: list[int], dst: list[int], rel: list[int], num_nodes: int, num_relations: int) -> KnowledgeGraph:
    """A graph from plain lists."""
    return KnowledgeGraph.from_edges(src, dst, rel, num_nodes=num_nodes, num_relations=num_relations)


def make_inputs(
    graph: KnowledgeGraph, heads: int, width: int, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Inputs:
    """Random z, el, er, em that ask for gradients."""
    generator = torch.Generator().manual_seed(seed)
    shapes = (
        (graph.num_nodes, heads, width),
        (graph.num_nodes, heads),
        (graph.num_nodes, heads),
        (graph.num_relations, heads),
    )
    z, el, er, em = (torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes)
    return z, el, er, em


def by_definition(inputs: Inputs, graph: KnowledgeGraph, slope: float) -> Tensor:
    """The formula, edge by edge, in Python floats."""
    z, el, er, em = (tensor.detach().double() for tensor in inputs)
    out = torch.zeros_like(z)
    edges = list(zip(graph.src.tolist(), graph.dst.tolist(), graph.rel.tolist(), strict=True))
    for node in range(graph.num_nodes):
        for head in range(z.shape[1]):
            incoming = [(u, float(el[u, head] + er[v, head] + em[r, head])) for u, v, r in edges if v == node]
            weights = [math.exp(logit if logit > 0 else slope * logit) for _, logit in incoming]
            for (u, _), weight in zip(incoming, weights, strict=True):
                out[node, head] += weight / sum(weights) * z[u, head]
    return out


@st.composite
def knowledge_graphs(draw: st.DrawFn, max_nodes: int = 12) -> KnowledgeGraph:
    """Any small graph, loops and parallel edges included."""
    nodes, relations = draw(st.integers(1, max_nodes)), draw(st.integers(1, 4))
    node, relation = st.integers(0, nodes - 1), st.integers(0, relations - 1)
    edges = draw(st.lists(st.tuples(node, node, relation), max_size=40))
    src, dst, rel = (list(ids) for ids in zip(*edges, strict=True)) if edges else ([], [], [])
    return build(src, dst, rel, nodes, relations)
