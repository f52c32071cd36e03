"""The options of every downstream model: default, bound and meaning, once. Published values are in `licap.presets`.

Adding a model is adding its class here and a field to `ModelConfigs`: the field's name is the model's name everywhere.
No torch here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import ClassVar

from licap.conditions import one_of
from licap.errors import Problem
from licap.fields import Checked, choice, flag, part, real, whole

# Far above what anybody trains, and low enough to be refused by name rather than by running out of memory.
WIDEST = 65_536
MOST_HEADS = 1024
_MOST_LAYERS = 1000
LONGEST = 10_000_000


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Checked):
    """Options of one model, and what must be known of it before torch is loaded.

    two_channels: takes structure and semantics apart, not one input. sees_inputs: uses node features at all.
    trained: by gradient, epoch by epoch; the others are fitted in one go.
    """

    two_channels: ClassVar[bool] = False
    sees_inputs: ClassVar[bool] = True
    trained: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class GENIConfig(ModelConfig):
    """GENI (Park et al., KDD 2019)."""

    layers: int = whole(3, "layers of score aggregation", at_least=1, at_most=_MOST_LAYERS)
    heads: int = whole(4, "attention heads", at_least=1, at_most=MOST_HEADS)
    relation_dim: int = whole(10, "width of the relation embedding", at_least=1, at_most=WIDEST)
    negative_slope: float = real(0.2, "slope of the attention's leaky ReLU", at_least=0.0, below=1.0)
    dropout: float = real(0.3, "dropout on the input features", at_least=0.0, below=1.0)
    centrality_scaling: bool = flag(True, "scale the score by the node's centrality")
    output_slope: float = real(
        1.0,
        "slope below 0 of the scaled score (published: 0.01); 1: linear, which labels around 0 need",
        at_least=0.0,
        at_most=1.0,
        acts=(one_of("downstream.geni.centrality_scaling", True),),
    )
    residual: bool = flag(False, "add a layer's input to its output")


@dataclass(frozen=True, kw_only=True)
class RGTNConfig(ModelConfig):
    """RGTN (Huang et al., KDD 2021): needs data.features both."""

    two_channels: ClassVar[bool] = True

    layers: int = whole(3, "layers of each tower", at_least=1, at_most=_MOST_LAYERS)
    heads: int = whole(4, "attention heads", at_least=1, at_most=MOST_HEADS)
    hidden: int = whole(1, "width of a head", at_least=1, at_most=WIDEST)
    relation_dim: int = whole(
        10, "width of the relation embedding, which both towers share", at_least=1, at_most=WIDEST
    )
    edge_mode: str = choice(
        "mul",
        "what an edge's relation does to the logit: multiplies, is added, gates, or meets the source's query",
        ["mul", "add", "gate", "dot"],
    )
    list_num: int = whole(100, "nodes in a training node's list, itself included", at_least=2, at_most=LONGEST)
    loss_lambda: float = real(0.5, "λ: weight of the channels' own errors against the error", at_least=0.0, at_most=1.0)
    loss_alpha: float = real(0.3, "α: weight of the list loss", at_least=0.0)
    input_dropout: float = real(0.3, "dropout on the input features", at_least=0.0, below=1.0)
    ffn_dropout: float = real(0.3, "dropout in the towers' feed-forward networks", at_least=0.0, below=1.0)
    coattention_dropout: float = real(
        0.1, "dropout in the co-attention's feed-forward network", at_least=0.0, below=1.0
    )
    centrality_scaling: bool = flag(False, "scale the structural channel's score by the node's centrality")


@dataclass(frozen=True, kw_only=True)
class GCNConfig(ModelConfig):
    """GCN (Kipf & Welling, ICLR 2017)."""

    hidden: int = whole(64, "width of the hidden layer", at_least=1, at_most=WIDEST)


@dataclass(frozen=True, kw_only=True)
class GraphSAGEConfig(ModelConfig):
    """GraphSAGE with the mean of neighbours (Hamilton et al., NeurIPS 2017)."""

    hidden: int = whole(64, "width of the hidden layer", at_least=1, at_most=WIDEST)


@dataclass(frozen=True, kw_only=True)
class RGCNConfig(ModelConfig):
    """R-GCN (Schlichtkrull et al., ESWC 2018)."""

    hidden: int = whole(64, "width of the hidden layer", at_least=1, at_most=WIDEST)
    num_bases: int | None = whole(
        None, "matrices that relations are mixed from; null: a full matrix per relation", at_least=1, at_most=WIDEST
    )


@dataclass(frozen=True, kw_only=True)
class SGCConfig(ModelConfig):
    """SGC (Wu et al., ICML 2019)."""

    hidden: int = whole(64, "width of the hidden layer", at_least=1, at_most=WIDEST)
    hops: int = whole(1, "k: propagation steps of a layer", at_least=1, at_most=_MOST_LAYERS)


@dataclass(frozen=True, kw_only=True)
class GATConfig(ModelConfig):
    """GAT (Veličković et al., ICLR 2018)."""

    hidden: int = whole(64, "width of the hidden layer, all heads together", at_least=1, at_most=WIDEST)
    heads: int = whole(8, "heads of the hidden layer", at_least=1, at_most=MOST_HEADS)
    negative_slope: float = real(0.2, "slope of the attention's leaky ReLU", at_least=0.0, below=1.0)

    def cross_problems(self) -> Iterator[Problem]:
        """Heads share the hidden layer equally."""
        if self.hidden % self.heads:
            yield Problem(
                "heads",
                f"must divide hidden (got {self.heads} heads for a width of {self.hidden}). "
                f"Make hidden a multiple of heads, as {self.heads * max(1, round(self.hidden / self.heads))}",
            )


@dataclass(frozen=True, kw_only=True)
class LinearRegressionConfig(ModelConfig):
    """Ordinary least squares on the node's input."""

    trained: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class RandomForestConfig(ModelConfig):
    """Random forest on the node's input (Breiman, 2001)."""

    trained: ClassVar[bool] = False

    num_trees: int = whole(100, "trees", at_least=1, at_most=100_000)


@dataclass(frozen=True, kw_only=True)
class MLPConfig(ModelConfig):
    """A network of one hidden layer on the node's input."""

    trained: ClassVar[bool] = False

    hidden: int = whole(100, "width of the hidden layer", at_least=1, at_most=WIDEST)
    max_iterations: int = whole(200, "passes over the training nodes", at_least=1, at_most=LONGEST)


@dataclass(frozen=True, kw_only=True)
class PageRankConfig(ModelConfig):
    """PageRank (Page et al., 1999) on the graph alone."""

    sees_inputs: ClassVar[bool] = False
    trained: ClassVar[bool] = False

    damping: float = real(0.85, "share of the rank that follows edges", at_least=0.0, below=1.0)
    tolerance: float = real(1e-10, "largest change of the ranks, summed, at which iteration ends", above=0.0)
    max_iterations: int = whole(1000, "iterations at most", at_least=1, at_most=LONGEST)


@dataclass(frozen=True, kw_only=True)
class PersonalisedPageRankConfig(PageRankConfig):
    """PageRank that starts from, and returns to, the labelled nodes (Haveliwala, 2002)."""


@dataclass(frozen=True, kw_only=True)
class InDegreeConfig(ModelConfig):
    """The number of incoming edges."""

    sees_inputs: ClassVar[bool] = False
    trained: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class ModelConfigs(Checked):
    """A part for each model; `downstream.model` names the one that acts."""

    chosen_by: ClassVar[str] = "downstream.model"

    geni: GENIConfig = part(GENIConfig)
    rgtn: RGTNConfig = part(RGTNConfig)
    gcn: GCNConfig = part(GCNConfig)
    graphsage: GraphSAGEConfig = part(GraphSAGEConfig)
    rgcn: RGCNConfig = part(RGCNConfig)
    sgc: SGCConfig = part(SGCConfig)
    gat: GATConfig = part(GATConfig)
    linear_regression: LinearRegressionConfig = part(LinearRegressionConfig)
    random_forest: RandomForestConfig = part(RandomForestConfig)
    mlp: MLPConfig = part(MLPConfig)
    pagerank: PageRankConfig = part(PageRankConfig)
    personalised_pagerank: PersonalisedPageRankConfig = part(PersonalisedPageRankConfig)
    in_degree: InDegreeConfig = part(InDegreeConfig)


MODEL_NAMES: tuple[str, ...] = tuple(field.name for field in fields(ModelConfigs))
_DEFAULTS = ModelConfigs()
TRAINED_MODELS: tuple[str, ...] = tuple(name for name in MODEL_NAMES if getattr(_DEFAULTS, name).trained)
