"""Early signals: what embeddings show while they are pretrained, as candidates for predicting the final value.

Notation: N nodes, D width, z [N, D] embeddings, u their rows at length 1 (a row of zeros stays), T top nodes.
A signal is worth pruning by only where it has been found to rank trials as their final values do; none is presumed to.
Functions of tensors, float64, and `Signals`, which looks at all of them. Draws nothing from a trial's generators.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from licap.config import TrialConfig
from licap.graph import KnowledgeGraph
from licap.metrics import evaluate
from licap.ops import neighbour_sum
from licap.pretrain import STAGE, Contrast
from licap.probe import RidgeProbe
from licap.splits import Split
from licap.training import check_finite, float64_array

# The same pairs in every trial on graphs of one size, whatever the trial's seed.
_PAIRS, _PAIRS_SEED = 8192, 0
_TOP_SHARE = 0.2
_RANKME_EPSILON = 1e-7
# Where the metrics of the probe stand that sees what stage 2 will see, by `downstream.input`.
_PROBE_OF = {"embeddings": "probe.embeddings.", "features+embeddings": "probe.features_embeddings."}


@dataclass(frozen=True)
class Look:
    """What was seen of one epoch's embeddings. values: finite, by dotted name; more of them than a report shows."""

    values: Mapping[str, float]

    def reported(self, seen: str) -> dict[str, float]:
        """Signals and Spearman of all probes, and under `val.` all metrics of the probe of what stage 2 sees.

        seen: `downstream.input`.
        """
        whole, own = tuple(_PROBE_OF.values()), _PROBE_OF[seen]
        shown = {
            name: value
            for name, value in self.values.items()
            if not name.startswith(whole) or name.endswith(".spearman")
        }
        validation = {name: value for name, value in self.values.items() if name.startswith(own)}
        return shown | {f"val.{name.removeprefix(own)}": value for name, value in validation.items()}


class Signals:
    """Looks at embeddings: the geometry of each channel, averaged, and what probes predict from all of them.

    features: [N, F] of each channel. labels: [N] log labels; those of training and validation nodes are read.
    """

    def __init__(
        self,
        config: TrialConfig,
        features: Sequence[Tensor],
        labels: Tensor,
        split: Split,
        contrast: Contrast,
        graph_with_loops: KnowledgeGraph,
    ) -> None:
        device = labels.device
        train, val = (torch.tensor(nodes, device=device) for nodes in (split.train, split.val))
        self._contrast = contrast
        self._pairs = node_pairs(labels.numel(), device)
        self._labels = float64_array(labels[val])
        count = max(2, math.ceil(_TOP_SHARE * self._labels.size))
        # All that share the last place, as in the top bin of the sampling.
        self._top_of_val = self._labels >= np.sort(self._labels)[-count:][0]
        self._evaluate = partial(evaluate, label_ties=config.label_ties)
        self._probe = RidgeProbe(
            torch.cat(list(features), dim=1),
            labels[train],
            partial(neighbour_mean, graph=graph_with_loops, backend=config.runtime.backend),
            train=train,
            asked=val,
            penalty=config.pretrain.probe_ridge,
        )

    def look(self, embeddings: Sequence[Tensor], epoch: int) -> Look:
        """embeddings: [N, D] of each channel. Raises: DivergedError where something is not finite."""
        of_channels = [self._geometry(each) for each in embeddings]
        geometry = {name: fmean(each[name] for each in of_channels) for name in of_channels[0]}
        check_finite(STAGE, epoch, geometry)
        predictions = self._probe.predict(torch.cat(list(embeddings), dim=1))
        check_finite(STAGE, epoch, {f"probe of {name}": each for name, each in vars(predictions).items()})
        alone, together = float64_array(predictions.embeddings), float64_array(predictions.features_embeddings)
        values = {f"probe.embeddings.{name}": value for name, value in self._evaluate(self._labels, alone).items()}
        values |= {
            f"probe.features_embeddings.{name}": value for name, value in self._evaluate(self._labels, together).items()
        }
        top = self._top_of_val
        values |= {
            "probe.ranks.spearman": _spearman(self._labels, float64_array(predictions.ranks)),
            "probe.propagated.spearman": _spearman(self._labels, float64_array(predictions.propagated)),
            "probe.top.spearman": _spearman(self._labels[top], together[top]),
            "probe.top.ndcg@100": values["probe.features_embeddings.ndcg@100"],
        }
        return Look(geometry | values)

    def _geometry(self, embeddings: Tensor) -> dict[str, float]:
        units = unit_rows(embeddings)
        return {
            "signal.effective_rank": effective_rank(embeddings),
            "signal.alignment": alignment(units[self._contrast.top], self._contrast.column_of_top),
            "signal.uniformity": uniformity(units, self._pairs),
        }


def effective_rank(z: Tensor) -> float:
    """RankMe: exp(-Σ p_k log p_k), p_k = σ_k / Σ σ + ε, with singular values σ of z and ε = 1e-7.

    From the eigenvalues of zᵀz. z: [N, D]. Returns: about 1 (one direction, or none at all) to D (all alike).
    Source: Garrido et al., ICML 2023 (arXiv 2210.02885).
    """
    scaled = _scaled(z)
    sigma = torch.linalg.eigvalsh(scaled.T @ scaled).clamp(min=0).sqrt()
    p = sigma / sigma.sum().clamp(min=torch.finfo(sigma.dtype).tiny) + _RANKME_EPSILON
    return float(torch.exp(-(p * p.log()).sum()))


def alignment(units: Tensor, group: Tensor) -> float:
    """Mean ‖u_i - u_j‖² over pairs of one group, where each node that has a partner counts alike.

    All pairs are counted, by the groups' sums. Where no group has two nodes, all nodes are one group.
    units: [T, D] rows of length 1, T at least 2. group: [T] from 0. Returns: 0 (all alike) to 4.
    Source: Wang & Isola, ICML 2020 (arXiv 2005.10242), L_align with α = 2; positive pairs share a finer bin.
    """
    counts = torch.bincount(group).to(units)
    if counts.max() < 2:
        group, counts = torch.zeros_like(group), counts.sum()[None]
    zeros = units.new_zeros(counts.numel(), units.shape[1])
    squares = zeros[:, 0].index_add(0, group, units.square().sum(1))
    # Σ over ordered pairs of ‖u_i - u_j‖² = 2 (n Σ ‖u_i‖² - ‖Σ u_i‖²).
    pairs = 2 * (counts * squares - zeros.index_add(0, group, units).square().sum(1))
    paired = counts >= 2
    return float((pairs[paired] / (counts[paired] - 1)).sum().clamp(min=0) / counts[paired].sum())


def uniformity(units: Tensor, pairs: Tensor) -> float:
    """log mean exp(-2 ‖u_i - u_j‖²) over pairs.

    units: [N, D] rows of length 1. pairs: [2, P] ids. Returns: at most 0 (all alike); lower is more uniform.
    Source: Wang & Isola, ICML 2020 (arXiv 2005.10242), L_uniform with t = 2.
    """
    distance = (units[pairs[0]] - units[pairs[1]]).square().sum(1)
    return float(torch.logsumexp(-2 * distance, dim=0) - math.log(distance.numel()))


def unit_rows(z: Tensor) -> Tensor:
    """Rows at length 1, float64; rows of zeros stay. z: [N, D]."""
    return torch.nn.functional.normalize(_scaled(z), dim=1, eps=1e-300)


def node_pairs(num_nodes: int, device: torch.device) -> Tensor:
    """[2, P] ids of two different nodes each, drawn once for a number of nodes (at least 2)."""
    rng = np.random.default_rng(_PAIRS_SEED)
    first = rng.integers(num_nodes, size=_PAIRS)
    second = (first + 1 + rng.integers(num_nodes - 1, size=_PAIRS)) % num_nodes
    return torch.from_numpy(np.stack([first, second])).to(device)


def neighbour_mean(x: Tensor, graph: KnowledgeGraph, backend: str) -> Tensor:
    """[N, D] mean of x over incoming edges, parallel ones counted one by one; zero where none comes in."""
    degree = torch.from_numpy(graph.in_degree).to(x)
    return neighbour_sum(x, graph, backend=backend) / degree.clamp(min=1)[:, None]


def _scaled(z: Tensor) -> Tensor:
    # No square may overflow; none of the signals depends on the scale.
    z = z.double()
    return z / z.abs().max().clamp(min=torch.finfo(z.dtype).tiny)


def _spearman(true: NDArray[np.float64], predicted: NDArray[np.float64]) -> float:
    return evaluate(true, predicted, ["spearman"])["spearman"]
