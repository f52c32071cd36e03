"""Ordinary least squares on the node's input, without the graph, by scikit-learn."""

from __future__ import annotations

from torch import Tensor

from licap.config import DownstreamConfig
from licap.models.base import MODELS, FittedModel, Setting, fit_with, register


@register(MODELS, "linear_regression")
class LinearRegressionModel(FittedModel):
    """score = w·x + b, least squares over the training nodes."""

    @classmethod
    def build(cls, config: DownstreamConfig, setting: Setting) -> LinearRegressionModel:
        """See `FittedModel.build`."""
        return cls()

    def fit_predict(self, inputs: Tensor, labels: Tensor, train: Tensor) -> Tensor:
        """See `FittedModel.fit_predict`."""
        # Loaded where it is used: every worker imports this module, and few fit this model.
        from sklearn.linear_model import LinearRegression

        return fit_with(LinearRegression(), inputs, labels, train)
