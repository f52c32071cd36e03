"""What the checks of models share: the case's graph, and parameters into and gradients out of a module."""

from __future__ import annotations

import torch
from golden_checks.case import Case
from torch import nn

from licap.graph import KnowledgeGraph


def graph_with_loops(case: Case) -> KnowledgeGraph:
    """The case's graph with one added loop per node."""
    graph = KnowledgeGraph.from_edges(
        case["in.src"],
        case["in.dst"],
        case["in.rel"],
        num_nodes=case.number("in.num_nodes"),
        num_relations=case.number("in.num_relations"),
    )
    return graph.with_self_loops()


def load_parameters(module: nn.Module, case: Case, prefix: str) -> None:
    """Sets every parameter from `prefix.NAME`; the names must be exactly the module's."""
    module.double().load_state_dict({name: torch.from_numpy(array) for name, array in case.below(prefix).items()})


def close_parameters(module: nn.Module, case: Case, prefix: str, rtol: float) -> None:
    """Asserts that every parameter is close to `prefix.NAME`."""
    for name, value in module.state_dict().items():
        case.close(value, f"{prefix}.{name}", rtol)


def close_gradients(module: nn.Module, case: Case, rtol: float) -> None:
    """Asserts that every gradient is close to `grad.NAME`."""
    for name, parameter in module.named_parameters():
        case.close(parameter.grad, f"grad.{name}", rtol)
