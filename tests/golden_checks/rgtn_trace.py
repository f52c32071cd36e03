"""RGTN trained with early stopping on the validation Spearman."""

from __future__ import annotations

import torch
from golden_checks.case import Case
from golden_checks.rgtn import make_model
from golden_checks.trained import check_trace


def check(case: Case) -> None:
    """Runs the stage to its end, each epoch with its row of draws."""
    model = make_model(case, "param0")
    rows = iter(torch.from_numpy(case["in.list_draws"]).long())
    model.draw_lists = lambda count: next(rows).view(count, -1)
    check_trace(case, model, features=("features", "features2"), monitor="spearman")
