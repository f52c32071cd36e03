"""Completes a data set's features: a file of one's own, else what came along, else computed and kept on disk.

What is computed must not depend on the order of lines in a file: nodes are taken in the order of their names, edges
sorted, and the rows handed back in the order of the nodes. The same order makes the key under which features are kept.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from licap.config import DataConfig
from licap.datasets.feature_cache import cached
from licap.datasets.fingerprint import add_array, add_texts
from licap.datasets.own_features import load_own_features
from licap.datasets.raw import RawGraph
from licap.errors import DataError
from licap.graph import KnowledgeGraph

Features = NDArray[np.float32]
Progress = Callable[[str], None]
CHANNELS = ("struct", "semantic")
# Part of every key: raise it when the same settings come to mean other features.
_METHOD = 1


def complete_features(
    raw: RawGraph, config: DataConfig, given: Mapping[str, Features], *, progress: Progress
) -> Mapping[str, Features]:
    """The channels of `config.features`: struct, semantic, both of them, or concat (structure, then semantic).

    given: what need not be computed of them. Returns: an entry for each channel, [N, D] float32. Raises: DataError
    where texts are missing; StoreError where computed features cannot be kept.
    """
    computing = {"struct": _struct, "semantic": _semantic}
    parts = {name: given[name] if name in given else computing[name](raw, config, progress) for name in config.parts}
    if config.features == "concat":
        return {"concat": np.concatenate([parts["struct"], parts["semantic"]], axis=1)}
    return parts


def given_features(raw: RawGraph, config: DataConfig, names: Sequence[str] = CHANNELS) -> dict[str, Features]:
    """The features that need no computing: files of one's own, and what came along. Raises: DataError."""
    own = {"struct": config.struct_file, "semantic": config.semantic_file}
    files = {name: load_own_features(Path(path), raw.names) for name, path in own.items() if path and name in names}
    return {name: raw.features[name] for name in names if name in raw.features} | files


def _struct(raw: RawGraph, config: DataConfig, progress: Progress) -> Features:
    order = NameOrder.of(raw.names)
    graph = canonical_graph(raw, order)

    def compute() -> Features:
        from licap.datasets.node2vec import structure_features

        return structure_features(graph, config.node2vec, progress=progress)

    digest = _digest(config.node2vec)
    for ids in (graph.src, graph.dst):
        add_array(digest, ids, "<i8")
    add_array(digest, [graph.num_nodes], "<i8")
    return order.back(cached(Path(config.cache), f"node2vec-{digest.hexdigest()}", compute))


def _semantic(raw: RawGraph, config: DataConfig, progress: Progress) -> Features:
    texts = node_texts(raw)
    if texts is None:
        raise DataError(
            f"{config.path or raw.name}: data.features is {config.features}, but the data set brings neither "
            "semantic features nor texts to make them from. Give data.semantic_file, add descriptions, or set "
            "data.features to struct."
        )
    order = NameOrder.of(raw.names)
    sorted_texts = [texts[node] for node in order.nodes]

    def compute() -> Features:
        from licap.datasets.text_features import semantic_features

        return semantic_features(sorted_texts, config.text, progress=progress)

    digest = _digest(config.text)
    add_texts(digest, sorted_texts)
    return order.back(cached(Path(config.cache), f"text-{digest.hexdigest()}", compute))


def node_texts(raw: RawGraph) -> list[str] | None:
    """One text per node: readable name and description, as far as there are any; None without either.

    Underscores in names are spaces there: `Sire_Records` is two words.
    """
    if raw.titles is None:
        return None if raw.descriptions is None else list(raw.descriptions)
    titles = [title.replace("_", " ") for title in raw.titles]
    if raw.descriptions is None:
        return titles
    return [f"{title} {text}".strip() for title, text in zip(titles, raw.descriptions, strict=True)]


def canonical_graph(raw: RawGraph, order: NameOrder) -> KnowledgeGraph:
    """The graph with nodes and relations numbered in the order of their names, and edges sorted."""
    relations = NameOrder.of(raw.relation_names).rank
    src, dst, rel = order.rank[raw.graph.src], order.rank[raw.graph.dst], relations[raw.graph.rel]
    edges = np.lexsort((dst, rel, src))
    return KnowledgeGraph.from_edges(
        src[edges], dst[edges], rel[edges], num_nodes=raw.graph.num_nodes, num_relations=raw.graph.num_relations
    )


@dataclass(frozen=True)
class NameOrder:
    """Names in sorted order. nodes: [N] which node stands where; rank: [N] where each node stands."""

    nodes: NDArray[np.int64]
    rank: NDArray[np.int64]

    @classmethod
    def of(cls, names: Sequence[str]) -> NameOrder:
        """Sorts by code point, so that no locale matters."""
        nodes = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
        rank = np.empty_like(nodes)
        rank[nodes] = np.arange(nodes.size)
        return cls(nodes, rank)

    def back(self, rows: NDArray[Any]) -> Features:
        """Rows in the order of names, as rows in the order of the nodes."""
        return np.ascontiguousarray(rows[self.rank], dtype=np.float32)


def _digest(config: Any) -> hashlib._Hash:
    digest = hashlib.sha256()
    add_texts(digest, [str(_METHOD), repr(sorted(dataclasses.asdict(config).items()))])
    return digest
