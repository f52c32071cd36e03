"""The configuration of one trial: every default, bound and meaning, and nothing else.

Frozen; an object that exists is valid. No torch here: a bad file must be refused before anything heavy is imported.
A file may name a `preset`; its values stand in for the defaults, and what it does not name keeps the class's default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from licap.errors import ConfigError, Problem
from licap.fields import (
    Checked,
    Scalar,
    choice,
    construct,
    file_path,
    flag,
    flatten,
    nest,
    parse_all,
    part,
    real,
    string,
    values_of,
    whole,
)
from licap.model_configs import LONGEST, MODEL_NAMES, MOST_HEADS, WIDEST, ModelConfig, ModelConfigs
from licap.presets import preset_values
from licap.yaml_file import YamlDocument, parse_scalar, read_yaml, write_yaml

NUM_FOLDS = 5

# As the bounds of models: far above what anybody asks for, and low enough to be refused by name.
_MOST_THREADS = 1024
_STRONGEST = 1e6
# Training diverges long before, and says so; beyond, torch refuses the number in float32.
_FASTEST = 1e30


@dataclass(frozen=True, kw_only=True)
class SyntheticConfig(Checked):
    """The generated knowledge graph."""

    num_nodes: int = whole(2400, "nodes", at_least=60, at_most=10_000_000)
    num_edges: int = whole(18000, "edges", at_least=60, at_most=1_000_000_000)
    num_relations: int = whole(24, "relations", at_least=1, at_most=100_000)
    noise: float = real(0.35, "standard deviation of the noise on log importance", at_least=0.0, at_most=10.0)
    seed: int = whole(0, "seed of the generator", at_least=0, at_most=2**32 - 1)


@dataclass(frozen=True, kw_only=True)
class Node2vecConfig(Checked):
    """Structure features where a data set brings none (Grover & Leskovec, KDD 2016)."""

    dim: int = whole(64, "width of the embedding", at_least=1, at_most=WIDEST)
    num_walks: int = whole(10, "walks from each node", at_least=1, at_most=LONGEST)
    walk_length: int = whole(40, "nodes in a walk", at_least=2, at_most=1_000_000)
    window: int = whole(5, "context size of the skip-gram model", at_least=1, at_most=10_000)
    epochs: int = whole(1, "passes of the skip-gram model over the walks", at_least=1, at_most=LONGEST)
    p: float = real(1.0, "return parameter", above=0.0)
    q: float = real(1.0, "in-out parameter", above=0.0)
    seed: int = whole(0, "seed of walks and skip-gram", at_least=0, at_most=2**32 - 1)


@dataclass(frozen=True, kw_only=True)
class TextConfig(Checked):
    """Semantic features where a data set brings none."""

    encoder: str = choice(
        "tfidf",
        "tfidf: TF-IDF and truncated SVD, offline; sentence: a sentence encoder (extra `text`)",
        ["tfidf", "sentence"],
    )
    dim: int = whole(64, "width of the SVD", at_least=1, at_most=WIDEST)
    model: str = file_path("sentence-transformers/all-MiniLM-L6-v2", "name or folder of the sentence encoder")


@dataclass(frozen=True, kw_only=True)
class DataConfig(Checked):
    """Where graph, features and scores come from."""

    dataset: str = choice(
        "auto",
        "auto: synthetic without a path, else told from the folder's files",
        ["auto", "synthetic", "tsv", "published"],
    )
    path: str | None = file_path(None, "folder of the data set")
    features: str = choice(
        "struct",
        "what is seen; concat: structure and semantic side by side, as one input; both: as two, each with an encoder "
        "of its own",
        ["struct", "semantic", "concat", "both"],
    )
    struct_file: str | None = file_path(
        None, "structure features of one's own: .npy in the order of the nodes, or .npz with names and features"
    )
    semantic_file: str | None = file_path(None, "semantic features of one's own, as struct_file")
    cache: str = file_path("data/cache", "folder for computed features")
    synthetic: SyntheticConfig = part(SyntheticConfig)
    node2vec: Node2vecConfig = part(Node2vecConfig)
    text: TextConfig = part(TextConfig)

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the inputs that `features` stands for; each is encoded on its own."""
        return ("struct", "semantic") if self.features == "both" else (self.features,)

    def cross_problems(self) -> Iterator[Problem]:
        """A data set of files needs its folder; the generated one has none."""
        if self.dataset in ("tsv", "published") and self.path is None:
            yield Problem("path", f"is missing: dataset {self.dataset} is read from a folder. Give data.path")
        if self.dataset == "synthetic" and self.path is not None:
            yield Problem("path", "has no meaning for dataset synthetic. Leave it out, or set data.dataset to auto")


@dataclass(frozen=True, kw_only=True)
class BinsConfig(Checked):
    """Finer bins over the top bin's labels above the border."""

    kind: str = choice(
        "length",
        "length: bins of bins.length; equal-width, quantile: bins.count bins",
        ["length", "equal-width", "quantile"],
    )
    length: float = real(1.0, "length of a bin in log label (FB15k 1.0, TMDB5K 0.5, GA16K 1.0)", above=0.0)
    count: int = whole(5, "number of bins", at_least=1, at_most=1_000_000)


@dataclass(frozen=True, kw_only=True)
class BetaConfig(Checked):
    """Closeness coefficients β of L2."""

    kind: str = choice(
        "binomial", "binomial: as in the paper; none: all bins count alike (ablation)", ["binomial", "none"]
    )
    p: float = real(0.5, "probability of the binomial; up to 0.5 keeps β falling with distance", above=0.0, below=1.0)
    scale: float = real(1.0, "stretches the binomial's N; larger is flatter", at_least=1.0)
    allow_unordered: bool = flag(False, "admit p above 0.5, where β no longer falls with distance")

    def cross_problems(self) -> Iterator[Problem]:
        """β must fall with distance unless told otherwise."""
        if self.p > 0.5 and not self.allow_unordered:
            yield Problem(
                "p", f"above 0.5 breaks the order of β (got {self.p:g}). Use at most 0.5, or set beta.allow_unordered"
            )


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(Checked):
    """Stage 1: contrastive pretraining (LICAP, arXiv 2402.17791)."""

    encoder: str = choice("pregat", "encoder; gat: PreGAT without relations (ablation)", ["pregat", "gat"])
    training: str = choice(
        "before",
        "before: stage 1, whose embeddings are then frozen; joint: its losses are added to stage 2's, and there is no "
        "stage 1 (ablation)",
        ["before", "joint"],
    )
    heads: int = whole(8, "heads of the first layer", at_least=1, at_most=MOST_HEADS)
    hidden: int = whole(8, "width of a head of the first layer", at_least=1, at_most=WIDEST)
    out_dim: int | None = whole(
        None,
        "width of the embeddings; null: 64 for structure features, else 128 (published)",
        at_least=1,
        at_most=WIDEST,
    )
    relation_dim: int = whole(10, "width of the relation embedding", at_least=1, at_most=WIDEST)
    negative_slope: float = real(0.01, "slope of the attention's leaky ReLU", at_least=0.0, below=1.0)
    imp_ratio: float = real(0.1, "γ: share of the training nodes in the top bin", above=0.0, below=1.0)
    nontop_ratio: float = real(5.0, "ρ: where the non-top pool ends, in top bins", above=1.0)
    sampling_seed: int = whole(0, "seed of the draw of non-top nodes (published: 0)", at_least=0, at_most=2**32 - 1)
    bins: BinsConfig = part(BinsConfig)
    beta: BetaConfig = part(BetaConfig)
    temperature: float = real(0.05, "τ of L1 and L2", above=0.0)
    eta1: float = real(1.0, "η1: weight of L1", at_least=0.0)
    eta2: float = real(1.0, "η2: weight of L2", at_least=0.0)
    lr: float = real(0.005, "learning rate of Adam", above=0.0, at_most=_FASTEST)
    weight_decay: float = real(5e-4, "L2 penalty of Adam", at_least=0.0, at_most=_STRONGEST)
    clip_norm: float | None = real(10.0, "largest gradient norm; null: no clipping", above=0.0)
    max_epochs: int = whole(150, "length of the stage", at_least=1, at_most=LONGEST)
    patience: int = whole(20, "epochs without a better loss before the stage ends", at_least=1, at_most=LONGEST)
    min_epoch: int = whole(-1, "epochs before this one are not watched", at_least=-1, at_most=LONGEST)
    embeddings: str = choice("last", "handed on: last forward pass (published), or the best by loss", ["last", "best"])
    probe_every: int = whole(5, "epochs between two ridge probes", at_least=1, at_most=LONGEST)
    probe_ridge: float = real(1.0, "penalty of the ridge probe on standardised inputs", above=0.0)

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
    )
    lr: float = real(0.005, "learning rate of Adam", above=0.0, at_most=_FASTEST)
    weight_decay: float = real(5e-4, "L2 penalty of Adam", at_least=0.0, at_most=_STRONGEST)
    clip_norm: float | None = real(None, "largest gradient norm; null: no clipping", above=0.0)
    max_epochs: int = whole(400, "length of the stage", at_least=1, at_most=LONGEST)
    patience: int = whole(100, "epochs without a better value before the stage ends", at_least=1, at_most=LONGEST)
    min_epoch: int = whole(-1, "epochs before this one are not watched", at_least=-1, at_most=LONGEST)
    monitor: str = choice("loss", "validation value that picks the best epoch", ["loss", "spearman"])

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
        at_most=_MOST_THREADS,
    )


@dataclass(frozen=True, kw_only=True)
class TrialConfig(Checked):
    """Both stages on one fold of one data set."""

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
        return config_from(self.flat() | dict(values))


def config_from(flat: Mapping[str, object]) -> TrialConfig:
    """A trial config from dotted values; what is absent takes its default. Raises: ConfigError with every problem."""
    good, problems = parse_all(TrialConfig, flat)
    if problems:
        raise ConfigError(problems)
    return construct(TrialConfig, good)


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
        return preset_values(preset, flat.get("downstream.model")) | flat
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
