"""PageRank and personalised PageRank on the graph as stored, by sparse iteration (Page et al., 1999; Haveliwala, 2002).

Knows neither features nor scores; of the labels only which nodes have one.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from licap.config import DownstreamConfig
from licap.graph import KnowledgeGraph
from licap.model_configs import PageRankConfig
from licap.models.base import MODELS, FittedModel, Setting, register

# Published: keeps the numbers readable, and changes no ranking.
_SCALE = 1e4


def pagerank(
    graph: KnowledgeGraph, start: NDArray[np.float64], *, damping: float, tolerance: float, max_iterations: int
) -> NDArray[np.float64]:
    """Ranks r = d Aᵀ r + (1 - d) start, with A the edges divided by their source's out-degree, parallel ones counted.

    start: [N], sums to 1; a node without outgoing edges passes its rank on to it. tolerance: ends when the ranks change
    by less in sum. Returns: [N], sums to 1.
    Source: Page et al., 1999, section 2.
    """
    out_degree = graph.out_degree
    share = np.divide(damping, out_degree, out=np.zeros(graph.num_nodes), where=out_degree > 0)
    pull = csr_array(
        (share[graph.src], (graph.dst, graph.src)), shape=(graph.num_nodes, graph.num_nodes), dtype=np.float64
    )
    dangling = out_degree == 0
    rank = start
    for _ in range(max_iterations):
        before = rank
        rank = pull @ before + (damping * before[dangling].sum() + 1.0 - damping) * start
        if np.abs(rank - before).sum() < tolerance:
            break
    return rank


class _Ranking(FittedModel):
    """Predicts the rank times 10,000: good for rankings, on another scale than the labels."""

    def __init__(self, graph: KnowledgeGraph, start: NDArray[np.float64], options: PageRankConfig) -> None:
        self._graph, self._start, self._options = graph, start / start.sum(), options

    def fit_predict(self, inputs: Tensor, labels: Tensor, train: Tensor) -> Tensor:
        """See `FittedModel.fit_predict`."""
        own = self._options
        ranks = pagerank(
            self._graph,
            self._start,
            damping=own.damping,
            tolerance=own.tolerance,
            max_iterations=own.max_iterations,
        )
        return torch.from_numpy(_SCALE * ranks).to(inputs)


@register(MODELS, "pagerank")
class PageRank(_Ranking):
    """The walk starts anywhere."""

    @classmethod
    def build(cls, config: DownstreamConfig, setting: Setting) -> PageRank:
        """See `FittedModel.build`."""
        return cls(setting.graph, np.ones(setting.graph.num_nodes), config.pagerank)


@register(MODELS, "personalised_pagerank")
class PersonalisedPageRank(_Ranking):
    """The walk starts at the labelled nodes, all of them alike, those of the test fold too (published)."""

    @classmethod
    def build(cls, config: DownstreamConfig, setting: Setting) -> PersonalisedPageRank:
        """See `FittedModel.build`."""
        return cls(setting.graph, setting.labelled.astype(np.float64), config.personalised_pagerank)
