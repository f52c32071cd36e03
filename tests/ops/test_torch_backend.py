"""The torch backend's two ways of summing: sparse products on the CPU, segments elsewhere."""

from __future__ import annotations

import pytest
import torch
from attention_cases import PRIMITIVES, SMALL, build

from licap.ops import relation_attention, torch_backend
from licap.ops.edge_index import edge_index


def test_segments_and_sparse_products_give_the_same() -> None:
    index = edge_index(build(*SMALL), torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(8, 2, generator=generator, dtype=torch.float64)
    left, right = (torch.randn(5, 2, 3, generator=generator, dtype=torch.float64) for _ in range(2))

    for grouping in (index.by_dst, index.by_src, index.by_rel):
        torch.testing.assert_close(
            torch_backend.segment_sum(weights[grouping.edges], grouping.indptr),
            torch_backend.group_sum(weights, grouping),
        )
    for grouping, ends in ((index.by_dst, index.src), (index.by_src, index.dst)):
        torch.testing.assert_close(
            torch_backend.weighted_sum_by_segments(weights, left, grouping, ends),
            torch_backend.weighted_sum(weights, left, grouping, ends),
        )
    torch.testing.assert_close(
        torch_backend.edge_dots_by_gathering(left, right, index), torch_backend.edge_dots(left, right, index)
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_what_the_cpu_gives() -> None:
    graph = build(*SMALL)
    inputs = PRIMITIVES["relation attention"].inputs(graph, 2, 3)
    moved = tuple(each.detach().cuda().requires_grad_() for each in inputs)
    outs = [relation_attention(*each, graph, slope=0.2, backend="torch") for each in (inputs, moved)]
    torch.testing.assert_close(outs[1].cpu(), outs[0])
    gradients = [torch.autograd.grad(out.sum(), each) for out, each in zip(outs, (inputs, moved), strict=True)]
    for on_cpu, on_cuda in zip(*gradients, strict=True):
        torch.testing.assert_close(on_cuda.cpu(), on_cpu)
