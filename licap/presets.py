"""Presets of trial configs: values by dotted name, all written out, so that a default that moves does not move them."""

from __future__ import annotations

from collections.abc import Mapping

from licap.fields import Scalar
from licap.spelling import quoted
from licap.suggestions import nearest

Values = Mapping[str, Scalar]

# The settings of the code that LICAP's authors published (zhangtia16/LICAP, commit ad3ef2a).
_STAGES: Values = {
    "split_seed": 0,
    "label_ties": "position",
    "pretrain.encoder": "pregat",
    "pretrain.training": "before",
    "pretrain.heads": 8,
    "pretrain.hidden": 8,
    "pretrain.out_dim": None,
    "pretrain.relation_dim": 10,
    "pretrain.negative_slope": 0.01,
    "pretrain.imp_ratio": 0.1,
    "pretrain.nontop_ratio": 5.0,
    "pretrain.sampling_seed": 0,
    "pretrain.bins.kind": "length",
    "pretrain.bins.length": 1.0,
    "pretrain.beta.kind": "binomial",
    "pretrain.beta.p": 0.5,
    "pretrain.beta.scale": 1.0,
    "pretrain.temperature": 0.05,
    "pretrain.eta1": 1.0,
    "pretrain.eta2": 1.0,
    "pretrain.lr": 0.005,
    "pretrain.weight_decay": 5e-4,
    "pretrain.clip_norm": 10.0,
    "pretrain.max_epochs": 1000,
    "pretrain.patience": 20,
    "pretrain.min_epoch": -1,
    "pretrain.embeddings": "last",
    "downstream.input": "embeddings",
    "downstream.labels": "plain",
    "downstream.initial_scores": "drawn",
    "downstream.lr": 0.005,
    "downstream.step_limit": None,
    "downstream.weight_decay": 5e-4,
    "downstream.clip_norm": 10.0,
    "downstream.max_epochs": 10_000,
    "downstream.patience": 1000,
    "downstream.min_epoch": -1,
    "downstream.monitor": "loss",
}

# Each model's own options, and what it changes in the stages. GAT is not in the published code: its options are those
# of its paper at the width of the other models.
_MODELS: Mapping[str, Values] = {
    "geni": {
        "downstream.clip_norm": None,
        "downstream.geni.layers": 3,
        "downstream.geni.heads": 4,
        "downstream.geni.relation_dim": 10,
        "downstream.geni.negative_slope": 0.2,
        "downstream.geni.dropout": 0.3,
        "downstream.geni.centrality_scaling": False,
        "downstream.geni.output_slope": 0.01,
        "downstream.geni.residual": False,
    },
    "rgtn": {
        "data.features": "both",
        "downstream.clip_norm": None,
        "downstream.monitor": "spearman",
        "downstream.rgtn.layers": 3,
        "downstream.rgtn.heads": 4,
        "downstream.rgtn.hidden": 1,
        "downstream.rgtn.relation_dim": 10,
        "downstream.rgtn.edge_mode": "mul",
        "downstream.rgtn.list_num": 100,
        "downstream.rgtn.loss_lambda": 0.5,
        "downstream.rgtn.loss_alpha": 0.3,
        "downstream.rgtn.input_dropout": 0.3,
        "downstream.rgtn.ffn_dropout": 0.3,
        "downstream.rgtn.coattention_dropout": 0.1,
        "downstream.rgtn.centrality_scaling": False,
    },
    "gcn": {"downstream.gcn.hidden": 64},
    "graphsage": {"downstream.graphsage.hidden": 64},
    "rgcn": {"downstream.rgcn.hidden": 64, "downstream.rgcn.num_bases": None},
    "sgc": {"downstream.sgc.hidden": 64, "downstream.sgc.hops": 1},
    "gat": {"downstream.gat.hidden": 64, "downstream.gat.heads": 8, "downstream.gat.negative_slope": 0.2},
    "linear_regression": {},
    "random_forest": {"downstream.random_forest.num_trees": 100},
    "mlp": {"downstream.mlp.hidden": 100, "downstream.mlp.max_iterations": 200},
    "pagerank": {
        "downstream.input": "features",
        "downstream.pagerank.damping": 0.85,
        "downstream.pagerank.tolerance": 1e-10,
        "downstream.pagerank.max_iterations": 1000,
    },
    "personalised_pagerank": {
        "downstream.input": "features",
        "downstream.personalised_pagerank.damping": 0.85,
        "downstream.personalised_pagerank.tolerance": 1e-10,
        "downstream.personalised_pagerank.max_iterations": 1000,
    },
    "in_degree": {"downstream.input": "features"},
}

# By preset, then by model: every value that the preset names.
PRESETS: Mapping[str, Mapping[str, Values]] = {
    "published": {model: {**_STAGES, "downstream.model": model, **own} for model, own in _MODELS.items()}
}
_USUAL_MODEL = "geni"


def preset_values(name: object, model: object = None) -> dict[str, Scalar]:
    """The values of a preset for a model by dotted name; a model that is not known gets GENI's.

    Raises: ValueError naming the presets there are.
    """
    if isinstance(name, str) and name in PRESETS:
        by_model = PRESETS[name]
        return dict(by_model.get(model if isinstance(model, str) else _USUAL_MODEL, by_model[_USUAL_MODEL]))
    raise ValueError(f"unknown preset {quoted(name)}{nearest(str(name), PRESETS)} (there are: {', '.join(PRESETS)})")
