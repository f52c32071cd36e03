"""How benchmarks measure: rivals that take turns in one process, and processes of their own for memory. Linux only.

Rivals take turns so that a busy machine slows all alike; of each the median counts, its first turns left out. A peak
belongs to a process, so what is asked for its memory runs in one of its own, which does nothing else. A process that
uses a GPU is waited for until the GPU is done, and its memory is what it holds there.
"""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, TypeVar

import torch

# Turns in which libraries load, kernels compile, and caches and branch predictors settle.
WARM_UP = 2

Turn = Callable[[], Mapping[str, float]]
T = TypeVar("T")


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """What a call gives, and its seconds."""
    _finish()
    began = time.perf_counter()
    given = call()
    _finish()
    return given, time.perf_counter() - began


def _on_gpu() -> bool:
    """Whether this process uses one."""
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def _finish() -> None:
    """Waits for what a GPU has been given."""
    if _on_gpu():
        torch.cuda.synchronize()


def in_turns(rivals: Mapping[str, Turn], rounds: int) -> dict[tuple[str, str], list[float]]:
    """Lets every rival have its turn, so many times. A turn gives seconds by the name of what took them.

    Returns: seconds by (what, rival), in order.
    """
    seconds: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for rival, turn in rivals.items():
            for what, spent in turn().items():
                seconds.setdefault((what, rival), []).append(spent)
    return seconds


def settled(times: Sequence[float], left_out: int = WARM_UP) -> float:
    """The median of all but the first turns."""
    return statistics.median(times[left_out:])


def yardstick(rivals: Sequence[str]) -> str:
    """The rival that the others are compared with: DGL where it is installed, torch elsewhere, else the first."""
    return next((name for name in ("dgl", "torch") if name in rivals), rivals[0])


@dataclass(frozen=True)
class Used:
    """What a run took of a process that does nothing else.

    seconds: of the run. processor: its seconds of processor time, all threads together. before: MB held when it
    began. during: the largest MB while it ran. total: the largest MB of the whole process, with what was there before.
    """

    seconds: float
    processor: float
    before: float
    during: float
    total: float

    @property
    def above(self) -> float:
        """MB that the run added at its peak; 0 where it gave memory back before it took any."""
        return max(0.0, self.during - self.before)


def in_own_process(prepare: Callable[..., Callable[[], object]], *arguments: Any) -> Used:
    """What `prepare(*arguments)()` uses; preparing is not counted. prepare: a function of a module."""
    (used,) = side_by_side(prepare, [arguments])
    return used


def side_by_side(prepare: Callable[..., Callable[[], object]], each: Sequence[Sequence[Any]]) -> list[Used]:
    """What `prepare(*arguments)()` uses for each of the arguments, all at once; runs begin when all are prepared."""
    # Spawned: a forked child would count its parent's memory as its own.
    context = get_context("spawn")
    together = context.Barrier(len(each))
    with ProcessPoolExecutor(len(each), context, initializer=_meet_at, initargs=(together,)) as processes:
        futures = [processes.submit(_measured, prepare, tuple(arguments)) for arguments in each]
        return [future.result() for future in futures]


_together: Barrier | None = None


def _meet_at(barrier: Barrier) -> None:
    global _together
    _together = barrier


def _measured(prepare: Callable[..., Callable[[], object]], arguments: tuple[Any, ...]) -> Used:
    assert _together is not None, "the process was told whom to wait for"
    try:
        run = prepare(*arguments)
    except BaseException:
        _together.abort()
        raise
    # What has been freed and is kept for later would hide as much of the run.
    ctypes.CDLL(None).malloc_trim(0)
    _together.wait()
    most, before = _most_mb(), _held_mb()
    _forget_most()
    began = time.process_time()
    _, seconds = timed(run)
    processor, during = time.process_time() - began, _most_mb()
    return Used(seconds, processor, before, during, max(most, during))


def _held_mb() -> float:
    return torch.cuda.memory_allocated() / 2**20 if _on_gpu() else memory_mb("VmRSS")


def _most_mb() -> float:
    return torch.cuda.max_memory_allocated() / 2**20 if _on_gpu() else memory_mb("VmHWM")


def _forget_most() -> None:
    if _on_gpu():
        torch.cuda.reset_peak_memory_stats()
    else:
        # How the kernel is told.
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def memory_mb(field: str, process: int | str = "self") -> float:
    """MB of a process: `VmRSS` is resident now, `VmHWM` the most so far. Raises: OSError where it has ended.

    getrusage is no substitute: a child's ru_maxrss starts at its parent's.
    """
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    # A process that is about to end has no memory any more.
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:")), 0.0)


def free_mb(device: str) -> float:
    """MB that are free on a GPU, or of this machine's, those included that can be freed without writing to disk."""
    if device != "cpu":
        return torch.cuda.mem_get_info(device)[0] / 2**20
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable:"))
