"""Features of one's own: `.npy` in the order of the nodes, or `.npz` with `names` and `features`, matched by name."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from licap.datasets.feature_arrays import checked_features
from licap.datasets.lookalikes import told_apart, twins
from licap.errors import DataError
from licap.invisible import escaped

_LISTED = 5
_OBJECTS = "Object arrays cannot be loaded"


def load_own_features(path: Path, names: Sequence[str]) -> NDArray[np.float32]:
    """[N, D] float32 in the order of `names`. Rows of an `.npz` that name no node are left out.

    Raises: DataError naming the file: missing, damaged, wrong kind, wrong number of rows, missing or repeated names,
    values that are not finite.
    """
    loaded = _load(path)
    if isinstance(loaded, np.ndarray):
        return checked_features(loaded, place=str(path), num_nodes=len(names))
    missing = {"names", "features"} - loaded.keys()
    if missing:
        raise DataError(
            f"{path}: has no array {' and no array '.join(sorted(missing))} (found: {', '.join(loaded) or 'none'}). "
            "Write it with numpy.savez(file, names=…, features=…)."
        )
    rows = _rows(path, loaded["names"], names)
    return checked_features(loaded["features"], place=str(path), num_nodes=loaded["names"].size)[rows]


def _load(path: Path) -> NDArray[Any] | dict[str, NDArray[Any]]:
    try:
        loaded = np.load(path, allow_pickle=False)
        return loaded if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Check the path.") from None
    except MemoryError:
        raise DataError(f"{path}: claims more data than fits into memory. Write the file again.") from None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        if _OBJECTS in str(error):
            raise DataError(
                f"{path}: holds an object array, which is not allowed. "
                "Write features as float32 and names as text (numpy.array(names, dtype=str))."
            ) from None
        raise DataError(
            f"{path}: cannot be read as .npy or .npz, it is truncated or another kind of file. Write it again."
        ) from None


def _rows(path: Path, given: NDArray[Any], names: Sequence[str]) -> NDArray[np.int64]:
    """The row of each node. Raises: DataError where names are no texts, are missing or stand twice."""
    if given.ndim != 1 or given.dtype.kind not in "Uiu":
        raise DataError(
            f"{path}: names must be a one-dimensional array of texts (got {given.dtype}, shape {given.shape}). "
            "Write numpy.array(names, dtype=str)."
        )
    texts = [str(name) for name in given.tolist()]
    repeated = [name for name, count in Counter(texts).items() if count > 1]
    if repeated:
        raise DataError(f"{path}: {_listed(repeated)} in names more than once. Keep one row per name.")
    place = {name: row for row, name in enumerate(texts)}
    missing = [name for name in names if name not in place]
    if missing:
        alike = twins(missing, texts)
        pairs = "; ".join(told_apart([name, alike[name]]) for name in list(alike)[:_LISTED])
        raise DataError(
            f"{path}: {len(missing)} of {len(names)} nodes have no features: {_listed(missing)} not in names. "
            + (
                f"Names there look like {len(alike)} of them: {pairs}. Write them in one way."
                if pairs
                else "Add their rows."
            )
        )
    return np.array([place[name] for name in names], dtype=np.int64)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(escaped, names[:_LISTED])) + (
        f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    )
    return f"{shown} {'is' if len(names) == 1 else 'are'}"
