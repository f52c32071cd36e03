"""The registry of attention backends: a name, what it needs, and the function that computes.

Knows no backend: each file registers itself, and `licap.ops` imports every file of the folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from licap.graph import KnowledgeGraph


class Attend(Protocol):
    """What a backend computes; shapes as in `licap.ops.relation_attention`."""

    def __call__(
        self, z: Tensor, el: Tensor, er: Tensor, em: Tensor, graph: KnowledgeGraph, *, slope: float
    ) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class Backend:
    """One implementation of the primitive.

    installed: whether its library is there, asked without importing it. device_types: those of torch it runs on, empty
    for all.
    """

    name: str
    attend: Attend
    installed: Callable[[], bool]
    device_types: tuple[str, ...]


BACKENDS: dict[str, Backend] = {}


def register(
    name: str, *, installed: Callable[[], bool], device_types: tuple[str, ...] = ()
) -> Callable[[Attend], Attend]:
    """Decorator that enters a function into `BACKENDS`."""

    def enter(attend: Attend) -> Attend:
        BACKENDS[name] = Backend(name=name, attend=attend, installed=installed, device_types=device_types)
        return attend

    return enter
