"""What the checks of models share: the case's graph, and parameters into and gradients out of a module."""

from __future__ import annotations

import torch
from golden_checks.case import Case
from torch import nn

from licap.graph import KnowledgeGraph


def stored_graph(case: Case) -> KnowledgeGraph:
    """The case's graph as it is stored."""
    return KnowledgeGraph.from_edges(
        case["in.src"],
        case["in.dst"],
        case["in.rel"],
        num_nodes=case.number("in.num_nodes"),
        num_relations=case.number("in.num_relations"),
    )


def graph_with_loops(case: Case) -> KnowledgeGraph:
    """The case's graph with one added loop per node."""
    return stored_graph(case).with_self_loops()


def golden_name(name: str) -> str:
    """What the golden files call a parameter: `self` is no name for an attribute here."""
    return ".".join({"own": "self"}.get(part, part) for part in name.split("."))


def load_parameters(module: nn.Module, case: Case, prefix: str) -> None:
    """Sets every parameter from `prefix.NAME`; the names must be exactly the module's."""
    given = case.below(prefix)
    parameters = dict(module.double().named_parameters())
    assert {golden_name(name) for name in parameters} == set(given)
    with torch.no_grad():
        for name, parameter in parameters.items():
            array = torch.from_numpy(given[golden_name(name)])
            assert array.shape == parameter.shape, f"{name}: {tuple(parameter.shape)}, golden {tuple(array.shape)}"
            parameter.copy_(array)


def close_parameters(module: nn.Module, case: Case, prefix: str, rtol: float) -> None:
    """Asserts that every parameter is close to `prefix.NAME`."""
    for name, value in module.named_parameters():
        case.close(value, f"{prefix}.{golden_name(name)}", rtol)


def close_gradients(module: nn.Module, case: Case, rtol: float) -> None:
    """Asserts that every gradient is close to `grad.NAME`."""
    for name, parameter in module.named_parameters():
        case.close(parameter.grad, f"grad.{golden_name(name)}", rtol)


def check_model(case: Case, model: nn.Module) -> None:
    """One forward and backward pass of a model of one channel, with parameters from `param`."""
    load_parameters(model, case, "param")
    features = torch.from_numpy(case["in.features"])
    loss = model.training_loss([features], torch.from_numpy(case["in.labels"]), torch.from_numpy(case["in.train"]))
    loss.backward()
    case.close(model(features), "out.scores", 1e-8)
    case.close(loss, "out.loss", 1e-8)
    close_gradients(model, case, 1e-6)
