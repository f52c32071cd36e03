"""What encoders and downstream models are, and the registries they enter. Knows no model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from licap.config import DownstreamConfig, PretrainConfig
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


class DownstreamModel(nn.Module, ABC):
    """Estimates node importance (log scale) on one graph. Stage 2 trains it."""

    @classmethod
    @abstractmethod
    def build(
        cls,
        config: DownstreamConfig,
        *,
        in_dim: int,
        graph: KnowledgeGraph,
        centrality: NDArray[np.float32],
        backend: str,
    ) -> DownstreamModel:
        """The model of a config, with initial weights from torch's global generator.

        graph: with self loops. centrality: [N] of that graph.
        """

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """inputs: [N, in_dim]. Returns: scores [N]."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """`forward`, typed."""
        scores: Tensor = super().__call__(inputs)
        return scores

    def loss(self, scores: Tensor, labels: Tensor, train: Tensor) -> Tensor:
        """What training lowers: mean squared error of the training nodes, unless a model has its own.

        scores, labels: [N]. train: node ids. Returns: scalar.
        """
        return nn.functional.mse_loss(scores[train], labels[train])


ENCODERS: dict[str, type[Encoder]] = {}
MODELS: dict[str, type[DownstreamModel]] = {}

Registered = TypeVar("Registered", bound=type[Any])


def register(registry: dict[str, Registered], name: str) -> Callable[[Registered], Registered]:
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
