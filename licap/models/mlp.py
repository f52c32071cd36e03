"""A network of one hidden layer on the node's input, without the graph, by scikit-learn."""

from __future__ import annotations

import warnings

from torch import Tensor

from licap.config import DownstreamConfig
from licap.models.base import MODELS, FittedModel, Setting, fit_with, new_seed, register


@register(MODELS, "mlp")
class MLP(FittedModel):
    """in → hidden → 1 with ReLU; Adam on batches of 200 until the loss stands still (defaults there, published)."""

    def __init__(self, *, hidden: int, max_iterations: int, seed: int) -> None:
        self._hidden, self._max_iterations, self._seed = hidden, max_iterations, seed

    @classmethod
    def build(cls, config: DownstreamConfig, setting: Setting) -> MLP:
        """See `FittedModel.build`."""
        return cls(hidden=config.mlp.hidden, max_iterations=config.mlp.max_iterations, seed=new_seed())

    def fit_predict(self, inputs: Tensor, labels: Tensor, train: Tensor) -> Tensor:
        """See `FittedModel.fit_predict`."""
        # Loaded where they are used: every worker imports this module, and few fit this model.
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPRegressor

        network = MLPRegressor(
            hidden_layer_sizes=(self._hidden,), max_iter=self._max_iterations, random_state=self._seed
        )
        with warnings.catch_warnings():
            # The number of iterations is the user's choice.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return fit_with(network, inputs, labels, train)
