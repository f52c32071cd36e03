"""What holds for every primitive of every backend."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from attention_cases import (
    ATTENTIONS,
    GRAPHS,
    PRIMITIVES,
    SMALL,
    Primitive,
    build,
    busy_graph,
    every_backend,
    knowledge_graphs,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import licap.ops
from licap.config import config_from
from licap.errors import ConfigError, DeviceError
from licap.graph import KnowledgeGraph
from licap.ops import BACKENDS, available_backends, relation_attention, resolve_backend
from licap.ops.edge_index import edge_index

pytestmark = pytest.mark.filterwarnings("error:.*CSR", "error:.*not writable")
backends = pytest.mark.parametrize("backend", every_backend())
attentions = pytest.mark.parametrize("name", ATTENTIONS)
NOT_BACKENDS = {
    "__init__",
    "registry",
    "edge_index",
    "per_graph",
    "relation_sum",
    "numba_blocks",
    "numba_dot_gradients",
    "numba_dot_kernels",
    "numba_edges",
    "numba_kernels",
    "numba_rows",
    "numba_threads",
    "triton_dot_kernels",
    "triton_edges",
    "triton_kernels",
    "triton_launch",
}


@pytest.fixture(params=sorted(GRAPHS))
def graph(request: pytest.FixtureRequest) -> KnowledgeGraph:
    """Each of the graphs that have gone wrong somewhere."""
    return build(*GRAPHS[request.param])


@pytest.fixture(params=sorted(PRIMITIVES))
def primitive(request: pytest.FixtureRequest) -> Primitive:
    """Each of the primitives."""
    return PRIMITIVES[request.param]


def gradients(out: Tensor, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Of the inputs, for a random gradient of the output."""
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return torch.autograd.grad(out, inputs, weights.to(out))


def assert_ones_come_out(backend: str, name: str, inputs: list[Tensor], graph: KnowledgeGraph) -> None:
    """Weights of a node sum up to one: where all messages are ones, a one comes out of each node with edges."""
    messages = 0 if name == "relation attention" else 2
    inputs[messages] = torch.ones_like(inputs[messages])
    out = PRIMITIVES[name].call(*inputs, graph=graph, backend=backend)
    has_incoming = torch.from_numpy(graph.in_degree > 0).to(out)
    torch.testing.assert_close(out, has_incoming[:, None, None].expand_as(out))


@backends
@pytest.mark.parametrize(("heads", "width"), [(1, 1), (3, 1), (1, 4), (2, 3)])
def test_it_is_the_formula(backend: str, primitive: Primitive, graph: KnowledgeGraph, heads: int, width: int) -> None:
    inputs = primitive.inputs(graph, heads, width)
    out = primitive.call(*inputs, graph=graph, backend=backend)
    assert out.shape == inputs[0].shape
    torch.testing.assert_close(out, primitive.by_definition(inputs, graph), rtol=1e-12, atol=1e-12)


@backends
def test_gradients_are_those_of_the_formula(backend: str, primitive: Primitive, graph: KnowledgeGraph) -> None:
    def function(*inputs: Tensor) -> Tensor:
        return primitive.call(*inputs, graph=graph, backend=backend)

    assert torch.autograd.gradcheck(function, primitive.inputs(graph, 2, 3), fast_mode=True)
    assert torch.autograd.gradcheck(function, primitive.inputs(graph, 3, 1, seed=1), fast_mode=True)


@backends
@pytest.mark.parametrize(("heads", "width"), [(4, 8), (5, 1), (1, 44)])
def test_single_precision_agrees(backend: str, primitive: Primitive, heads: int, width: int) -> None:
    graph = busy_graph(backend)
    single = primitive.inputs(graph, heads, width, torch.float32)
    double = tuple(each.detach().double().requires_grad_() for each in single)
    # The other one is torch's, so that the backends are compared with each other too.
    outs = [primitive.call(*each, graph=graph, backend=name) for each, name in ((single, backend), (double, "torch"))]
    pairs = zip((outs[0], *gradients(outs[0], single)), (outs[1], *gradients(outs[1], double)), strict=True)
    for ours, exact in pairs:
        assert (ours.double() - exact).abs().max() <= 1e-5 * max(1.0, float(exact.detach().abs().max()))


@backends
@attentions
@settings(max_examples=30, deadline=None)
@given(graph=knowledge_graphs(), heads=st.integers(1, 4))
def test_equal_messages_come_out_unchanged(backend: str, name: str, graph: KnowledgeGraph, heads: int) -> None:
    assert_ones_come_out(backend, name, list(PRIMITIVES[name].inputs(graph, heads, 2)), graph)


@backends
@attentions
def test_huge_logits_neither_overflow_nor_vanish(backend: str, name: str) -> None:
    graph = build(*SMALL)
    inputs = [each.detach() for each in PRIMITIVES[name].inputs(graph, 2, 3, torch.float32)]
    if name == "relation attention":
        inputs[1], inputs[2] = inputs[1] * 1e4, inputs[2] * 1e4 - 1e5
    else:
        inputs[3], inputs[4] = inputs[3] * 1e4, inputs[4] * 1e4 - 1e5
    scaled = tuple(each.requires_grad_() for each in inputs)
    out = PRIMITIVES[name].call(*scaled, graph=graph, backend=backend)
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(each).all() for each in gradients(out, scaled))
    assert_ones_come_out(backend, name, list(scaled), graph)


@backends
def test_what_is_not_a_number_stays_visible(backend: str, primitive: Primitive) -> None:
    graph = build(*SMALL)
    for place in range(len(primitive.inputs(graph, 2, 1))):
        inputs = primitive.inputs(graph, 2, 1)
        with torch.no_grad():
            inputs[place].view(-1)[0] = torch.nan
        out = primitive.call(*inputs, graph=graph, backend=backend)
        assert torch.equal(torch.isnan(out), torch.isnan(primitive.by_definition(inputs, graph)))

    inputs = primitive.inputs(graph, 2, 1)
    out = primitive.call(*inputs, graph=graph, backend=backend)
    for gradient in torch.autograd.grad(out, inputs, torch.full_like(out, torch.nan)):
        assert torch.isnan(gradient).any()


@backends
def test_two_backward_passes_give_twice_one(backend: str, primitive: Primitive) -> None:
    graph = build(*SMALL)
    inputs = primitive.inputs(graph, 2, 3)
    loss = primitive.call(*inputs, graph=graph, backend=backend).square().sum()
    once = torch.autograd.grad(loss, inputs, retain_graph=True)
    twice = torch.autograd.grad(loss, inputs)
    assert all(torch.equal(*pair) for pair in zip(once, twice, strict=True))


@backends
def test_a_later_call_leaves_an_earlier_one_alone(backend: str, primitive: Primitive) -> None:
    graph = build(*SMALL)
    first, second = primitive.inputs(graph, 2, 3), primitive.inputs(graph, 2, 3, seed=1)
    expected = gradients(primitive.call(*first, graph=graph, backend=backend), first)
    outs = [primitive.call(*inputs, graph=graph, backend=backend) for inputs in (first, second)]
    kept = outs[0].detach().clone()
    gradients(outs[1], second)
    assert all(torch.equal(*pair) for pair in zip(expected, gradients(outs[0], first), strict=True))
    assert torch.equal(outs[0], kept)


@backends
def test_frozen_inputs_change_nothing_for_the_others(backend: str, primitive: Primitive) -> None:
    graph = build(*SMALL)
    inputs = primitive.inputs(graph, 2, 3)
    expected = gradients(primitive.call(*inputs, graph=graph, backend=backend), inputs)
    for wanted in range(len(inputs)):
        alone = [each.detach() for each in inputs]
        alone[wanted].requires_grad_()
        (gradient,) = gradients(primitive.call(*alone, graph=graph, backend=backend), (alone[wanted],))
        torch.testing.assert_close(gradient, expected[wanted], rtol=1e-12, atol=1e-12)
        assert all(each.grad is None for each in alone)


@backends
def test_one_value_for_all_heads_need_not_be_copied(backend: str, primitive: Primitive) -> None:
    graph = build(*SMALL)
    narrow = primitive.inputs(graph, 1, 1)
    expanded = tuple(each.expand(each.shape[0], *[2] * (each.dim() > 1), *each.shape[2:]) for each in narrow)
    copies = tuple(each.detach().clone().requires_grad_() for each in expanded)
    outs = [primitive.call(*each, graph=graph, backend=backend) for each in (expanded, copies)]
    assert torch.equal(*outs)
    for summed, each in zip(gradients(outs[0], narrow), gradients(outs[1], copies), strict=True):
        torch.testing.assert_close(summed, each.sum(1, keepdim=True))


@backends
def test_the_same_tensor_may_be_given_twice(backend: str) -> None:
    graph = build(*SMALL)

    def attend(z: Tensor, em: Tensor) -> Tensor:
        terms = z.sum(-1)
        return primitive.call(z, terms, terms, em, graph=graph, backend=backend)

    primitive = PRIMITIVES["relation attention"]
    z, _, _, em = primitive.inputs(graph, 2, 3)
    assert torch.autograd.gradcheck(attend, (z, em), fast_mode=True)


@backends
def test_inputs_stay_as_they_are(backend: str, primitive: Primitive) -> None:
    graph = build(*SMALL)
    inputs = primitive.inputs(graph, 2, 3)
    before = [each.detach().clone() for each in inputs]
    primitive.call(*inputs, graph=graph, backend=backend).sum().backward()
    assert all(torch.equal(*pair) for pair in zip(inputs, before, strict=True))


@backends
def test_the_same_inputs_give_the_same_bits(backend: str, primitive: Primitive) -> None:
    graph = busy_graph(backend)
    results = []
    for _ in range(3):
        inputs = primitive.inputs(graph, 8, 8, torch.float32)
        out = primitive.call(*inputs, graph=graph, backend=backend)
        results.append([out, *gradients(out, inputs)])
    assert all(torch.equal(*pair) for other in results[1:] for pair in zip(results[0], other, strict=True))


@backends
def test_wide_ids_give_the_same_as_narrow_ones(backend: str, primitive: Primitive) -> None:
    narrow = build(*SMALL)
    wide = KnowledgeGraph(*(ids.astype(np.int64) for ids in (narrow.src, narrow.dst, narrow.rel)), 5, 3)
    assert narrow.src.dtype == np.int32
    inputs = primitive.inputs(narrow, 2, 3)
    outs = [primitive.call(*inputs, graph=graph, backend=backend) for graph in (narrow, wide)]
    assert torch.equal(*outs)


def test_no_backend_file_escapes_the_registry() -> None:
    files = {path.stem for path in Path(licap.ops.__file__).parent.glob("*.py")} - NOT_BACKENDS
    homes = {backend.relation_attention.__module__.rpartition(".")[2] for backend in BACKENDS.values()}
    assert files == homes


def test_every_backend_can_be_chosen() -> None:
    for name in BACKENDS:
        assert config_from({"runtime.backend": name}).runtime.backend == name


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_available_is_what_can_be_resolved(device: str) -> None:
    for name in BACKENDS:
        if name in available_backends(device):
            assert resolve_backend(name, torch.device(device), num_edges=0).name == name
        else:
            with pytest.raises(DeviceError, match=r"runtime\.backend"):
                resolve_backend(name, torch.device(device), num_edges=0)


def test_an_unknown_backend_is_refused_with_the_nearest_name() -> None:
    graph = build(*SMALL)
    with pytest.raises(ConfigError, match=r"'torhc'; did you mean torch\?"):
        relation_attention(*PRIMITIVES["relation attention"].inputs(graph, 1, 1), graph, slope=0.2, backend="torhc")


@pytest.mark.parametrize(
    ("device", "num_edges", "expected"),
    [("cpu", 49_999, "torch"), ("cpu", 50_000, "numba"), ("cuda", 49_999, "torch"), ("cuda", 50_000, "torch")],
)
def test_auto_takes_compiled_kernels_for_large_graphs_on_the_cpu(device: str, num_edges: int, expected: str) -> None:
    assert resolve_backend("auto", torch.device(device), num_edges).name == expected


@pytest.mark.parametrize(("library", "backend"), [("dgl", "dgl"), ("numba", "numba"), ("triton", "triton")])
def test_without_a_library_only_its_backend_is_missing(library: str, backend: str) -> None:
    program = f"""
import sys
sys.modules["{library}"] = None
import torch
from licap.errors import DeviceError
from licap.graph import KnowledgeGraph
from licap.ops import available_backends, relation_attention, resolve_backend
assert "{backend}" not in {{*available_backends("cpu"), *available_backends("cuda")}}
graph = KnowledgeGraph.from_edges([0], [1], [0], num_nodes=2, num_relations=1)
x = torch.ones(2, 1)
out = relation_attention(x[:, :, None], x, x, x[:1], graph, slope=0.2, backend="auto")
assert resolve_backend("auto", x.device, 10**6).installed()
assert out.flatten().tolist() == [0, 1], out
try:
    relation_attention(x[:, :, None], x, x, x[:1], graph, slope=0.2, backend="{backend}")
except DeviceError as error:
    assert "runtime.backend" in str(error)
else:
    raise AssertionError("{library} was found")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_index_tensors_are_made_once_and_go_with_their_graph() -> None:
    graph = build(*SMALL)
    assert edge_index(graph, torch.device("cpu")) is edge_index(graph, torch.device("cpu"))
    held = len(edge_index)
    del graph
    gc.collect()
    assert len(edge_index) < held
