"""What every loader returns: graph, raw importance, features and names of one data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from licap.graph import KnowledgeGraph


@dataclass(frozen=True, eq=False)
class Dataset:
    """One knowledge graph with importance scores for some of its nodes.

    importance: [N] float32 raw, 0 where invalid. valid: [N] bool. features: channel (`struct`, `semantic`, `concat`) to
    [N, D] float32, only what was asked for. names: N strings; the row number stands in where a format has no
    names. titles: N readable names, not always unique, None where the format has none. fingerprint:
    sha256 over the canonical arrays, without features. given: the features, `struct` or `semantic`, that were not
    computed but brought; features_fingerprint: sha256 over these, empty without any.
    """

    name: str
    graph: KnowledgeGraph
    importance: NDArray[np.float32]
    valid: NDArray[np.bool_]
    names: tuple[str, ...]
    features: Mapping[str, NDArray[np.float32]]
    fingerprint: str
    titles: tuple[str, ...] | None = None
    notes: tuple[str, ...] = field(default=())
    given: tuple[str, ...] = ()
    features_fingerprint: str = ""

    @property
    def identity(self) -> str:
        """What `data.fingerprint` of a config compares: of graph and scores, and of the given features behind a `+`."""
        return "+".join(filter(None, (self.fingerprint, self.features_fingerprint)))
