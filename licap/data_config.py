"""Where data come from, and how missing features are computed: default, bound and meaning of each option."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from licap.conditions import one_of
from licap.errors import Problem
from licap.fields import Checked, choice, file_path, part, real, string, whole
from licap.model_configs import LONGEST, WIDEST

_STRUCT = one_of("data.features", "struct", "concat", "both")
_SEMANTIC = one_of("data.features", "semantic", "concat", "both")


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
    dim: int = whole(64, "width of the SVD", at_least=1, at_most=WIDEST, acts=(one_of("data.text.encoder", "tfidf"),))
    model: str = file_path(
        "sentence-transformers/all-MiniLM-L6-v2",
        "name or folder of the sentence encoder",
        acts=(one_of("data.text.encoder", "sentence"),),
    )


@dataclass(frozen=True, kw_only=True)
class DataConfig(Checked):
    """Where graph, features and scores come from."""

    dataset: str = choice(
        "auto",
        "auto: synthetic without a path, else told from the folder's files",
        ["auto", "synthetic", "tsv", "published"],
    )
    path: str | None = file_path(None, "folder of the data set; a relative one, below the present folder")
    fingerprint: str | None = string(
        None, "what the data must be, as `licap data inspect` tells it; other data are refused; null: any"
    )
    features: str = choice(
        "struct",
        "what is seen; concat: structure and semantic side by side, as one input; both: as two, each with an encoder "
        "of its own",
        ["struct", "semantic", "concat", "both"],
    )
    struct_file: str | None = file_path(
        None,
        "structure features of one's own: .npy in the order of the nodes, or .npz with names and features",
        acts=(_STRUCT,),
    )
    semantic_file: str | None = file_path(None, "semantic features of one's own, as struct_file", acts=(_SEMANTIC,))
    cache: str = file_path(
        "data/cache", "folder for computed features", serves=("data.node2vec.dim", "data.text.encoder")
    )
    synthetic: SyntheticConfig = part(SyntheticConfig, acts=(one_of("data.path", None),))
    node2vec: Node2vecConfig = part(Node2vecConfig, acts=(_STRUCT, one_of("data.struct_file", None)))
    text: TextConfig = part(TextConfig, acts=(_SEMANTIC, one_of("data.semantic_file", None)))

    @property
    def parts(self) -> tuple[str, ...]:
        """The features that the channels are made of."""
        return (self.features,) if self.features in ("struct", "semantic") else ("struct", "semantic")

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
