"""An end in time, whatever a process is doing: between epochs by asking, within one by ending the process."""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# An epoch that ends within this is the better end: the process lives on.
GRACE_S = 5.0


@dataclass(frozen=True)
class Deadline:
    """A moment on the monotonic clock; None: never."""

    moment: float | None

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        """So many seconds from now."""
        return cls(None if seconds is None else time.monotonic() + seconds)

    @property
    def is_over(self) -> bool:
        """Whether it has come."""
        return self.moment is not None and time.monotonic() >= self.moment

    @contextmanager
    def enforced(self, grace_s: float = GRACE_S) -> Iterator[None]:
        """Ends this process where the block lasts until `grace_s` after the deadline.

        By a thread that needs neither signals nor Python's lock: a block that hangs in a library is ended too.
        """
        if self.moment is None:
            yield
            return
        faulthandler.dump_traceback_later(max(0.0, self.moment - time.monotonic()) + grace_s, exit=True, file=2)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
