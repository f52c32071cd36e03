"""What raw scores are as labels: whether scores that differ stay apart, and whether a model can tell them apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from licap.splits import transform_labels

# Steps of the optimiser are of about this size: labels nearer to each other than that are noise to a model.
_SMALL_DEVIATION = 0.05


def score_notes(scores: NDArray[np.float64]) -> tuple[str, ...]:
    """What a reader of results should know about the scores of the valid nodes, with remedies; mostly nothing.

    scores: as the source gives them, finite and 0 or more, not yet in float32.
    """
    if not scores.size:
        return ()
    labels, distinct = transform_labels(scores), np.unique(scores).size
    found = []
    lost = distinct - np.unique(labels).size
    if lost:
        found.append(
            f"{lost:,} of {distinct:,} distinct scores have the label of another one, for labels are "
            "log(1 + importance) in float32. If that matters, rescale the scores: they have to be above 1e-37, and to "
            "differ by more than a millionth of their size."
        )
    deviation = float(labels.std(dtype=np.float64))
    if 0 < deviation < _SMALL_DEVIATION:
        found.append(
            f"Labels have a standard deviation of {deviation:.2g}, less than a model learns without help. Set "
            "downstream.labels to standardised, or multiply the scores."
        )
    return tuple(found)
