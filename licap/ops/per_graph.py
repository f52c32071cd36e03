"""What is made once of a graph and kept as long as the graph lives: index arrays in the forms that backends want."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Concatenate, Generic, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from licap.graph import KnowledgeGraph

P = ParamSpec("P")
T = TypeVar("T")


class PerGraph(Generic[P, T]):
    """Decorator of a function of a graph and, it may be, a device: called once for each, its results kept.

    A result must not hold the graph itself, which would then live for ever. Length: graphs of which some are kept.
    """

    def __init__(self, make: Callable[Concatenate[KnowledgeGraph, P], T]) -> None:
        self._make = make
        self._kept: WeakKeyDictionary[KnowledgeGraph, dict[object, T]] = WeakKeyDictionary()
        update_wrapper(self, make)

    def __call__(self, graph: KnowledgeGraph, *args: P.args, **kwargs: P.kwargs) -> T:
        """What the function gave, or gives now."""
        of_graph = self._kept.setdefault(graph, {})
        key = args, tuple(kwargs.items())
        if key not in of_graph:
            of_graph[key] = self._make(graph, *args, **kwargs)
        return of_graph[key]

    def __len__(self) -> int:
        return len(self._kept)
