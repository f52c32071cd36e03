"""The number of incoming edges as a score: what every other model has to beat."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from licap.config import DownstreamConfig
from licap.graph import KnowledgeGraph
from licap.logarithm import log1p_float32
from licap.models.base import MODELS, FittedModel, Setting, register


@register(MODELS, "in_degree")
class InDegree(FittedModel):
    """score = log(1 + in-degree), parallel edges counted, no loops added: a log of counts, as labels are."""

    def __init__(self, graph: KnowledgeGraph) -> None:
        self._graph = graph

    @classmethod
    def build(cls, config: DownstreamConfig, setting: Setting) -> InDegree:
        """See `FittedModel.build`."""
        return cls(setting.graph)

    def fit_predict(self, inputs: Tensor, labels: Tensor, train: Tensor) -> Tensor:
        """See `FittedModel.fit_predict`."""
        return torch.from_numpy(log1p_float32(self._graph.in_degree.astype(np.float64))).to(inputs)
