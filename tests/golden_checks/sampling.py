"""Hierarchical sampling and closeness coefficients of all five folds."""

from __future__ import annotations

import dataclasses

from golden_checks.case import Case

from licap.config import NUM_FOLDS, BinsConfig, PretrainConfig
from licap.sampling import sample_fold
from licap.splits import make_split, transform_labels


def check(case: Case) -> None:
    """Fold k's draw is the k-th of one stream, so it is given the training nodes of folds 0 to k."""
    config = dataclasses.replace(
        PretrainConfig(),
        imp_ratio=case.number("in.gamma"),
        nontop_ratio=case.number("in.rho"),
        bins=BinsConfig(kind="length", length=case.number("in.bin_length")),
    )
    labels = transform_labels(case["in.raw"])
    trains = [make_split(case["in.invalid"] == 0, fold=fold, seed=0).train for fold in range(NUM_FOLDS)]
    for fold in range(NUM_FOLDS):
        sample = sample_fold(labels, trains[: fold + 1], config)
        for name in ("border", "border2"):
            case.close(getattr(sample, name), f"out.fold{fold}.{name}", 1e-8)
        for name in ("top", "pool", "drawn", "bin_of_top", "bins", "nonempty_bins"):
            case.equal(getattr(sample, name), f"out.fold{fold}.{name}")
        case.close(sample.closeness_of_top, f"out.fold{fold}.closeness_of_top", 1e-8)
