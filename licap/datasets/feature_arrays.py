"""One rule for feature arrays, wherever they come from: a row per node, numbers only, all finite."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from licap.errors import DataError


def checked_features(values: object, *, place: str, num_nodes: int) -> NDArray[np.float32]:
    """`values` as [N, D] float32; `place` names file and array in messages.

    Raises: DataError where it is no two-dimensional array of real numbers, has another number of rows than there are
    nodes, no column, or a value that is not finite in float32 (naming row and column).
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{place}: features must be numbers (got an array of type {array.dtype}). Write float32.")
    if array.ndim != 2 or array.shape[1] == 0:
        raise DataError(f"{place}: features must be an array [nodes, width] (got shape {array.shape}). Reshape it.")
    if array.shape[0] != num_nodes:
        raise DataError(
            f"{place}: has {array.shape[0]} rows of features, but there are {num_nodes} nodes. "
            "Give one row per node, in the order of the nodes."
        )
    with np.errstate(over="ignore"):
        features = array.astype(np.float32)
    wrong = np.argwhere(~np.isfinite(features))
    if len(wrong):
        row, column = wrong[0]
        raise DataError(
            f"{place}: row {row}, column {column} (counted from 0) is {array[row, column]}, must be a finite number "
            f"({len(wrong)} such values). Replace them."
        )
    return features
