"""Label transform and the five folds."""

from __future__ import annotations

import numpy as np
from golden_checks.case import Case
from numpy.typing import NDArray

from licap.config import NUM_FOLDS
from licap.splits import make_split, transform_labels


def check(case: Case) -> None:
    """Some cases hold only the mask of invalid nodes: their folds do not depend on labels."""
    if "in.raw" in case:
        case.within(transform_labels(case["in.raw"]), "out.labels", published_error(case["in.raw"], case["out.labels"]))
    for fold in range(NUM_FOLDS):
        split = make_split(case["in.invalid"] == 0, fold=fold, seed=0)
        for part in ("train", "val", "test"):
            case.equal(getattr(split, part), f"out.fold{fold}.{part}")


def published_error(raw: NDArray[np.float32], labels: NDArray[np.float32]) -> NDArray[np.float64]:
    """How far published labels may be from correctly rounded ones.

    One unit in the last place, by which a float32 logarithm differs from CPU to CPU, and what rounding 1 + raw to
    float32 moves the logarithm by: nothing where scores are whole numbers.
    """
    shifted = raw.astype(np.float64) + 1
    return np.spacing(labels).astype(np.float64) + np.abs(shifted.astype(np.float32) - shifted) / shifted
