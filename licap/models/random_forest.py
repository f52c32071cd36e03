"""Random forest on the node's input, without the graph, by scikit-learn (Breiman, 2001)."""

from __future__ import annotations

from torch import Tensor

from licap.config import DownstreamConfig
from licap.models.base import MODELS, FittedModel, Setting, fit_with, new_seed, register


@register(MODELS, "random_forest")
class RandomForest(FittedModel):
    """The mean of many regression trees, each grown on a bootstrap sample of the training nodes."""

    def __init__(self, *, num_trees: int, seed: int) -> None:
        self._num_trees, self._seed = num_trees, seed

    @classmethod
    def build(cls, config: DownstreamConfig, setting: Setting) -> RandomForest:
        """See `FittedModel.build`."""
        return cls(num_trees=config.random_forest.num_trees, seed=new_seed())

    def fit_predict(self, inputs: Tensor, labels: Tensor, train: Tensor) -> Tensor:
        """See `FittedModel.fit_predict`."""
        # Loaded where it is used: every worker imports this module, and few fit this model.
        from sklearn.ensemble import RandomForestRegressor

        return fit_with(RandomForestRegressor(self._num_trees, random_state=self._seed), inputs, labels, train)
