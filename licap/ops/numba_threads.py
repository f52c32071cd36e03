"""Runs a compiled kernel over the chunks of a graph, on as many threads as torch uses.

The threads are Python's: kernels run without the GIL. numba's own would bring a second OpenMP library into the process,
whose idle threads and torch's get in each other's way, and not every machine has it. Two runs at once share the pool.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch

from licap.ops.numba_edges import Edges

# So many turns a thread takes, for the case that some get on slower than others.
_TURNS = 4


def run(kernel: Callable[..., None], edges: Edges, *arguments: Any) -> None:
    """kernel(first chunk, last chunk + 1, edges, *arguments) until every chunk has had its turn."""
    threads = min(torch.get_num_threads(), edges.chunks)
    step = edges.chunks if threads == 1 else max(1, edges.chunks // (threads * _TURNS))
    waiting = deque(range(0, edges.chunks, step))

    def work() -> None:
        while True:
            try:
                first = waiting.popleft()
            except IndexError:
                return
            kernel(first, min(first + step, edges.chunks), edges, *arguments)

    helpers = [_pool().submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        for helper in helpers:
            # One that has not started would find nothing left to do.
            if not helper.cancel():
                helper.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=os.cpu_count(), thread_name_prefix="licap-ops")


if hasattr(os, "register_at_fork"):
    # A forked process has the pool, and none of its threads.
    os.register_at_fork(after_in_child=_pool.cache_clear)
