"""What holds for every encoder and every downstream model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
import torch
from torch import nn

import licap.models
from licap.config import DownstreamConfig, PretrainConfig
from licap.fields import specs_of
from licap.graph import KnowledgeGraph
from licap.models import ENCODERS, MODELS, build_encoder, build_model

NOT_MODELS = {"__init__", "base"}
IN_DIM = 5
# Node 3 has no incoming edge before loops are added, node 4 no edge at all; a loop and parallel edges are there.
GRAPH = KnowledgeGraph.from_edges(
    [0, 0, 0, 1, 2, 2, 3, 1], [1, 1, 1, 2, 0, 2, 0, 0], [0, 0, 1, 2, 1, 0, 2, 2], num_nodes=5, num_relations=3
)
LOOPS = GRAPH.with_self_loops()
KINDS = [("encoder", name) for name in sorted(ENCODERS)] + [("model", name) for name in sorted(MODELS)]


def make(kind: str, name: str, graph: KnowledgeGraph = LOOPS, seed: int = 0) -> nn.Module:
    """A registered encoder or model with its default config, in float64."""
    torch.manual_seed(seed)
    if kind == "encoder":
        return build_encoder(PretrainConfig(encoder=name), IN_DIM, 4, graph, "auto").double()
    config = DownstreamConfig(model=name)
    return build_model(config, IN_DIM, graph, graph.degree_centrality(), "auto").double()


def make_inputs(graph: KnowledgeGraph = GRAPH) -> torch.Tensor:
    """Random features."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(graph.num_nodes, IN_DIM, dtype=torch.float64, generator=generator)


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind[0]}-{kind[1]}")
def build(request: pytest.FixtureRequest) -> Callable[..., nn.Module]:
    """Builds one of the registered kinds."""
    kind, name = request.param
    return lambda **options: make(kind, name, **options)


def test_a_row_a_node_comes_out(build: Callable[..., nn.Module]) -> None:
    out = build()(make_inputs())
    assert out.shape[0] == GRAPH.num_nodes
    assert out.shape[1:] in ((), (4,))
    assert torch.isfinite(out).all()


def test_one_seed_gives_one_model(build: Callable[..., nn.Module]) -> None:
    first, again, other = (build(seed=seed).eval()(make_inputs()) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_gradients_are_those_of_the_forward_pass(build: Callable[..., nn.Module]) -> None:
    module = build().eval()
    names, values = zip(*module.named_parameters(), strict=True)

    def run(inputs: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(module, dict(zip(names, parameters, strict=True)), (inputs,))

    parameters = tuple(value.detach().requires_grad_() for value in values)
    assert torch.autograd.gradcheck(run, (make_inputs().requires_grad_(), *parameters), atol=1e-5)


def test_every_parameter_learns(build: Callable[..., nn.Module]) -> None:
    module = build().train()
    module(make_inputs()).square().sum().backward()
    assert [name for name, value in module.named_parameters() if value.grad is None] == []


def test_a_state_moves_to_another_instance(build: Callable[..., nn.Module]) -> None:
    module, other = build(seed=0).eval(), build(seed=1).eval()
    other.load_state_dict(module.state_dict())
    assert torch.equal(module(make_inputs()), other(make_inputs()))


def test_nodes_without_incoming_edges_and_empty_graphs_are_no_trouble(build: Callable[..., nn.Module]) -> None:
    empty = KnowledgeGraph.from_edges([], [], [], num_nodes=5, num_relations=3)
    for graph in (GRAPH, empty):
        assert torch.isfinite(build(graph=graph).eval()(make_inputs())).all()


def test_a_nodes_number_does_not_matter(build: Callable[..., nn.Module]) -> None:
    order = np.array([3, 0, 4, 1, 2])
    renamed = KnowledgeGraph.from_edges(
        order[GRAPH.src], order[GRAPH.dst], GRAPH.rel, num_nodes=5, num_relations=3
    ).with_self_loops()
    inputs = make_inputs()
    moved = torch.empty_like(inputs)
    moved[torch.from_numpy(order)] = inputs
    expected = build().eval()(inputs)
    torch.testing.assert_close(build(graph=renamed).eval()(moved)[torch.from_numpy(order)], expected)


def test_no_model_file_escapes_the_registries() -> None:
    files = {path.stem for path in Path(licap.models.__file__).parent.glob("*.py")} - NOT_MODELS
    registered = [*ENCODERS.values(), *MODELS.values()]
    assert files == {cls.__module__.rpartition(".")[2] for cls in registered}


def test_configs_name_exactly_what_is_registered() -> None:
    assert set(specs_of(PretrainConfig)["encoder"].choices) == set(ENCODERS)
    assert set(specs_of(DownstreamConfig)["model"].choices) == set(MODELS)
    assert set(MODELS) <= set(get_type_hints(DownstreamConfig))
