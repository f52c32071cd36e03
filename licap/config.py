"""The configuration of one trial: every default, bound and meaning, and nothing else.

Frozen; an object that exists is valid. No torch here: a bad file must be refused before anything heavy is imported.
A file may name a `preset`; its values stand in for the defaults, and what it does not name keeps the class's default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from licap.conditions import one_of, other_than
from licap.data_config import DataConfig as DataConfig
from licap.data_config import Node2vecConfig as Node2vecConfig
from licap.data_config import SyntheticConfig as SyntheticConfig
from licap.data_config import TextConfig as TextConfig
from licap.errors import ConfigError, Problem
from licap.fields import (
    Checked,
    Scalar,
    choice,
    flag,
    flatten,
    nest,
    part,
    real,
    string,
    updated,
    values_of,
    whole,
)
from licap.model_configs import LONGEST, MODEL_NAMES, MOST_HEADS, TRAINED_MODELS, WIDEST, ModelConfig, ModelConfigs
from licap.presets import preset_values
from licap.yaml_file import YamlDocument, parse_scalar, read_yaml, write_yaml

NUM_FOLDS = 5

# As the bounds of models: far above what anybody asks for, and low enough to be refused by name.
MOST_THREADS = 1024
_STRONGEST = 1e6
# Training diverges long before, and says so; beyond, torch refuses the number in float32.
_FASTEST = 1e30

# What an encoder is built from, trained or not; what it is trained by; the stage in which that is done alone.
_ENCODED = (other_than("downstream.input", "features", "another than features"),)
_PRETRAINED = (one_of("downstream.input", "embeddings", "features+embeddings"),)
_STAGE_1 = (*_PRETRAINED, one_of("pretrain.training", "before"))
_TOP = (*_PRETRAINED, other_than("pretrain.eta1", 0.0, "above 0"))
_BINNED = (*_PRETRAINED, other_than("pretrain.eta2", 0.0, "above 0"))
_STAGE_2 = (one_of("downstream.model", *TRAINED_MODELS),)
_BINOMIAL = (one_of("pretrain.beta.kind", "binomial"),)


@dataclass(frozen=True, kw_only=True)
class BinsConfig(Checked):
    """Finer bins over the top bin's labels above the border."""

    kind: str = choice(
        "length",
        "length: bins of bins.length; equal-width, quantile: bins.count bins",
        ["length", "equal-width", "quantile"],
    )
    length: float = real(
        1.0,
        "length of a bin in log label (FB15k 1.0, TMDB5K 0.5, GA16K 1.0)",
        above=0.0,
        acts=(one_of("pretrain.bins.kind", "length"),),
    )
    count: int = whole(
        5,
        "number of bins",
        at_least=1,
        at_most=1_000_000,
        acts=(one_of("pretrain.bins.kind", "equal-width", "quantile"),),
    )


@dataclass(frozen=True, kw_only=True)
class BetaConfig(Checked):
    """Closeness coefficients β of L2."""

    kind: str = choice(
        "binomial", "binomial: as in the paper; none: all bins count alike (ablation)", ["binomial", "none"]
    )
    p: float = real(
        0.5,
        "probability of the binomial; up to 0.5 keeps β falling with distance",
        above=0.0,
        below=1.0,
        acts=_BINOMIAL,
    )
    scale: float = real(1.0, "stretches the binomial's N; larger is flatter", at_least=1.0, acts=_BINOMIAL)
    allow_unordered: bool = flag(False, "admit p above 0.5, where β no longer falls with distance", acts=_BINOMIAL)

    def cross_problems(self) -> Iterator[Problem]:
        """β must fall with distance unless told otherwise."""
        if self.p > 0.5 and not self.allow_unordered:
            yield Problem(
                "p", f"above 0.5 breaks the order of β (got {self.p:g}). Use at most 0.5, or set beta.allow_unordered"
            )


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(Checked):
    """Stage 1: contrastive pretraining (LICAP, arXiv 2402.17791)."""

    encoder: str = choice(
        "pregat", "encoder; gat: PreGAT without relations (ablation)", ["pregat", "gat"], acts=_ENCODED
    )
    training: str = choice(
        "before",
        "before: stage 1, whose embeddings are then frozen; joint: its losses are added to stage 2's, and there is no "
        "stage 1 (ablation)",
        ["before", "joint"],
        acts=_PRETRAINED,
    )
    heads: int = whole(8, "heads of the first layer", at_least=1, at_most=MOST_HEADS, acts=_ENCODED)
    hidden: int = whole(8, "width of a head of the first layer", at_least=1, at_most=WIDEST, acts=_ENCODED)
    out_dim: int | None = whole(
        None,
        "width of the embeddings; null: 64 for structure features, else 128 (published)",
        at_least=1,
        at_most=WIDEST,
        acts=_ENCODED,
    )
    relation_dim: int = whole(
        10,
        "width of the relation embedding",
        at_least=1,
        at_most=WIDEST,
        acts=(*_ENCODED, one_of("pretrain.encoder", "pregat")),
    )
    negative_slope: float = real(0.01, "slope of the attention's leaky ReLU", at_least=0.0, below=1.0, acts=_ENCODED)
    imp_ratio: float = real(
        0.1, "γ: share of the training nodes in the top bin", above=0.0, below=1.0, acts=_PRETRAINED
    )
    nontop_ratio: float = real(5.0, "ρ: where the non-top pool ends, in top bins", above=1.0, acts=_TOP)
    sampling_seed: int = whole(
        0, "seed of the draw of non-top nodes (published: 0)", at_least=0, at_most=2**32 - 1, acts=_TOP
    )
    bins: BinsConfig = part(BinsConfig, acts=_BINNED)
    beta: BetaConfig = part(BetaConfig, acts=_BINNED)
    temperature: float = real(0.05, "τ of L1 and L2", above=0.0, acts=_PRETRAINED)
    eta1: float = real(1.0, "η1: weight of L1", at_least=0.0, acts=_PRETRAINED)
    eta2: float = real(1.0, "η2: weight of L2", at_least=0.0, acts=_PRETRAINED)
    lr: float = real(0.005, "learning rate of Adam", above=0.0, at_most=_FASTEST, acts=_STAGE_1)
    weight_decay: float = real(5e-4, "L2 penalty of Adam", at_least=0.0, at_most=_STRONGEST, acts=_STAGE_1)
    clip_norm: float | None = real(10.0, "largest gradient norm; null: no clipping", above=0.0, acts=_STAGE_1)
    max_epochs: int = whole(150, "length of the stage", at_least=1, at_most=LONGEST, acts=_STAGE_1)
    patience: int = whole(
        20, "epochs without a better loss before the stage ends", at_least=1, at_most=LONGEST, acts=_STAGE_1
    )
    min_epoch: int = whole(-1, "epochs before this one are not watched", at_least=-1, at_most=LONGEST, acts=_STAGE_1)
    embeddings: str = choice(
        "last", "handed on: last forward pass (published), or the best by loss", ["last", "best"], acts=_STAGE_1
    )
    probe_every: int = whole(5, "epochs between two ridge probes", at_least=1, at_most=LONGEST, acts=_STAGE_1)
    probe_ridge: float = real(1.0, "penalty of the ridge probe on standardised inputs", above=0.0, acts=_STAGE_1)

    def width_of(self, channel: str) -> int:
        """Width of a channel's embeddings."""
        return self.out_dim or (64 if channel == "struct" else 128)

    def cross_problems(self) -> Iterator[Problem]:
        """Some loss must be left."""
        if self.eta1 == 0 and self.eta2 == 0:
            yield Problem(
                "eta1", "and eta2 are both 0: nothing to learn. Raise one, or set downstream.input to features"
            )


@dataclass(frozen=True, kw_only=True)
class DownstreamConfig(ModelConfigs):
    """Stage 2: the model that estimates importance."""

    model: str = choice("geni", "model", MODEL_NAMES)
    input: str = choice(
        "features+embeddings",
        "features: no LICAP; embeddings: as in the paper; or both side by side; untrained: embeddings of an encoder "
        "that was not trained, to tell LICAP's gain from its architecture's",
        ["features", "embeddings", "features+embeddings", "untrained", "features+untrained"],
    )
    labels: str = choice(
        "bias",
        "how models see log labels; plain: as they are; standardised: mean 0 and deviation 1 over the training nodes; "
        "bias: plain, and a learned bias on the output that starts at their mean",
        ["plain", "standardised", "bias"],
        acts=_STAGE_2,
    )
    initial_scores: str = choice(
        "matched",
        "size of the scores before training; matched: divided by a fixed factor until they are no larger than the "
        "labels; drawn: as the initial weights make them (published)",
        ["matched", "drawn"],
        acts=_STAGE_2,
    )
    lr: float = real(0.005, "learning rate of Adam", above=0.0, at_most=_FASTEST, acts=_STAGE_2)
    step_limit: float | None = real(
        1.0,
        "largest move of the scores in an epoch, in units of their error; the learning rate is lowered to keep it, and "
        "rises again by 30 % an epoch; null: none (published)",
        above=0.0,
        acts=_STAGE_2,
    )
    weight_decay: float = real(5e-4, "L2 penalty of Adam", at_least=0.0, at_most=_STRONGEST, acts=_STAGE_2)
    clip_norm: float | None = real(None, "largest gradient norm; null: no clipping", above=0.0, acts=_STAGE_2)
    max_epochs: int = whole(400, "length of the stage", at_least=1, at_most=LONGEST, acts=_STAGE_2)
    patience: int = whole(
        100, "epochs without a better value before the stage ends", at_least=1, at_most=LONGEST, acts=_STAGE_2
    )
    min_epoch: int = whole(-1, "epochs before this one are not watched", at_least=-1, at_most=LONGEST, acts=_STAGE_2)
    monitor: str = choice("loss", "validation value that picks the best epoch", ["loss", "spearman"], acts=_STAGE_2)

    @property
    def model_config(self) -> ModelConfig:
        """The options of the model that counts."""
        own: ModelConfig = getattr(self, self.model)
        return own

    @property
    def sees_features(self) -> bool:
        """Whether the model's input holds the features themselves."""
        return self.input.startswith("features")

    @property
    def sees_embeddings(self) -> bool:
        """Whether the model's input holds embeddings, trained or not."""
        return self.input != "features"

    @property
    def needs_pretraining(self) -> bool:
        """Whether the embeddings in the model's input are trained."""
        return self.input in ("embeddings", "features+embeddings")

    def cross_problems(self) -> Iterator[Problem]:
        """A model that sees the graph alone has no use for embeddings."""
        if not self.model_config.sees_inputs and self.sees_embeddings:
            yield Problem("input", f"is {self.input}, but {self.model} sees the graph alone. Set it to features")


@dataclass(frozen=True, kw_only=True)
class RuntimeConfig(Checked):
    """Where and how precisely a trial computes."""

    device: str = string("cpu", "cpu, cuda or cuda:N")
    dtype: str = choice("float32", "precision of models and features", ["float32", "float64"])
    backend: str = choice(
        "auto",
        "backend of attention and sums; auto: numba on the CPU from 50,000 edges, else torch",
        ["auto", "numba", "torch", "triton", "dgl"],
    )
    cuda_graphs: bool = flag(False, "record what epochs launch on a GPU, and replay it; backend triton only")
    threads: int | None = whole(
        None,
        "CPU threads; null: all cores that may be used. Another count can change the last digits",
        at_least=1,
        at_most=MOST_THREADS,
    )


@dataclass(frozen=True, kw_only=True)
class TrialConfig(Checked):
    """Both stages on one fold of one data set.

    joined: the options of different parts that its rules join.
    """

    joined: ClassVar[tuple[str, ...]] = ("data.features", "downstream.model", "downstream.input", "pretrain.training")

    seed: int = whole(0, "seed of initial weights and dropout", at_least=0, at_most=2**32 - 1)
    fold: int = whole(0, "fold of the five", at_least=0, at_most=NUM_FOLDS - 1)
    split_seed: int = whole(0, "seed of the folds (published: 0)", at_least=0, at_most=2**32 - 1)
    label_ties: str = choice(
        "mean",
        "Overlap@k where several nodes share the k-th largest label; mean: over all choices of the true top k; "
        "position: the first nodes of the data set (published)",
        ["mean", "position"],
    )
    data: DataConfig = part(DataConfig)
    pretrain: PretrainConfig = part(PretrainConfig)
    downstream: DownstreamConfig = part(DownstreamConfig)
    runtime: RuntimeConfig = part(RuntimeConfig)

    @property
    def pretrains(self) -> bool:
        """Whether there is a stage 1."""
        return self.downstream.needs_pretraining and self.pretrain.training == "before"

    @property
    def total_budget(self) -> int:
        """Epochs of both stages, whether or not a stage stops early."""
        return self.pretrain.max_epochs + self.downstream.max_epochs

    def cross_problems(self) -> Iterator[Problem]:
        """Models say how many channels they take, and what can be trained jointly."""
        down = self.downstream
        if down.model_config.two_channels and len(self.data.channels) != 2:
            yield Problem(
                "data.features",
                f"is {self.data.features}, but {down.model} takes structure and semantic features as two inputs. "
                "Set it to both",
            )
        if self.pretrain.training == "joint" and not down.needs_pretraining:
            yield Problem(
                "pretrain.training",
                f"is joint, but downstream.input is {down.input}: there is nothing to train jointly. Set "
                "downstream.input to embeddings, or pretrain.training to before",
            )
        elif self.pretrain.training == "joint" and not down.model_config.trained:
            yield Problem(
                "pretrain.training",
                f"is joint, but {down.model} is not trained by gradient. Set it to before",
            )

    def flat(self) -> dict[str, Scalar]:
        """All values by dotted name."""
        return values_of(self)

    def to_yaml(self) -> str:
        """The complete config as YAML with plain scalars; each float reads back to the same bits."""
        return write_yaml(nest(self.flat()))

    def with_values(self, values: Mapping[str, object]) -> TrialConfig:
        """A copy with some dotted names set. Raises: ConfigError with every problem."""
        return updated(self, values)


def config_from(flat: Mapping[str, object]) -> TrialConfig:
    """A trial config from dotted values; what is absent takes its default. Raises: ConfigError with every problem."""
    return updated(_defaults(), flat)


@cache
def _defaults() -> TrialConfig:
    return TrialConfig()


def config_values(document: YamlDocument, given: dict[str, object]) -> dict[str, object]:
    """The dotted values of a config file under those given, its preset resolved for the model that they name.

    Raises: ConfigError with file and line.
    """
    try:
        flat = flatten(document.data)
    except ConfigError as error:
        raise ConfigError(_placed(problem, document, {}) for problem in error.problems) from None
    if "preset" not in flat:
        return flat | given
    preset, flat = flat.pop("preset"), flat | given
    try:
        values = preset_values(preset, flat.get("downstream.model"))
        return flat | {name: value for name, value in values.items() if name not in flat}
    except ValueError as error:
        raise ConfigError(f"{document.where(('preset',))}: preset: {error}") from None


def parse_overrides(assignments: Sequence[str]) -> dict[str, object]:
    """`a.b=c` words of a command line as dotted values, read as YAML reads them.

    Raises: ConfigError for a word without `=` or without a key.
    """
    values: dict[str, object] = {}
    problems = []
    for word in assignments:
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            problems.append(f"--set {word}: must have the form key=value, as in --set pretrain.lr=1e-3")
        values[key.strip()] = parse_scalar(value)
    if problems:
        raise ConfigError(problems)
    return values


def load_config(path: Path, overrides: Sequence[str] = ()) -> TrialConfig:
    """Reads a config file, applies `--set` words, checks everything.

    Raises: ConfigError with every problem of the file, each with its line.
    """
    document = read_yaml(path)
    given = parse_overrides(overrides)
    if "preset" in given:
        raise ConfigError("--set preset: a preset is named in the file. Write preset: NAME there.")
    values = config_values(document, given)
    try:
        return config_from(values)
    except ConfigError as error:
        raise ConfigError(_placed(problem, document, given) for problem in error.problems) from None


def _placed(problem: Problem, document: YamlDocument, given: Mapping[str, object]) -> str:
    place = "--set" if problem.key in given else document.where(tuple(problem.key.split(".")))
    text = f"{place}: {problem}"
    return text if text.endswith("?") else f"{text}."
