"""The primitives by DGL's g-SDDMM and g-SpMM kernels: the rival, and a check on the others. CPU only.

DGL is imported at the first call.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from licap.graph import KnowledgeGraph
from licap.ops.per_graph import PerGraph
from licap.ops.registry import Backend, register
from licap.optional import has_dgl, import_dgl


def relation_attention(z: Tensor, el: Tensor, er: Tensor, em: Tensor, graph: KnowledgeGraph, *, slope: float) -> Tensor:
    """See `licap.ops.relation_attention`. Raises: DeviceError where DGL is missing."""
    ops, (dgl_graph, rel) = import_dgl().ops, _prepared(graph)
    if not graph.num_edges:
        # DGL's softmax refuses a graph without edges. The product keeps the output on the autograd tape.
        return z * 0
    logits = ops.u_add_v(dgl_graph, el, er) + em.index_select(0, rel)
    alpha = ops.edge_softmax(dgl_graph, torch.nn.functional.leaky_relu(logits, slope))
    out: Tensor = ops.u_mul_e_sum(dgl_graph, z, alpha.unsqueeze(-1))
    return out


def dot_attention(
    q: Tensor, k: Tensor, v: Tensor, gain: Tensor, shift: Tensor, relation_key: Tensor | None, graph: KnowledgeGraph
) -> Tensor:
    """See `licap.ops.dot_attention`. Raises: DeviceError where DGL is missing."""
    ops, (dgl_graph, rel) = import_dgl().ops, _prepared(graph)
    if not graph.num_edges:
        return v * 0
    logits = ops.u_dot_v(dgl_graph, k, q).squeeze(-1) * gain.index_select(0, rel) + shift.index_select(0, rel)
    if relation_key is not None:
        logits = logits + ops.u_dot_e(dgl_graph, q, relation_key.index_select(0, rel)).squeeze(-1)
    out: Tensor = ops.u_mul_e_sum(dgl_graph, v, ops.edge_softmax(dgl_graph, logits).unsqueeze(-1))
    return out


def neighbour_sum(x: Tensor, graph: KnowledgeGraph) -> Tensor:
    """See `licap.ops.neighbour_sum`. Raises: DeviceError where DGL is missing."""
    ops, (dgl_graph, _) = import_dgl().ops, _prepared(graph)
    out: Tensor = ops.copy_u_sum(dgl_graph, x)
    return out


@PerGraph
def _prepared(graph: KnowledgeGraph) -> tuple[Any, Tensor]:
    """DGL's graph, and the relations of its edges."""
    return graph.to_dgl(), torch.tensor(graph.rel)


register(
    Backend(
        name="dgl",
        installed=has_dgl,
        device_types=("cpu",),
        relation_attention=relation_attention,
        dot_attention=dot_attention,
        neighbour_sum=neighbour_sum,
    )
)
