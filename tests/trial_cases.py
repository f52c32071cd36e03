"""A small data set and short configs for the tests of stages and trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from licap.config import TrialConfig, config_from
from licap.datasets.dataset import Dataset
from licap.graph import KnowledgeGraph

NUM_NODES = 150


def tiny_dataset(scale: float = 1.0, fingerprint: str = "tiny", num_nodes: int = NUM_NODES) -> Dataset:
    """Importance follows in-degree and the first feature; everything is read-only, as in shared memory."""
    rng = np.random.default_rng(0)
    src, dst = (np.minimum(rng.zipf(1.5, 6 * num_nodes) - 1, num_nodes - 1) for _ in range(2))
    graph = KnowledgeGraph.from_edges(src, dst, rng.integers(0, 6, src.size), num_nodes=num_nodes, num_relations=6)
    features = rng.normal(size=(num_nodes, 6)).astype(np.float32)
    importance = np.exp(4 + np.log1p(graph.in_degree) + features[:, 0]).astype(np.float32)
    valid = rng.random(num_nodes) > 0.05
    arrays = (np.where(valid, importance, 0).astype(np.float32), valid, features * np.float32(scale))
    for array in arrays:
        array.flags.writeable = False
    return Dataset(
        name="tiny",
        graph=graph,
        importance=arrays[0],
        valid=arrays[1],
        names=tuple(map(str, range(num_nodes))),
        features={"struct": arrays[2]},
        fingerprint=fingerprint,
    )


def two_channel_dataset(num_nodes: int = NUM_NODES) -> Dataset:
    """The tiny data set with a second kind of features, and both side by side."""
    data = tiny_dataset(num_nodes=num_nodes)
    semantic = np.random.default_rng(1).normal(size=(num_nodes, 4)).astype(np.float32)
    struct = data.features["struct"]
    concat = np.concatenate([struct, semantic], axis=1)
    return replace(data, features={"struct": struct, "semantic": semantic, "concat": concat})


def tiny_config(values: Mapping[str, object] = {}) -> TrialConfig:
    """Six epochs of pretraining, eight of training, small widths."""
    return config_from(
        {
            "pretrain.max_epochs": 6,
            "pretrain.out_dim": 8,
            "pretrain.heads": 2,
            "pretrain.hidden": 4,
            "pretrain.probe_every": 2,
            "pretrain.imp_ratio": 0.2,
            "downstream.max_epochs": 8,
            "runtime.threads": 1,
        }
        | dict(values)
    )
