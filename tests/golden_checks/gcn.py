"""GCN: scores, loss, all gradients, and a training trace."""

from __future__ import annotations

from golden_checks.case import Case
from golden_checks.models import check_model, graph_with_loops, load_parameters
from golden_checks.trained import check_trace

from licap.models.gcn import GCN


def check(case: Case) -> None:
    """One pass, or training with early stopping on the validation loss."""
    graph = graph_with_loops(case)
    in_dim, hidden = case["in.features"].shape[1], case.number("in.hidden")
    model = GCN(in_dim=in_dim, hidden=hidden, graph=graph, backend="auto")
    if case.name != "trace":
        check_model(case, model)
        return
    load_parameters(model, case, "param0")
    check_trace(case, model, features=("features",), monitor="loss")
