"""The graphs that benchmarks run on: a data set's, or a random one of a size whose degrees follow a power law."""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from benchmarks.command import positive
from benchmarks.output import Findings
from benchmarks.reference import fitting
from licap.config import DataConfig, PretrainConfig, SyntheticConfig, config_from
from licap.datasets import Dataset, load_dataset, load_raw
from licap.datasets.registry import completed
from licap.datasets.synthetic import generate
from licap.errors import ConfigError
from licap.graph import KnowledgeGraph

# As many as FB15k-open has.
RELATIONS = 237
NODES_TO_EDGES = 10
# The time of contrasting top with non-top nodes grows with the square of this number.
_MOST_LABELLED = 20_000
_WIDTH = 64


def add_options(parser: argparse.ArgumentParser) -> None:
    """`--data`, `--edges` and `--nodes`."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--data", help="folder of the data set; without it, the synthetic graph")
    which.add_argument("--edges", type=positive, help="edges of a random graph instead, with a power law of degrees")
    parser.add_argument("--nodes", type=positive, help="its nodes; default: a tenth of the edges")


def data_config(options: argparse.Namespace, features: str = "struct") -> DataConfig:
    """Where the graph of the options comes from."""
    if options.nodes and not options.edges:
        raise ConfigError("--nodes: belongs to a random graph. Give --edges too.")
    values: dict[str, object] = {"data.features": features}
    if options.data:
        values["data.path"] = options.data
    elif options.edges:
        values["data.synthetic.num_edges"] = options.edges
        values["data.synthetic.num_nodes"] = options.nodes or max(60, options.edges // NODES_TO_EDGES)
        values["data.synthetic.num_relations"] = RELATIONS
    return config_from(values).data


def graph_of(options: argparse.Namespace) -> KnowledgeGraph:
    """The graph that models attend over: with self loops."""
    return load_raw(data_config(options)).graph.with_self_loops()


def edges_of(options: argparse.Namespace) -> int:
    """About as many edges as the graph has."""
    return options.edges or graph_of(options).num_edges


def fitting_trials(findings: Findings, options: argparse.Namespace, edges: int) -> list[str]:
    """The backends of the options, without `unfused` where its pretraining may not fit; see `reference.fitting`."""
    own = PretrainConfig()
    return fitting(findings, options.backends, edges, own.heads, own.hidden, options.device)


def random_graph(edges: int) -> KnowledgeGraph:
    """A random graph of so many edges and a tenth of nodes, with self loops."""
    size = SyntheticConfig(num_nodes=edges // NODES_TO_EDGES, num_edges=edges, num_relations=RELATIONS)
    return generate(size).graph.with_self_loops()


def dataset_of(options: argparse.Namespace, features: str = "struct") -> Dataset:
    """The data set of the options. A random graph has random features, as walks over it would take hours, and at most
    20,000 labelled nodes.
    """
    config = data_config(options, features)
    if not options.edges or options.data:
        return load_dataset(config)
    raw, rng = load_raw(config), np.random.default_rng(0)
    beyond = np.flatnonzero(raw.valid)[_MOST_LABELLED:]
    valid, importance = raw.valid.copy(), raw.importance.copy()
    valid[beyond], importance[beyond] = False, 0.0
    random = {name: rng.standard_normal((raw.graph.num_nodes, _WIDTH), np.float32) for name in config.channels}
    # No two random data sets of one size are told apart, and nobody keeps what was computed from them.
    return completed(replace(raw, valid=valid, importance=importance), random, fingerprint=raw.name)
