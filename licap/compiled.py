"""Compiles functions with numba and keeps the machine code on disk, where there is a folder for it.

numba keeps it in NUMBA_CACHE_DIR if that is set, else in `__pycache__` beside the source or in the user's cache folder.
By itself it raises where it can write to none of them, where the disk is full, or where it may not read what is there.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

from numba import njit
from numba.core.caching import FunctionCache

F = TypeVar("F", bound=Callable[..., Any])


class _Cache(FunctionCache):  # type: ignore[misc]
    """What cannot be read is compiled, what cannot be written is not kept, and torn files are written anew."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The machine code for a signature, or None."""
        # What cannot be read is as good as not there: the function is compiled, which costs time alone.
        with suppress(OSError):
            try:
                return super().load_overload(sig, target_context)
            except (EOFError, pickle.UnpicklingError):
                self.flush()
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keeps the machine code for a signature."""
        with suppress(OSError):
            super().save_overload(sig, data)


def compiled(function: F) -> F:
    """The function compiled at its first call, to run without the GIL; for mypy, the function itself."""
    dispatcher = njit(nogil=True)(function)
    # Raised where no folder can be written.
    with suppress(RuntimeError):
        dispatcher._cache = _Cache(function)
    return cast(F, dispatcher)
