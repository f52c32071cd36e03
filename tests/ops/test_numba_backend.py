"""What holds for the compiled kernels alone: threads, what they do without, and where they are kept."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from attention_cases import PRIMITIVES, Primitive, random_graph
from torch import Tensor

from licap.graph import KnowledgeGraph
from licap.ops import numba_threads
from licap.ops.numba_edges import both_ways

pytest.importorskip("numba")

GRAPH = random_graph(300, 4000)


@pytest.fixture(params=sorted(PRIMITIVES))
def primitive(request: pytest.FixtureRequest) -> Primitive:
    """Each of the primitives."""
    return PRIMITIVES[request.param]


@pytest.fixture
def threads() -> Iterator[None]:
    """Gives torch back the number of threads it had."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def results(primitive: Primitive, heads: int, width: int, backend: str = "numba") -> list[Tensor]:
    """Output and gradients."""
    inputs = primitive.inputs(GRAPH, heads, width, torch.float32)
    out = primitive.call(*inputs, graph=GRAPH, backend=backend)
    return [out.detach(), *torch.autograd.grad(out.square().sum(), inputs)]


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(("heads", "width"), [(4, 1), (8, 8), (1, 64)])
def test_the_number_of_threads_changes_no_bit(primitive: Primitive, heads: int, width: int) -> None:
    by_threads = []
    for number in (1, 2, 3, 40):
        torch.set_num_threads(number)
        by_threads.append(results(primitive, heads, width))
        assert torch.get_num_threads() == number
    assert all(torch.equal(*pair) for other in by_threads[1:] for pair in zip(by_threads[0], other, strict=True))


@pytest.mark.parametrize(("heads", "width"), [(1, 1), (3, 7), (13, 5), (9, 12), (2, 37), (1, 100), (1, 256), (16, 1)])
def test_rows_of_any_width_give_what_torch_gives(primitive: Primitive, heads: int, width: int) -> None:
    for ours, theirs in zip(results(primitive, heads, width), results(primitive, heads, width, "torch"), strict=True):
        assert (ours - theirs).abs().max() <= 2e-5 * max(1.0, float(theirs.abs().max()))


@pytest.mark.usefixtures("threads")
def test_calls_from_several_threads_do_not_meet() -> None:
    primitive = PRIMITIVES["relation attention"]
    torch.set_num_threads(2)
    expected = results(primitive, 4, 8)
    with ThreadPoolExecutor(3) as pool:
        for done in pool.map(lambda _: results(primitive, 4, 8), range(12)):
            assert all(torch.equal(*pair) for pair in zip(expected, done, strict=True))


@pytest.mark.usefixtures("threads")
def test_what_goes_wrong_in_a_helper_is_told() -> None:
    def fail(first: int, *_: object) -> None:
        raise ValueError(f"chunk {first}")

    torch.set_num_threads(2)
    with pytest.raises(ValueError, match="chunk"):
        numba_threads.run(fail, both_ways(GRAPH).by_dst)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.usefixtures("threads")
def test_a_forked_process_has_threads_of_its_own() -> None:
    torch.set_num_threads(2)
    results(PRIMITIVES["neighbour sum"], 1, 8)
    child = os.fork()
    if not child:
        numba_threads.run(lambda first, last, edges: None, both_ways(GRAPH).by_dst)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_chunks_follow_the_edges_and_cover_every_node_once() -> None:
    for edges in (both_ways(GRAPH).by_dst, both_ways(GRAPH).by_src):
        assert edges.bounds[0] == 0
        assert edges.bounds[-1] == GRAPH.num_nodes
        assert (edges.bounds[1:] >= edges.bounds[:-1]).all()
    many_relations = KnowledgeGraph.from_edges([0] * 64, [1] * 64, range(64), num_nodes=2, num_relations=64)
    assert both_ways(many_relations).by_dst.chunks < both_ways(GRAPH).by_dst.chunks


def test_numba_is_imported_at_the_first_call() -> None:
    program = """
import sys
import licap.ops
assert "numba" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
