"""The primitives in plain torch with every intermediate value of an edge as a row of an array: the yardstick unfused.

Rows are gathered to edges, exponentiated, and added up by `index_add`; autograd keeps what the backward pass needs.
Same shapes and results as `licap.ops`; a trial takes it where it stands in for the backend torch.
Notation: N nodes, E edges, R relations, H heads, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from benchmarks.measuring import free_mb
from benchmarks.output import Findings
from licap.graph import KnowledgeGraph
from licap.ops import BACKENDS
from licap.ops.per_graph import PerGraph

UNFUSED = "unfused"


def relation_attention(z: Tensor, el: Tensor, er: Tensor, em: Tensor, graph: KnowledgeGraph, *, slope: float) -> Tensor:
    """See `licap.ops.relation_attention`."""
    src, dst, rel = _ends(graph, z.device)
    return _attended(leaky_relu(el[src] + er[dst] + em[rel], slope), z, src, dst)


def dot_attention(
    q: Tensor, k: Tensor, v: Tensor, gain: Tensor, shift: Tensor, relation_key: Tensor | None, graph: KnowledgeGraph
) -> Tensor:
    """See `licap.ops.dot_attention`."""
    src, dst, rel = _ends(graph, q.device)
    logits = (q[dst] * k[src]).sum(-1) * gain[rel] + shift[rel]
    if relation_key is not None:
        logits = logits + (q[src] * relation_key[rel]).sum(-1)
    return _attended(logits, v, src, dst)


def neighbour_sum(x: Tensor, graph: KnowledgeGraph) -> Tensor:
    """See `licap.ops.neighbour_sum`."""
    src, dst, _ = _ends(graph, x.device)
    return torch.zeros_like(x).index_add(0, dst, x[src])


@contextmanager
def standing_in(rival: str) -> Iterator[None]:
    """Within, where the rival is `unfused`, the backend torch is this one: configs know the program's own alone."""
    own = BACKENDS["torch"]
    if rival == UNFUSED:
        BACKENDS["torch"] = replace(
            own, relation_attention=relation_attention, dot_attention=dot_attention, neighbour_sum=neighbour_sum
        )
    try:
        yield
    finally:
        BACKENDS["torch"] = own


def fitting(findings: Findings, rivals: Sequence[str], edges: int, heads: int, width: int, device: str) -> list[str]:
    """The rivals, without `unfused` where it would take half of the free memory: others are at work too."""
    needed, free = _bytes_needed(edges, heads, width) / 2**20, free_mb(device)
    if UNFUSED not in rivals or needed < free / 2:
        return list(rivals)
    findings.note(
        f"{UNFUSED} is left out at {edges:,} edges, {heads} heads of width {width}: "
        f"it would take about {needed / 1024:.1f} GB, and {free / 1024:.1f} GB are free"
    )
    return [name for name in rivals if name != UNFUSED]


def _bytes_needed(edges: int, heads: int, width: int) -> int:
    """About the peak of forward and backward, in float32.

    Ten [E, H] arrays (logits, their parts and exponentials, and gradients) and four [E, H, D] ones (gathered and
    weighted messages, and their gradients); int64 ids of edges and their gathered copies.
    """
    return 4 * edges * heads * (10 + 4 * width) + 8 * 6 * edges


def _attended(logits: Tensor, messages: Tensor, src: Tensor, dst: Tensor) -> Tensor:
    """Softmax of logits [E, H] over each node's incoming edges, and the sum of the messages [N, H, D] it weighs."""
    nodes = messages.shape[0], messages.shape[1]
    places = dst[:, None].expand_as(logits)
    largest = logits.detach().new_full(nodes, -torch.inf).scatter_reduce(0, places, logits.detach(), "amax")
    weights = (logits - largest[dst]).exp()
    alpha = weights / weights.new_zeros(nodes).index_add(0, dst, weights)[dst]
    return torch.zeros_like(messages).index_add(0, dst, alpha.unsqueeze(-1) * messages[src])


@PerGraph
def _ends(graph: KnowledgeGraph, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """src, dst and rel as torch's gathering takes them."""
    src, dst, rel = (torch.from_numpy(ids.astype("int64")).to(device) for ids in (graph.src, graph.dst, graph.rel))
    return src, dst, rel
