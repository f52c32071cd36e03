"""What holds for every backend of the attention primitive."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from attention_cases import GRAPHS, SMALL, build, by_definition, knowledge_graphs, make_inputs
from hypothesis import given, settings
from hypothesis import strategies as st

import licap.ops
from licap.errors import ConfigError
from licap.graph import KnowledgeGraph
from licap.ops import BACKENDS, available_backends, relation_attention
from licap.ops.edge_index import _CACHE, edge_index

pytestmark = pytest.mark.filterwarnings("error:.*CSR", "error:.*not writable")
backends = pytest.mark.parametrize("backend", available_backends())
SLOPE = 0.2
NOT_BACKENDS = {"__init__", "registry", "edge_index", "relation_sum", "numba_kernels", "numba_rows", "numba_threads"}


@pytest.fixture(params=sorted(GRAPHS))
def graph(request: pytest.FixtureRequest) -> KnowledgeGraph:
    """Each of the graphs that have gone wrong somewhere."""
    return build(*GRAPHS[request.param])


@backends
@pytest.mark.parametrize(("heads", "width"), [(1, 1), (3, 1), (1, 4), (2, 3)])
def test_it_is_the_formula(backend: str, graph: KnowledgeGraph, heads: int, width: int) -> None:
    inputs = make_inputs(graph, heads, width)
    out = relation_attention(*inputs, graph, slope=SLOPE, backend=backend)
    assert out.shape == inputs[0].shape
    torch.testing.assert_close(out, by_definition(inputs, graph, SLOPE), rtol=1e-12, atol=1e-12)


@backends
def test_gradients_are_those_of_the_formula(backend: str, graph: KnowledgeGraph) -> None:
    def attend(*inputs: torch.Tensor) -> torch.Tensor:
        return relation_attention(*inputs, graph, slope=SLOPE, backend=backend)

    assert torch.autograd.gradcheck(attend, make_inputs(graph, 2, 3))
    assert torch.autograd.gradcheck(attend, make_inputs(graph, 3, 1, seed=1))


@backends
def test_single_precision_agrees(backend: str) -> None:
    graph = random_graph(300, 4000)
    single = make_inputs(graph, 4, 8, torch.float32)
    double = tuple(each.detach().double().requires_grad_() for each in single)
    results = [relation_attention(*each, graph, slope=SLOPE, backend=backend) for each in (single, double)]
    weights = torch.randn(results[0].shape, generator=torch.Generator().manual_seed(5))
    gradients = [
        torch.autograd.grad((out * weights.to(out)).sum(), each)
        for out, each in zip(results, (single, double), strict=True)
    ]
    for ours, exact in [(results[0], results[1]), *zip(*gradients, strict=True)]:
        assert (ours.double() - exact).abs().max() <= 1e-5 * max(1.0, float(exact.detach().abs().max()))


@backends
def test_it_agrees_with_the_others(backend: str) -> None:
    graph = random_graph(300, 4000)
    ours, others = make_inputs(graph, 8, 8, torch.float32), make_inputs(graph, 8, 8, torch.float32)
    outs = [
        relation_attention(*inputs, graph, slope=SLOPE, backend=name)
        for inputs, name in ((ours, backend), (others, "torch"))
    ]
    torch.testing.assert_close(outs[0], outs[1], rtol=1e-5, atol=1e-5)


@backends
@settings(max_examples=30, deadline=None)
@given(graph=knowledge_graphs(), heads=st.integers(1, 4))
def test_equal_messages_come_out_unchanged(backend: str, graph: KnowledgeGraph, heads: int) -> None:
    _, el, er, em = make_inputs(graph, heads, 2)
    out = relation_attention(
        torch.ones(graph.num_nodes, heads, 2).double(), el, er, em, graph, slope=SLOPE, backend=backend
    )
    has_incoming = torch.from_numpy(graph.in_degree > 0).double()
    torch.testing.assert_close(out, has_incoming[:, None, None].expand_as(out))


@backends
def test_huge_logits_do_not_overflow(backend: str) -> None:
    graph = build(*SMALL)
    z, el, er, em = make_inputs(graph, 2, 3, torch.float32)
    out = relation_attention(z, el * 1e4, er * 1e4 - 1e5, em, graph, slope=SLOPE, backend=backend)
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(each).all() for each in torch.autograd.grad(out.sum(), (z, el, er, em)))


@backends
def test_two_backward_passes_give_twice_one(backend: str) -> None:
    graph = build(*SMALL)
    inputs = make_inputs(graph, 2, 3)
    loss = relation_attention(*inputs, graph, slope=SLOPE, backend=backend).square().sum()
    once = torch.autograd.grad(loss, inputs, retain_graph=True)
    twice = torch.autograd.grad(loss, inputs)
    for first, second in zip(once, twice, strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=0)


@backends
def test_the_same_tensor_may_be_given_twice(backend: str) -> None:
    graph = build(*SMALL)

    def attend(z: torch.Tensor, em: torch.Tensor) -> torch.Tensor:
        terms = z.sum(-1)
        return relation_attention(z, terms, terms, em, graph, slope=SLOPE, backend=backend)

    z, _, _, em = make_inputs(graph, 2, 3)
    assert torch.autograd.gradcheck(attend, (z, em))


@backends
def test_inputs_stay_as_they_are(backend: str) -> None:
    graph = build(*SMALL)
    inputs = make_inputs(graph, 2, 3)
    before = [each.detach().clone() for each in inputs]
    relation_attention(*inputs, graph, slope=SLOPE, backend=backend).sum().backward()
    assert all(torch.equal(*pair) for pair in zip(inputs, before, strict=True))


@backends
def test_the_same_inputs_give_the_same_bits(backend: str) -> None:
    graph = random_graph(300, 4000)
    results = []
    for _ in range(3):
        inputs = make_inputs(graph, 8, 8, torch.float32)
        out = relation_attention(*inputs, graph, slope=SLOPE, backend=backend)
        results.append([out, *torch.autograd.grad(out.square().sum(), inputs)])
    assert all(torch.equal(*pair) for other in results[1:] for pair in zip(results[0], other, strict=True))


@backends
def test_wide_ids_give_the_same_as_narrow_ones(backend: str) -> None:
    narrow = build(*SMALL)
    wide = KnowledgeGraph(*(ids.astype(np.int64) for ids in (narrow.src, narrow.dst, narrow.rel)), 5, 3)
    assert narrow.src.dtype == np.int32
    inputs = make_inputs(narrow, 2, 3)
    outs = [relation_attention(*inputs, graph, slope=SLOPE, backend=backend) for graph in (narrow, wide)]
    assert torch.equal(*outs)


def test_no_backend_file_escapes_the_registry() -> None:
    files = {path.stem for path in Path(licap.ops.__file__).parent.glob("*.py")} - NOT_BACKENDS
    homes = {backend.relation_attention.__module__.rpartition(".")[2] for backend in BACKENDS.values()}
    assert files == homes


def test_an_unknown_backend_is_refused_with_the_nearest_name() -> None:
    graph = build(*SMALL)
    with pytest.raises(ConfigError, match=r"'torhc'; did you mean torch\?"):
        relation_attention(*make_inputs(graph, 1, 1), graph, slope=SLOPE, backend="torhc")


def test_without_dgl_only_the_dgl_backend_is_missing() -> None:
    program = """
import sys
sys.modules["dgl"] = None
import torch
from licap.errors import DeviceError
from licap.graph import KnowledgeGraph
from licap.ops import available_backends, relation_attention
assert "dgl" not in available_backends(), available_backends()
graph = KnowledgeGraph.from_edges([0], [1], [0], num_nodes=2, num_relations=1)
x = torch.ones(2, 1)
out = relation_attention(x[:, :, None], x, x, x[:1], graph, slope=0.2, backend="auto")
assert out.flatten().tolist() == [0, 1], out
try:
    relation_attention(x[:, :, None], x, x, x[:1], graph, slope=0.2, backend="dgl")
except DeviceError as error:
    assert "runtime.backend" in str(error)
else:
    raise AssertionError("dgl was found")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_index_tensors_are_made_once_and_go_with_their_graph() -> None:
    graph = build(*SMALL)
    assert edge_index(graph, torch.device("cpu")) is edge_index(graph, torch.device("cpu"))
    held = len(_CACHE)
    del graph
    gc.collect()
    assert len(_CACHE) < held


def random_graph(num_nodes: int, num_edges: int) -> KnowledgeGraph:
    """Ends drawn so that some nodes have many edges and some none."""
    generator = np.random.default_rng(0)
    src, dst = (np.minimum(generator.zipf(1.3, num_edges) - 1, num_nodes - 1) for _ in range(2))
    rel = generator.integers(0, 7, num_edges)
    return KnowledgeGraph.from_edges(src, dst, rel, num_nodes=num_nodes, num_relations=7)
