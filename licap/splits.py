"""Labels and folds: the log transform of raw importance, and which nodes train, validate and test.

Functions of arrays: no files, no graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from licap.errors import DataError
from licap.logarithm import log1p_float32

# Test and validation interval of folds 0 to 3. The bounds decide about nodes that sit on one, and 3 * 0.2 is not 0.6:
# they are literals, as published.
_BOUNDS = ((0.0, 0.2, 0.3), (0.2, 0.4, 0.5), (0.4, 0.6, 0.7), (0.6, 0.8, 0.9))
_LAST_FOLD = len(_BOUNDS)


@dataclass(frozen=True, eq=False)
class Split:
    """Node ids of one fold, ascending; together all valid nodes, each once."""

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]


def transform_labels(raw: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float32]:
    """The label of a raw importance, log(1 + raw), correctly rounded to float32: the same on every CPU.

    The published implementation adds 1 and takes the logarithm in float32. For whole numbers its labels differ from
    these by at most one unit in the last place, which depends on the CPU. For other scores it rounds 1 + raw, too,
    which moves a label by up to 6e-8 and makes scores equal that differ by less; here small scores stay apart.

    raw: any shape, 0 or more (0 stands in where a node has no score). Returns: float32 of the same shape.
    Raises: DataError where a value is negative, infinite or NaN, also once rounded to float32.
    """
    with np.errstate(over="ignore"):
        single = np.asarray(raw).astype(np.float32)
    wrong = np.flatnonzero(~(np.isfinite(single) & (single >= 0)))
    if wrong.size:
        raise DataError(
            f"importance of node {wrong[0]} is {np.ravel(raw)[wrong[0]]}, must be a finite number of at least 0 "
            f"({wrong.size} such nodes). Give the raw score, or mark the node as not valid."
        )
    return log1p_float32(single.astype(np.float64))


def make_split(valid: NDArray[np.bool_], *, fold: int, seed: int) -> Split:
    """The nodes of one of five folds, as the published code deals them out.

    A permutation u of equally spaced numbers from 0 to 1 is given to the valid nodes in id order. Folds 0 to 3 test a
    fifth of [0, 1] and validate the tenth after it; fold 4 tests the last fifth and validates the first tenth.
    A node that sits exactly on 0.2, 0.4 or 0.6 is tested by two folds (published).

    valid: [N]. seed: of numpy's legacy generator, 0 as published.
    Raises: ValueError for a fold out of range; DataError where a part would be empty.
    Source: zhangtia16/LICAP, commit ad3ef2a.
    """
    if not 0 <= fold <= _LAST_FOLD:
        raise ValueError(f"fold must be 0 to {_LAST_FOLD} (got {fold})")
    nodes = np.flatnonzero(valid)
    u = np.random.RandomState(seed).permutation(np.linspace(0, 1, nodes.size))
    if fold < _LAST_FOLD:
        low, high, val_high = _BOUNDS[fold]
        test = (low <= u) & (u <= high)
        val = (high < u) & (u <= val_high)
    else:
        test = u >= 0.8
        val = u <= 0.1
    split = Split(nodes[~test & ~val], nodes[val], nodes[test])
    if not (split.train.size and split.val.size and split.test.size):
        raise DataError(
            f"{nodes.size} labelled nodes are too few for fold {fold}: {split.train.size} train, {split.val.size} "
            f"validate, {split.test.size} test. Give scores to more nodes."
        )
    return split
