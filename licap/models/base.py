"""What encoders and downstream models are, and the registries they enter. Knows no model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from licap.config import DownstreamConfig, PretrainConfig
from licap.errors import DivergedError
from licap.graph import KnowledgeGraph


class Encoder(nn.Module, ABC):
    """Makes node embeddings from features on one graph. Stage 1 trains it."""

    @classmethod
    @abstractmethod
    def build(
        cls, config: PretrainConfig, *, in_dim: int, out_dim: int, graph: KnowledgeGraph, backend: str
    ) -> Encoder:
        """The encoder of a config, with initial weights from torch's global generator. graph: with self loops."""

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """features: [N, in_dim]. Returns: [N, out_dim]."""

    def __call__(self, features: Tensor) -> Tensor:
        """`forward`, typed."""
        out: Tensor = super().__call__(features)
        return out


@dataclass(frozen=True, eq=False, kw_only=True)
class Setting:
    """What a downstream model is built for.

    graph: as stored, without added loops. widths: of the input channels. labelled: [N] which nodes have a score at all;
    the scores are not here. backend: of the primitives on edges.
    """

    graph: KnowledgeGraph
    widths: tuple[int, ...]
    labelled: NDArray[np.bool_]
    backend: str

    @property
    def in_dim(self) -> int:
        """Width of the one channel."""
        (width,) = self.widths
        return width

    @cached_property
    def looped(self) -> KnowledgeGraph:
        """The graph with one loop added to every node."""
        return self.graph.with_self_loops()


class ImportanceModule(nn.Module, ABC):
    """Estimates node importance on one graph, and says what training lowers: a model, or a wrapper around one."""

    @abstractmethod
    def forward(self, *channels: Tensor) -> Tensor:
        """channels: each [N, width]. Returns: scores [N]."""

    def __call__(self, *channels: Tensor) -> Tensor:
        """`forward`, typed."""
        scores: Tensor = super().__call__(*channels)
        return scores

    def training_loss(self, channels: Sequence[Tensor], labels: Tensor, train: Tensor) -> Tensor:
        """What training lowers: mean squared error of the training nodes, unless a model has its own.

        labels: [N]. train: node ids. Returns: scalar.
        """
        return nn.functional.mse_loss(self(*channels)[train], labels[train])

    @torch.no_grad()
    def match_scale(self, channels: Sequence[Tensor], labels: Tensor, train: Tensor) -> None:
        """Adapts fixed factors to what the initial weights make of the inputs; nothing, unless a module has such.

        Called once, before the first epoch. channels: each [N, width]. labels: [N]. train: node ids.
        Source: data-dependent initialisation, as LSUV (Mishkin & Matas, ICLR 2016), by factors in place of weights.
        """


class DownstreamModel(ImportanceModule):
    """A model that stage 2 trains by gradient, epoch by epoch."""

    @classmethod
    @abstractmethod
    def build(cls, config: DownstreamConfig, setting: Setting) -> DownstreamModel:
        """The model of a config, float32, on the CPU, with initial weights from torch's global generator."""


class FittedModel(ABC):
    """Estimates node importance in one go: a closed form, a library's own training, or the graph alone."""

    @classmethod
    @abstractmethod
    def build(cls, config: DownstreamConfig, setting: Setting) -> FittedModel:
        """The model of a config; what it draws comes from torch's global generator."""

    @abstractmethod
    def fit_predict(self, inputs: Tensor, labels: Tensor, train: Tensor) -> Tensor:
        """inputs: [N, width]. labels: [N], only those of `train` nodes are read. Returns: scores [N]."""


ENCODERS: dict[str, type[Encoder]] = {}
MODELS: dict[str, type[DownstreamModel] | type[FittedModel]] = {}

Registered = TypeVar("Registered", bound=type[Any])


def register(registry: dict[str, Any], name: str) -> Callable[[Registered], Registered]:
    """Class decorator that enters an encoder or model under the name that configs use."""

    def enter(cls: Registered) -> Registered:
        registry[name] = cls
        return cls

    return enter


def xavier_normal(*shape: int, fan_in: int, fan_out: int) -> nn.Parameter:
    """A parameter drawn from N(0, 2 · 2 / (fan_in + fan_out)): Glorot's rule with the gain √2 of ReLU.

    Published for every weight and attention vector; fans are those of one head, as heads are separate maps there.
    """
    return nn.Parameter(torch.randn(*shape) * 2.0 / (fan_in + fan_out) ** 0.5)


def relation_parameter(num_relations: int, width: int) -> nn.Parameter:
    """[R, width] relation embedding drawn from N(0, 1), as torch's embeddings are."""
    return nn.Parameter(torch.randn(num_relations, width))


def linear_of_sums(layer: nn.Linear, h: Tensor, sums: Callable[[Tensor], Tensor]) -> Tensor:
    """layer(sums(h)) where `sums` adds up rows, [N, D] to [N, D] for any D: sums and products commute.

    So the sums, which cost most, run over the narrower of the layer's two widths. h: [N, in]. Returns: [N, out].
    """
    if layer.in_features < layer.out_features:
        out: Tensor = layer(sums(h))
        return out
    out = sums(nn.functional.linear(h, layer.weight))
    return out if layer.bias is None else out + layer.bias


def dots_of_heads(x: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
    """⟨x, w⟩ per head for each of the weights, all as one product with a matrix that is mostly zeros.

    Sums of elementwise products, or a product per head, would need further arrays of x's size, forward and backward.
    x: [N, H · D], heads side by side. weights: each [H, D]. Returns: [N, H] for each.
    """
    blocks: list[Tensor] = [torch.block_diag(*each.unsqueeze(-1)) for each in weights]  # type: ignore[no-untyped-call]
    return (x @ torch.cat(blocks, dim=1)).chunk(len(weights), dim=1)


def attention_heads(h: Tensor, weight: Tensor, attn_src: Tensor, attn_dst: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What GAT's attention is made of: z = W h, and its products with the source and destination attention vectors.

    h: [N, in]. weight: [H, D, in]. attn_src, attn_dst: [H, D]. Returns: z [N, H, D], el and er [N, H].
    """
    z = nn.functional.linear(h, weight.flatten(0, 1))
    el, er = dots_of_heads(z, attn_src, attn_dst)
    return z.view(-1, *weight.shape[:2]), el, er


def root_mean_square(values: Tensor) -> Tensor:
    """√ of the mean square, a scalar. Scaled by the largest value, as the square of a large float32 is infinite."""
    largest = values.abs().max().clamp(min=torch.finfo(values.dtype).tiny)
    return (values / largest).square().mean().sqrt() * largest


@torch.no_grad()
def scores_by_batch_statistics(model: ImportanceModule, channels: Sequence[Tensor]) -> Tensor:
    """[N] scores without dropout, by normalisation layers that take these inputs' statistics over as their own.

    Their running statistics start at mean 0 and variance 1, with which scores mean nothing for the first epochs.
    """
    norms = [each for each in model.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
    momenta = [each.momentum for each in norms]
    was_training = model.training
    model.eval()
    for each in norms:
        each.train()
        each.momentum = 1.0
    scores = model(*channels)
    for each, momentum in zip(norms, momenta, strict=True):
        each.momentum = momentum
    model.train(was_training)
    return scores


def new_seed() -> int:
    """A seed for a library with generators of its own, drawn from torch's global generator: 0 to 2**31 - 2."""
    return int(torch.randint(2**31 - 1, ()))


class Regressor(Protocol):
    """What scikit-learn's regressors share."""

    def fit(self, x: Any, y: Any) -> Any: ...

    def predict(self, x: Any) -> Any: ...


def fit_with(regressor: Regressor, inputs: Tensor, labels: Tensor, train: Tensor) -> Tensor:
    """Fits on the training nodes and predicts all. inputs: [N, width]. labels: [N]. Returns: [N].

    Raises: DivergedError where numbers are too large for the regressor.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    x = inputs.cpu().numpy()
    nodes = train.cpu().numpy()
    # BLAS and OpenMP take all cores otherwise, whatever the trial was given.
    with threadpool_limits(torch.get_num_threads()):
        try:
            regressor.fit(x[nodes], labels[train].cpu().numpy())
            return torch.as_tensor(regressor.predict(x)).to(inputs)
        except ValueError:
            # How scikit-learn says that an input, or what it has fitted, is too large for it.
            raise DivergedError("downstream", 0, "an input or a fitted parameter") from None
