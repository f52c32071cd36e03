"""Graphs and inputs for the primitives on edges, and their definitions written out in loops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from licap.graph import KnowledgeGraph
from licap.ops import BACKENDS, dot_attention, neighbour_sum, relation_attention

Inputs = tuple[Tensor, ...]
SLOPE = 0.2

# Parallel edges (identical, and of another relation), a self loop, node 3 without incoming and node 4 without any edge.
SMALL = ([0, 0, 0, 1, 2, 2, 3, 1], [1, 1, 1, 2, 0, 2, 0, 0], [0, 0, 1, 2, 1, 0, 2, 2], 5, 3)
GRAPHS = {
    "small": SMALL,
    "one node": ([], [], [], 1, 1),
    "one node, one loop": ([0], [0], [0], 1, 1),
    "one node, two loops": ([0, 0], [0, 0], [0, 1], 1, 2),
    "no edges": ([], [], [], 4, 2),
    "no relations": ([], [], [], 2, 0),
}


def build(src: list[int], dst: list[int], rel: list[int], num_nodes: int, num_relations: int) -> KnowledgeGraph:
    """A graph from plain lists."""
    return KnowledgeGraph.from_edges(src, dst, rel, num_nodes=num_nodes, num_relations=num_relations)


def random_graph(num_nodes: int, num_edges: int) -> KnowledgeGraph:
    """Ends drawn so that some nodes have many edges and some none."""
    generator = np.random.default_rng(0)
    src, dst = (np.minimum(generator.zipf(1.3, num_edges) - 1, num_nodes - 1) for _ in range(2))
    rel = generator.integers(0, 7, num_edges)
    return KnowledgeGraph.from_edges(src, dst, rel, num_nodes=num_nodes, num_relations=7)


def busy_graph(backend: str) -> KnowledgeGraph:
    """A random graph that keeps a backend busy. In Triton's interpreter each program takes milliseconds."""
    interpreted = backend == "triton" and home_of(backend) == "cpu"
    return random_graph(10, 300) if interpreted else random_graph(300, 4000)


@st.composite
def knowledge_graphs(draw: st.DrawFn, max_nodes: int = 12) -> KnowledgeGraph:
    """Any small graph, loops and parallel edges included."""
    nodes, relations = draw(st.integers(1, max_nodes)), draw(st.integers(1, 4))
    node, relation = st.integers(0, nodes - 1), st.integers(0, relations - 1)
    edges = draw(st.lists(st.tuples(node, node, relation), max_size=40))
    src, dst, rel = (list(ids) for ids in zip(*edges, strict=True)) if edges else ([], [], [])
    return build(src, dst, rel, nodes, relations)


def home_of(backend: str) -> str:
    """The type of device that a backend is tested on: the CPU wherever it runs there."""
    return "cpu" if BACKENDS[backend].runs_on("cpu") else "cuda"


def every_backend() -> list[pytest.ParameterSet]:
    """All that are registered, as parameters of tests; those that cannot run here are skipped, and say why."""
    return [pytest.param(name, marks=_marks(name)) for name in sorted(BACKENDS)]


def _marks(backend: str) -> list[pytest.MarkDecorator]:
    missing = pytest.mark.skipif(not BACKENDS[backend].installed(), reason=f"{backend} is not installed")
    if home_of(backend) == "cpu":
        return [missing]
    return [pytest.mark.gpu, missing, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


@dataclass(frozen=True)
class Primitive:
    """One of the primitives as a function of nothing but tensors.

    compute: that function, of tensors on one device. per_node, per_relation: names and inner shapes of its inputs, of
    N and of R rows; H and D stand for sizes. definition: the formula for one node and head, from the inputs and the
    edges that come in.
    """

    compute: Callable[..., Tensor]
    per_node: dict[str, str]
    per_relation: dict[str, str]
    definition: Callable[..., Tensor]

    def inputs(
        self, graph: KnowledgeGraph, heads: int, width: int, dtype: torch.dtype = torch.float64, seed: int = 0
    ) -> Inputs:
        """Random inputs that ask for gradients."""
        generator = torch.Generator().manual_seed(seed)
        sizes = {"H": heads, "D": width}
        return tuple(
            torch.randn(rows, *(sizes[size] for size in shape), generator=generator, dtype=dtype).requires_grad_()
            for rows, shapes in ((graph.num_nodes, self.per_node), (graph.num_relations, self.per_relation))
            for shape in shapes.values()
        )

    def call(self, *inputs: Tensor, graph: KnowledgeGraph, backend: str) -> Tensor:
        """The function at the backend's home, of tensors on the CPU, as is what it returns."""
        moved = (each.to(home_of(backend)) for each in inputs)
        return self.compute(*moved, graph=graph, backend=backend).cpu()

    def by_definition(self, inputs: Inputs, graph: KnowledgeGraph) -> Tensor:
        """The formula, edge by edge, in float64."""
        exact = tuple(tensor.detach().double() for tensor in inputs)
        return self.definition(exact, graph)


def _edges_into(node: int, graph: KnowledgeGraph) -> list[tuple[int, int]]:
    edges = zip(graph.src.tolist(), graph.dst.tolist(), graph.rel.tolist(), strict=True)
    return [(u, r) for u, v, r in edges if v == node]


def _attended(messages: Tensor, graph: KnowledgeGraph, logit: Callable[[int, int, int, int], float]) -> Tensor:
    """Softmax-weighted sums of messages [N, H, D]; logit of source, destination, relation and head."""
    out = torch.zeros_like(messages)
    for node in range(graph.num_nodes):
        for head in range(messages.shape[1]):
            incoming = _edges_into(node, graph)
            weights = [math.exp(logit(u, node, r, head)) for u, r in incoming]
            for (u, _), weight in zip(incoming, weights, strict=True):
                out[node, head] += weight / sum(weights) * messages[u, head]
    return out


def _relation_attention(inputs: Inputs, graph: KnowledgeGraph) -> Tensor:
    z, el, er, em = inputs

    def logit(u: int, v: int, r: int, head: int) -> float:
        x = float(el[u, head] + er[v, head] + em[r, head])
        return SLOPE * x if x < 0 else x

    return _attended(z, graph, logit)


def _dot_attention(inputs: Inputs, graph: KnowledgeGraph) -> Tensor:
    q, k, values, gain, shift, *key = inputs

    def logit(u: int, v: int, r: int, head: int) -> float:
        x = float(q[v, head] @ k[u, head] * gain[r, head] + shift[r, head])
        return x + float(q[u, head] @ key[0][r, head]) if key else x

    return _attended(values, graph, logit)


def _neighbour_sum(inputs: Inputs, graph: KnowledgeGraph) -> Tensor:
    (x,) = inputs
    sums: Iterator[Tensor] = (
        sum((x[u] for u, _ in _edges_into(node, graph)), torch.zeros(x.shape[1], dtype=x.dtype))
        for node in range(graph.num_nodes)
    )
    return torch.stack(list(sums))


PRIMITIVES = {
    "relation attention": Primitive(
        lambda *inputs, graph, backend: relation_attention(*inputs, graph, slope=SLOPE, backend=backend),
        {"z": "HD", "el": "H", "er": "H"},
        {"em": "H"},
        _relation_attention,
    ),
    "dot attention": Primitive(
        lambda *inputs, graph, backend: dot_attention(*inputs, graph, backend=backend),
        {"q": "HD", "k": "HD", "v": "HD"},
        {"gain": "H", "shift": "H"},
        _dot_attention,
    ),
    "dot attention with a relation key": Primitive(
        lambda *inputs, graph, backend: dot_attention(*inputs[:5], graph, relation_key=inputs[5], backend=backend),
        {"q": "HD", "k": "HD", "v": "HD"},
        {"gain": "H", "shift": "H", "key": "HD"},
        _dot_attention,
    ),
    "neighbour sum": Primitive(
        lambda x, *, graph, backend: neighbour_sum(x, graph, backend=backend),
        {"x": "D"},
        {},
        _neighbour_sum,
    ),
}
ATTENTIONS = sorted(set(PRIMITIVES) - {"neighbour sum"})
