"""GENI trained with early stopping on the validation loss."""

from __future__ import annotations

from golden_checks.case import Case
from golden_checks.geni import make_model
from golden_checks.trained import check_trace


def check(case: Case) -> None:
    """Runs the stage to its end."""
    check_trace(case, make_model(case, "param0", residual=False), features=("features",), monitor="loss")
