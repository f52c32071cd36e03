"""The primitives on edges that all models are made of, and their backends.

Adding a backend is adding a file to this folder that registers itself: the files are found, not listed.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import torch
from torch import Tensor

from licap.errors import ConfigError, DeviceError
from licap.graph import KnowledgeGraph
from licap.ops.registry import BACKENDS, Backend
from licap.ops.relation_sum import relation_sum
from licap.suggestions import nearest

__all__ = [
    "BACKENDS",
    "available_backends",
    "dot_attention",
    "neighbour_sum",
    "relation_attention",
    "relation_sum",
    "resolve_backend",
]

for _module in iter_modules(__path__):
    if _module.name.endswith("_backend"):
        import_module(f"{__name__}.{_module.name}")

# Edges from which compiled kernels repay a compilation of some ten seconds, once per installation.
_MANY_EDGES = 50_000


def available_backends(device_type: str = "cpu") -> tuple[str, ...]:
    """Names of the backends whose library is installed and that run on a type of device, sorted."""
    return tuple(
        sorted(name for name, backend in BACKENDS.items() if backend.installed() and backend.runs_on(device_type))
    )


def resolve_backend(name: str, device: torch.device, num_edges: int) -> Backend:
    """The backend of a name, `auto` included, checked against this machine.

    `auto` is `numba`, where that is installed, for graphs of 50,000 edges or more on the CPU, and else `torch`. What
    each costs stands in docs/performance.md.

    Raises: ConfigError for a name that is not registered. DeviceError where the library is missing, or does not run on
    the device.
    """
    if name == "auto":
        compiled = device.type == "cpu" and num_edges >= _MANY_EDGES and BACKENDS["numba"].installed()
        name = "numba" if compiled else "torch"
    backend = BACKENDS.get(name)
    if backend is None:
        there = ", ".join(["auto", *sorted(BACKENDS)])
        raise ConfigError(f"unknown attention backend {name!r}{nearest(name, BACKENDS)} (there are: {there}).")
    if not backend.installed():
        raise DeviceError(f"attention backend {name} is not installed here. Set runtime.backend to torch or auto.")
    if not backend.runs_on(device.type):
        raise DeviceError(
            f"attention backend {name} does not run on {device.type}. Set runtime.backend to torch or auto, or "
            f"runtime.device to {backend.device_types[0]}."
        )
    return backend


def relation_attention(
    z: Tensor, el: Tensor, er: Tensor, em: Tensor, graph: KnowledgeGraph, *, slope: float, backend: str = "auto"
) -> Tensor:
    """Attention over incoming edges whose logits are a source, a destination and a relation term.

    out[v] = Σ_{e=(u→v)} softmax_e(leaky_relu(el[u] + er[v] + em[type(e)])) · z[u]

    z: [N, H, D] messages. el, er: [N, H] source and destination terms. em: [R, H] relation terms. float32 or float64,
    on one device. slope: of the leaky ReLU. Parallel edges count one by one. Differentiable once in all four.

    Returns: [N, H, D], zero where no edge comes in.
    Raises: ConfigError, DeviceError as `resolve_backend`.
    Source: PreGAT's attention (LICAP, arXiv 2402.17791) and GENI's (KDD 2019, equations 3 and 4), with the attention
    vector split into its parts, so that nothing is projected per edge.
    """
    return resolve_backend(backend, z.device, graph.num_edges).relation_attention(z, el, er, em, graph, slope=slope)


def dot_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gain: Tensor,
    shift: Tensor,
    graph: KnowledgeGraph,
    *,
    relation_key: Tensor | None = None,
    backend: str = "auto",
) -> Tensor:
    """Attention over incoming edges whose logits are dot products, changed by the edge's relation.

    out[v] = Σ_{e=(u→v)} softmax_e(⟨q[v], k[u]⟩ · gain[r] + shift[r] + ⟨q[u], relation_key[r]⟩) · v[u],  r = type(e)

    q, k, v: [N, H, D]; whoever wants a scale puts it into q. gain, shift: [R, H]. relation_key: [R, H, D], None leaves
    its term out. float32 or float64, on one device. Parallel edges count one by one. Differentiable once in all.

    Returns: [N, H, D], zero where no edge comes in.
    Raises: ConfigError, DeviceError as `resolve_backend`.
    Source: RGTN's attention (Huang et al., KDD 2021) in all of its edge modes, with relations projected once each.
    """
    return resolve_backend(backend, q.device, graph.num_edges).dot_attention(q, k, v, gain, shift, relation_key, graph)


def neighbour_sum(x: Tensor, graph: KnowledgeGraph, *, backend: str = "auto") -> Tensor:
    """out[v] = Σ_{e=(u→v)} x[u], parallel edges counted one by one.

    x: [N, D], float32 or float64. Differentiable once. Returns: [N, D], zero where no edge comes in.
    Raises: ConfigError, DeviceError as `resolve_backend`.
    """
    return resolve_backend(backend, x.device, graph.num_edges).neighbour_sum(x, graph)
