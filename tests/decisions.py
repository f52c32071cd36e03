"""What must have the same bits on every CPU, as JSON: `python tests/decisions.py`, run under different settings."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import numpy as np

from licap.config import NUM_FOLDS, BinsConfig, Node2vecConfig, PretrainConfig, SyntheticConfig
from licap.datasets.node2vec import _Plan
from licap.datasets.raw import RawGraph
from licap.datasets.synthetic import generate
from licap.datasets.walks import undirected_neighbours
from licap.sampling import sample_fold
from licap.splits import make_split, transform_labels
from search.space import Parameter, SamplerConfig
from search.strategy import Proposer

# Whole numbers and choices, so that equal values are the rule, and real ones on both scales.
SPACE = (
    Parameter(name="pretrain.imp_ratio", kind="float", low=0.02, high=0.3, log=True),
    Parameter(name="pretrain.temperature", kind="float", low=0.02, high=0.1),
    Parameter(name="pretrain.heads", kind="int", low=1, high=8, step=1, log=True),
    Parameter(name="pretrain.hidden", kind="int", low=4, high=17, step=4),
    Parameter(name="pretrain.bins.kind", kind="categorical", choices=("length", "quantile")),
)


def digest(*arrays: np.ndarray) -> str:
    """sha256 over arrays."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in arrays)).hexdigest()


def generated() -> dict[str, Any]:
    """Graph, scores and texts of the generated data set, and walks on it."""
    raw = generate(SyntheticConfig(num_nodes=3000, num_edges=40_000))
    texts = hashlib.sha256(repr((raw.names, raw.descriptions)).encode()).hexdigest()
    plan = _Plan(undirected_neighbours(raw.graph), Node2vecConfig(num_walks=1, p=0.5, q=2.0))
    return {
        "graph": digest(raw.graph.src, raw.graph.dst, raw.graph.rel),
        "scores": digest(raw.importance, raw.valid),
        "texts": texts,
        "centrality": digest(raw.graph.degree_centrality()),
        "walks": digest(*plan.batches()),
        **{f"{name} of counts": value for name, value in sampled(raw).items()},
    }


def sampled(raw: RawGraph) -> dict[str, Any]:
    """Labels, folds, borders, sets and bins."""
    labels = transform_labels(raw.importance)
    folds = [make_split(raw.valid, fold=fold, seed=0) for fold in range(NUM_FOLDS)]
    found: dict[str, Any] = {
        "labels": digest(labels),
        "folds": digest(*(part for fold in folds for part in (fold.train, fold.val, fold.test))),
    }
    for kind in ("length", "equal-width", "quantile"):
        config = PretrainConfig(bins=BinsConfig(kind=kind, length=0.1))
        samples = [sample_fold(labels, [each.train for each in folds[: fold + 1]], config) for fold in range(NUM_FOLDS)]
        found[f"borders, {kind}"] = [[float(each.border), float(each.border2)] for each in samples]
        found[f"sets, {kind}"] = digest(*(ids for each in samples for ids in (each.top, each.pool, each.drawn)))
        found[f"bins, {kind}"] = digest(*(each.bin_of_top for each in samples))
    return found


def proposed(sampler: str, count: int) -> list[Any]:
    """Proposals that learn from values with ties."""
    source = Proposer(
        SPACE, starting_points=[], sampler=SamplerConfig(name=sampler, startup=6), seed=3, direction="max"
    )
    found = []
    for number in range(count):
        values = source.propose(number)
        assert values is not None
        found.append(values)
        ratio, temperature = (float(values[name] or 0) for name in ("pretrain.imp_ratio", "pretrain.temperature"))
        source.finish(number, "complete", -round(abs(ratio - 0.1) + abs(temperature - 0.05), 2))
    return found


def decisions() -> dict[str, Any]:
    """All of it by name."""
    rng = np.random.default_rng(0)
    raw = (rng.pareto(1.0, 300_000) * 100).astype(np.float32)
    return {
        **generated(),
        "labels of many scores": digest(transform_labels(raw)),
        "labels of small scores": digest(transform_labels(raw * np.float32(1e-9))),
        **{f"proposals of {name}": proposed(name, count) for name, count in (("tpe", 40), ("random", 10))},
        "proposals of cmaes": proposed("cmaes", 40),
    }


if __name__ == "__main__":
    json.dump(decisions(), sys.stdout)
