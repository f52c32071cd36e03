"""The sum with a matrix per relation: formula, gradients, and chunks that cut through relations."""

from __future__ import annotations

import gc
from importlib import import_module

import pytest
import torch
from attention_cases import GRAPHS, SMALL, build, random_graph
from torch import Tensor

from licap.graph import KnowledgeGraph
from licap.ops import relation_sum

# Not by its name in licap.ops, which is the function's.
MODULE = import_module("licap.ops.relation_sum")


@pytest.fixture(params=sorted(GRAPHS))
def graph(request: pytest.FixtureRequest) -> KnowledgeGraph:
    """Each of the graphs that have gone wrong somewhere."""
    return build(*GRAPHS[request.param])


@pytest.fixture(params=[1, 3, 65_536])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Edges of a chunk: one, a few that cut through relations, all."""
    monkeypatch.setattr(MODULE, "_CHUNK", request.param)
    return int(request.param)


def make_inputs(
    graph: KnowledgeGraph, dtype: torch.dtype = torch.float64, width: int = 3, out: int = 2
) -> tuple[Tensor, Tensor]:
    """Random x and weight that ask for gradients."""
    generator = torch.Generator().manual_seed(0)
    shapes = (graph.num_nodes, width), (graph.num_relations, width, out)
    x, weight = (torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes)
    return x, weight


def test_it_is_the_formula(graph: KnowledgeGraph, chunk: int) -> None:
    x, weight = make_inputs(graph)
    expected = torch.zeros(graph.num_nodes, 2, dtype=torch.float64)
    for u, v, r in zip(graph.src.tolist(), graph.dst.tolist(), graph.rel.tolist(), strict=True):
        expected[v] += x.detach()[u] @ weight.detach()[r]
    torch.testing.assert_close(relation_sum(x, weight, graph), expected, rtol=1e-12, atol=1e-12)


def test_gradients_are_those_of_the_formula(graph: KnowledgeGraph, chunk: int) -> None:
    inputs = make_inputs(graph)
    assert torch.autograd.gradcheck(lambda x, weight: relation_sum(x, weight, graph), inputs)


@pytest.mark.parametrize("size", [50, 777])
def test_chunks_change_nothing_but_the_rounding(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    graph = random_graph(300, 4000)
    inputs, cotangent = make_inputs(graph, torch.float32, 16, 8), torch.rand(300, 8) - 0.5
    whole = linear_results(inputs, cotangent)
    # Two sums of n terms, each in an order and with a kernel of its own, differ by at most 2 n units in the last place
    # of the sum of the terms' sizes (Higham, Accuracy and Stability of Numerical Algorithms, section 4.2).
    ones = [torch.ones_like(each, dtype=torch.float64).requires_grad_() for each in (*inputs, cotangent)]
    sizes = [each.detach().double().abs().requires_grad_() for each in (*inputs, cotangent)]
    terms = linear_results((ones[0], ones[1]), ones[2])
    magnitudes = linear_results((sizes[0], sizes[1]), sizes[2])
    monkeypatch.setattr(MODULE, "_CHUNK", size)
    for ours, theirs, count, magnitude in zip(linear_results(inputs, cotangent), whole, terms, magnitudes, strict=True):
        allowed = 2 * count * torch.finfo(torch.float32).eps * magnitude
        assert ((ours.double() - theirs.double()).abs() <= allowed).all()


def test_the_same_inputs_give_the_same_bits() -> None:
    inputs = make_inputs(random_graph(300, 4000), torch.float32, 16, 8)
    assert all(torch.equal(*pair) for pair in zip(results(inputs), results(inputs), strict=True))


def test_two_backward_passes_give_twice_one() -> None:
    inputs = make_inputs(build(*SMALL))
    loss = relation_sum(*inputs, build(*SMALL)).square().sum()
    once = torch.autograd.grad(loss, inputs, retain_graph=True)
    assert all(torch.equal(*pair) for pair in zip(once, torch.autograd.grad(loss, inputs), strict=True))


@pytest.mark.parametrize("frozen", [0, 1])
def test_a_frozen_input_changes_nothing_for_the_other(frozen: int) -> None:
    graph = build(*SMALL)
    inputs = make_inputs(graph)
    expected = torch.autograd.grad(relation_sum(*inputs, graph).square().sum(), inputs)[1 - frozen]
    inputs[frozen].requires_grad_(False)
    relation_sum(*inputs, graph).square().sum().backward()
    assert inputs[frozen].grad is None
    assert torch.equal(inputs[1 - frozen].grad, expected)


def test_what_is_not_a_number_stays_visible() -> None:
    graph = build(*SMALL)
    x, weight = make_inputs(graph)
    with torch.no_grad():
        x[0, 0] = torch.nan
    out = relation_sum(x, weight, graph)
    assert torch.isnan(out[graph.dst[graph.src == 0].tolist()]).all()
    assert torch.isnan(torch.autograd.grad(out.sum(), weight)[0]).any()


def test_chunks_go_with_their_graph() -> None:
    graph = build(*SMALL)
    relation_sum(*make_inputs(graph), graph)
    held = len(MODULE.chunks_of)
    del graph
    gc.collect()
    assert len(MODULE.chunks_of) < held


def linear_results(inputs: tuple[Tensor, Tensor], cotangent: Tensor) -> list[Tensor]:
    """Output, and gradients of its product with a constant: each element is one sum of products of the inputs."""
    out = relation_sum(*inputs, random_graph(300, 4000))
    return [out.detach(), *torch.autograd.grad(out, inputs, cotangent)]


def results(inputs: tuple[Tensor, Tensor]) -> list[Tensor]:
    """Output and gradients on a graph of 4,000 edges, made anew as its chunks are kept."""
    out = relation_sum(*inputs, random_graph(300, 4000))
    return [out.detach(), *torch.autograd.grad(out.square().sum(), inputs)]
