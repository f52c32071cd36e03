"""Python's garbage collection, kept out of where freeing an object at the wrong moment does harm."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage() -> Iterator[None]:
    """Frees unreachable objects now, and none that are in reference cycles while the block runs, in any thread."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
