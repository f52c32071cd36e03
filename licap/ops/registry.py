"""The registry of backends: a name, what it needs, and the three functions that compute the primitives.

Knows no backend: each file registers itself, and `licap.ops` imports every file of the folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from licap.graph import KnowledgeGraph


class RelationAttention(Protocol):
    """Shapes as in `licap.ops.relation_attention`."""

    def __call__(
        self, z: Tensor, el: Tensor, er: Tensor, em: Tensor, graph: KnowledgeGraph, *, slope: float
    ) -> Tensor: ...


class DotAttention(Protocol):
    """Shapes as in `licap.ops.dot_attention`."""

    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        gain: Tensor,
        shift: Tensor,
        relation_key: Tensor | None,
        graph: KnowledgeGraph,
    ) -> Tensor: ...


class NeighbourSum(Protocol):
    """Shapes as in `licap.ops.neighbour_sum`."""

    def __call__(self, x: Tensor, graph: KnowledgeGraph) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class Backend:
    """One implementation of the primitives.

    installed: whether its library is there, asked without importing it. device_types: those of torch it runs on, empty
    for all. recordable: whether a CUDA graph may hold its calls, which then never wait for the device.
    """

    name: str
    installed: Callable[[], bool]
    device_types: tuple[str, ...]
    relation_attention: RelationAttention
    dot_attention: DotAttention
    neighbour_sum: NeighbourSum
    recordable: bool = False

    def runs_on(self, device_type: str) -> bool:
        """Whether its kernels take tensors of a type of device, its library provided."""
        return not self.device_types or device_type in self.device_types


BACKENDS: dict[str, Backend] = {}


def register(backend: Backend) -> None:
    """Enters a backend into `BACKENDS` under its name."""
    BACKENDS[backend.name] = backend
