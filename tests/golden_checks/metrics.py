"""Metrics on log labels."""

from __future__ import annotations

import math

from golden_checks.case import Case

from licap.metrics import METRICS, evaluate

# Published in float32, ours in float64.
FLOAT32 = ("rmse", "median_ae", "ndcg")


def check(case: Case) -> None:
    """Where the published Spearman is NaN (constant predictions) ours is the worst value."""
    true, predicted = case["in.true"], case["in.predicted"]
    assert case.number("in.kind") in ("plain", "ties", "constant", "reversed", "negative")
    expected = [name for name in METRICS if f"out.{name}" in case]
    assert {"rmse", "median_ae", "spearman"} <= set(expected)
    values = evaluate(true, predicted, expected, label_ties="position")
    for name in expected:
        if name == "spearman" and math.isnan(case.number("out.spearman")):
            assert values[name] == METRICS[name].worst
        else:
            case.close(values[name], f"out.{name}", 1e-6 if name.startswith(FLOAT32) else 1e-8)
