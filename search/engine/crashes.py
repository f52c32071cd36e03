"""Why a worker died or raised what nobody expected, as far as that can be told: from Ray's words, and the kernel's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from licap.machine import control_groups
from search.engine.messages import Failure

# The last line of a traceback, where the message goes on over more lines.
_RAISED = re.compile(r"^[A-Za-z_][\w.]*(?:: .*)?$")
_NO_MEMORY = re.compile(r"^(?:[\w.]*\.)?(?:MemoryError|_ArrayMemoryError|OutOfMemoryError)\b|allocate memory")
# Ray's own monitor, which a cluster may have turned on. What it says of other deaths only names memory as a guess.
_MONITOR = re.compile(r"running low on memory|memory usage threshold")
_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def failure_of_crash(details: str, *, killed_for_memory: bool) -> Failure:
    """`oom` or `crashed`. details: all that Ray wrote down. killed_for_memory: whether the kernel killed a process."""
    if not has_traceback(details):
        if killed_for_memory or _MONITOR.search(details):
            message = "its worker process was killed because memory ran out; lower max_concurrent or widths"
            return Failure("oom", message, details)
        return Failure("crashed", "the worker process died; if memory ran out, lower max_concurrent or widths", details)
    raised = [line for line in details.splitlines() if _RAISED.match(line)]
    last = raised[-1] if raised else "the worker raised an error that it could not name"
    return Failure("oom" if _NO_MEMORY.search(last) else "crashed", last, details)


def has_traceback(details: str) -> bool:
    """Whether the worker raised something, rather than died."""
    return "Traceback" in details or "  File " in details


def kernel_kills(sources: Iterable[Path] | None = None) -> int:
    """How many processes the kernel has killed so far because memory ran out; 0 where the system does not say.

    sources: files that may say so, the nearest first; this process's control group, then the whole machine.
    """
    for source in _sources() if sources is None else sources:
        with suppress(OSError):
            found = _KILLS.search(source.read_text(encoding="utf-8", errors="replace"))
            if found is not None:
                return int(found[1])
    return 0


def _sources() -> list[Path]:
    """The counters of this process's control groups, and the machine's."""
    files = {1: "memory.oom_control", 2: "memory.events"}
    return [*(group.folder / files[group.version] for group in control_groups("memory")), Path("/proc/vmstat")]
