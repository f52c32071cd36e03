"""CUDA graphs: what an epoch launches on a GPU is recorded once, and launched as a whole from then on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from licap.garbage import no_garbage

# Calls before recording: libraries allocate what they need, kernels are compiled, what is kept per graph is made.
WARM_UP = 3


class CudaGraph:
    """A function without arguments that returns tensors by name; replayed, not called, from its fourth call on.

    It must launch the same kernels on the same tensors whenever it is called, and bring no value to the CPU. What it
    writes elsewhere (gradients, running statistics) each replay writes anew; random numbers go on as if it were called.
    """

    def __init__(self, function: Callable[[], dict[str, Tensor]], device: torch.device) -> None:
        self._function, self._device = function, device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._values: dict[str, Tensor] = {}

    def __call__(self) -> dict[str, Tensor]:
        """What the function returns; the tensors are the caller's, no later call changes them."""
        self._calls += 1
        with torch.cuda.device(self._device):
            if self._calls <= WARM_UP:
                return self._aside()
            if self._graph is None:
                self._graph = self._recorded()
            self._graph.replay()
            # The next replay writes over them.
            return {name: value.clone() for name, value in self._values.items()}

    def _aside(self) -> dict[str, Tensor]:
        """Calls the function on the stream that it is recorded on, as torch asks for before a recording."""
        outside = torch.cuda.current_stream()
        self._stream.wait_stream(outside)
        with torch.cuda.stream(self._stream):
            values = self._function()
        outside.wait_stream(self._stream)
        return values

    def _recorded(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        # A recording breaks where an older graph is freed in its midst.
        with no_garbage(), torch.cuda.graph(graph, stream=self._stream):
            self._values = self._function()
        return graph
