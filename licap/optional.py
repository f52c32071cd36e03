"""Libraries that a machine may lack: imported where they are used, with a message that says how to do without."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from licap.errors import DeviceError


def has_dgl() -> bool:
    """Whether DGL is installed, without importing it."""
    return find_spec("dgl") is not None


def import_dgl() -> Any:
    """Imports DGL. Raises: DeviceError with the remedy where it is missing."""
    # Without this DGL writes a config file into the home folder at its first import.
    os.environ.setdefault("DGLBACKEND", "pytorch")
    try:
        return import_module("dgl")
    except ImportError as error:
        raise DeviceError(
            f"DGL cannot be imported ({error}). It exists for Python 3.10 and 3.11; "
            "set runtime.backend to torch or auto."
        ) from None
