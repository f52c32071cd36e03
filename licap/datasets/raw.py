"""What a loader returns before features are completed: graph, raw importance, names, and features that came along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from licap.graph import KnowledgeGraph


@dataclass(frozen=True, kw_only=True, eq=False)
class RawGraph:
    """One knowledge graph as its source gives it.

    importance: [N] float32 raw, 0 where invalid. valid: [N] bool. names, relation_names: N and R strings; the row
    number stands in where a format has no names; a node's name is its identity. titles: N readable names, which need
    not be unique. descriptions: N strings. Both are None where the source has no such texts. features: what came
    along, `struct` or `semantic`, each [N, D] float32. notes: what a reader of results should know about the source.
    """

    name: str
    graph: KnowledgeGraph
    importance: NDArray[np.float32]
    valid: NDArray[np.bool_]
    names: tuple[str, ...]
    relation_names: tuple[str, ...]
    titles: tuple[str, ...] | None = None
    descriptions: tuple[str, ...] | None = None
    features: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
