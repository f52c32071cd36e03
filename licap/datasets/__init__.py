"""Where graph, features and importance scores come from: raw TSV, published pickles, or generated.

Names are resolved on first use, so that importing one module of this room does not pay for all of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from licap.datasets.dataset import Dataset
    from licap.datasets.inspect import inspect_dataset, inspect_text
    from licap.datasets.raw import RawGraph
    from licap.datasets.registry import DATASETS, load_dataset, load_raw

__all__ = ["DATASETS", "Dataset", "RawGraph", "inspect_dataset", "inspect_text", "load_dataset", "load_raw"]

_HOMES = {
    "DATASETS": "licap.datasets.registry",
    "Dataset": "licap.datasets.dataset",
    "RawGraph": "licap.datasets.raw",
    "inspect_dataset": "licap.datasets.inspect",
    "inspect_text": "licap.datasets.inspect",
    "load_dataset": "licap.datasets.registry",
    "load_raw": "licap.datasets.registry",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'licap.datasets' has no attribute {name!r}")
