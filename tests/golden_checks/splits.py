"""Label transform and the five folds."""

from __future__ import annotations

from golden_checks.case import Case

from licap.config import NUM_FOLDS
from licap.splits import make_split, transform_labels


def check(case: Case) -> None:
    """Some cases hold only the mask of invalid nodes: their folds do not depend on labels."""
    if "in.raw" in case:
        case.close(transform_labels(case["in.raw"]), "out.labels", 1e-8)
    for fold in range(NUM_FOLDS):
        split = make_split(case["in.invalid"] == 0, fold=fold, seed=0)
        for part in ("train", "val", "test"):
            case.equal(getattr(split, part), f"out.fold{fold}.{part}")
