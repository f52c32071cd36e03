"""`relation_attention` by DGL's g-SDDMM and g-SpMM kernels: the rival, and a check on the others. CPU only.

DGL is imported at the first call; its graph is made once per graph.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from licap.graph import KnowledgeGraph
from licap.ops.registry import register
from licap.optional import has_dgl, import_dgl

_GRAPHS: WeakKeyDictionary[KnowledgeGraph, tuple[Any, Tensor]] = WeakKeyDictionary()


@register("dgl", installed=has_dgl, device_types=("cpu",))
def attend(z: Tensor, el: Tensor, er: Tensor, em: Tensor, graph: KnowledgeGraph, *, slope: float) -> Tensor:
    """See `licap.ops.relation_attention`. Raises: DeviceError where DGL is missing."""
    ops = import_dgl().ops
    if graph not in _GRAPHS:
        _GRAPHS[graph] = graph.to_dgl(), torch.tensor(graph.rel)
    dgl_graph, rel = _GRAPHS[graph]
    if not graph.num_edges:
        # DGL's softmax refuses a graph without edges. The product keeps the output on the autograd tape.
        return z * 0
    logits = ops.u_add_v(dgl_graph, el, er) + em.index_select(0, rel)
    alpha = ops.edge_softmax(dgl_graph, torch.nn.functional.leaky_relu(logits, slope))
    out: Tensor = ops.u_mul_e_sum(dgl_graph, z, alpha.unsqueeze(-1))
    return out
