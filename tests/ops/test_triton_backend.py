"""What holds for the Triton kernels alone: long groups, wide rows, and what can be known of them without a GPU."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from attention_cases import PRIMITIVES, Primitive, build, busy_graph, every_backend, home_of, random_graph
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import licap.ops
from licap.errors import ConfigError
from licap.graph import KnowledgeGraph
from licap.ops import BACKENDS, neighbour_sum, triton_backend
from licap.ops.triton_edges import PIECE, Pieces, device_edges

INTERPRETED = home_of("triton") == "cpu"
HERE = Path(__file__).parent
OUTSIDE, NEEDS_CUDA = "needs triton outside of its interpreter", "needs a CUDA device"

here = pytest.mark.parametrize("backend", [each for each in every_backend() if each.values == ("triton",)])
outside = pytest.mark.skipif(INTERPRETED or not BACKENDS["triton"].installed(), reason=OUTSIDE)


@pytest.fixture(params=sorted(PRIMITIVES))
def primitive(request: pytest.FixtureRequest) -> Primitive:
    """Each of the primitives."""
    return PRIMITIVES[request.param]


def results(primitive: Primitive, inputs: Sequence[Tensor], graph: KnowledgeGraph, backend: str) -> list[Tensor]:
    """Output and gradients, at the backend's home."""
    inputs = tuple(inputs)
    out = primitive.call(*inputs, graph=graph, backend=backend)
    return [out.detach(), *torch.autograd.grad(out.square().sum(), inputs)]


def assert_agrees_with_torch(backend: str, primitive: Primitive, graph: KnowledgeGraph, heads: int, width: int) -> None:
    """In float32, within 1e-5 of torch in float64."""
    single = primitive.inputs(graph, heads, width, torch.float32)
    with torch.no_grad():
        # Else dots of wide rows are some tens, and float32 has not the digits, in whatever order they are summed.
        single[0].div_(width**0.5)
    double = tuple(each.detach().double().requires_grad_() for each in single)
    pairs = zip(results(primitive, single, graph, backend), results(primitive, double, graph, "torch"), strict=True)
    for ours, exact in pairs:
        assert (ours.double() - exact).abs().max() <= 1e-5 * max(1.0, float(exact.abs().max()))


def run_python(*arguments: str, **environment: str) -> str:
    """What a fresh interpreter prints; where it fails, the test does with what it says."""
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        cwd=HERE.parent.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@outside
@pytest.mark.parametrize(
    "which", ["triton and gradients_are and small", pytest.param("triton", marks=pytest.mark.long)]
)
def test_what_holds_for_every_backend_holds_in_the_interpreter(which: str) -> None:
    files = [str(HERE / name) for name in ("test_every_backend.py", Path(__file__).name)]
    printed = run_python(
        "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-k", which, *files, TRITON_INTERPRET="1"
    )
    passed = re.match(r"(\d+) passed", printed.splitlines()[-1])
    assert passed and int(passed[1]) >= len(PRIMITIVES), printed
    # With the interpreter nothing that was asked for may be skipped but what needs it off, or a device.
    reasons = re.findall(r"^SKIPPED .*?\.py:\d+: (.*)", printed, re.M)
    assert set(reasons) <= {OUTSIDE, NEEDS_CUDA}, printed
    assert len(reasons) == len(re.findall("^SKIPPED", printed, re.M))


@outside
def test_every_kernel_compiles_for_a_gpu_that_is_not_here(tmp_path: Path) -> None:
    # The interpreter takes much that the compiler refuses. Only launches are left out, which need the device.
    program = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
from dataclasses import replace
import torch
from attention_cases import PRIMITIVES, random_graph
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction
from licap.ops import BACKENDS

class Absent:
    def get_current_target(self):
        return GPUTarget("cuda", 80, 32)
    def get_current_device(self):
        return 0
    def get_current_stream(self, device):
        return 0

compiled = set()
run = JITFunction.run

def compile_only(self, *given, **options):
    compiled.add(self.fn.__name__)
    return run(self, *given, **{{**options, "warmup": True}})

driver.set_active(Absent())
JITFunction.run = compile_only
BACKENDS["triton"] = replace(BACKENDS["triton"], device_types=("cpu",))
graph = random_graph(300, 4000)
for primitive in PRIMITIVES.values():
    inputs = primitive.inputs(graph, 2, 8, torch.float32)
    torch.autograd.grad(primitive.call(*inputs, graph=graph, backend="triton").sum(), inputs)
print(*compiled)
"""
    printed = run_python("-c", program, TRITON_CACHE_DIR=str(tmp_path), TRITON_INTERPRET="0")
    sources = [path.read_text(encoding="utf-8") for path in Path(licap.ops.__file__).parent.glob("triton_*kernels.py")]
    assert set(printed.split()) == {name for text in sources for name in re.findall(r"^@kernel\ndef (\w+)", text, re.M)}


@here
@pytest.mark.parametrize(("heads", "width"), [(1, 1), (3, 7), (16, 1), (1, 256), (5, 600)])
def test_rows_of_any_width_give_what_torch_gives(backend: str, primitive: Primitive, heads: int, width: int) -> None:
    graph = random_graph(6, 40) if INTERPRETED else busy_graph(backend)
    assert_agrees_with_torch(backend, primitive, graph, heads, width)


@here
def test_very_long_groups_give_what_torch_gives(backend: str, primitive: Primitive) -> None:
    edges = 5 * PIECE + 3 if INTERPRETED else 100_000
    many, other = np.arange(edges) % 7, np.full(edges, 7)
    src, dst = np.concatenate([many, other]), np.concatenate([other, many])
    graph = KnowledgeGraph.from_edges(src, dst, np.arange(2 * edges) % 3, num_nodes=9, num_relations=4)
    assert_agrees_with_torch(backend, primitive, graph, 2, 3)


@here
def test_sums_take_rows_wider_than_a_program(backend: str) -> None:
    graph = build([0, 1, 1], [1, 0, 1], [0, 0, 0], 2, 1)
    x = torch.randn(2, 1100, dtype=torch.float64, device=home_of(backend))
    expected = torch.stack([x[1], x[0] + x[1]])
    torch.testing.assert_close(neighbour_sum(x, graph, backend=backend), expected)


@outside
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason=NEEDS_CUDA)
def test_a_large_graph_on_cuda_gives_what_torch_gives_there_and_the_same_bits_twice(primitive: Primitive) -> None:
    graph = random_graph(20_000, 400_000)
    inputs = [each.detach().cuda().requires_grad_() for each in primitive.inputs(graph, 8, 8, torch.float32)]

    def on_cuda(backend: str) -> list[Tensor]:
        out = primitive.compute(*inputs, graph=graph, backend=backend)
        return [out.detach(), *torch.autograd.grad(out.square().sum(), inputs)]

    once, twice = on_cuda("triton"), on_cuda("triton")
    assert all(torch.equal(*pair) for pair in zip(once, twice, strict=True))
    for ours, theirs in zip(once, on_cuda("torch"), strict=True):
        assert (ours - theirs).abs().max() <= 2e-5 * max(1.0, float(theirs.abs().max()))


def test_attention_refuses_heads_that_no_tile_holds() -> None:
    graph = build([0], [1], [0], 2, 1)
    for name in ("relation attention", "dot attention"):
        inputs = PRIMITIVES[name].inputs(graph, 1, 1025)
        with pytest.raises(ConfigError, match=r"1024 at most \(got 1025\).*runtime\.backend"):
            if name == "relation attention":
                triton_backend.relation_attention(*inputs, graph, slope=0.2)
            else:
                triton_backend.dot_attention(*inputs, None, graph)


@given(sizes=st.lists(st.sampled_from([0, 1, 3, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE]), min_size=1, max_size=5))
def test_pieces_cover_every_edge_once_and_no_piece_is_long(sizes: list[int]) -> None:
    dst = np.repeat(np.arange(len(sizes)), sizes)
    relations = np.zeros_like(dst)
    graph = KnowledgeGraph.from_edges(dst[::-1], dst, relations, num_nodes=len(sizes), num_relations=1)
    edges = device_edges(graph, torch.device("cpu"))
    for pieces, counts in (
        (edges.by_dst, graph.in_degree),
        (edges.by_src, graph.out_degree),
        (edges.by_rel, [dst.size]),
    ):
        covered = np.zeros(len(counts), dtype=int)
        for cut, end, group in zip(pieces.cuts[:-1], pieces.cuts[1:], pieces.group, strict=True):
            assert 0 <= end - cut <= PIECE
            covered[group] += int(end - cut)
        assert covered.tolist() == list(counts)
        assert sorted(owners_of_rows(pieces)) == list(range(len(counts)))


def owners_of_rows(pieces: Pieces) -> list[int]:
    """The groups that get a value, one way or the other; checks that parts lie where folding looks for them."""
    alone = [int(to) for to in pieces.to if to < pieces.groups]
    for group, first, last in zip(pieces.long, pieces.parts[:-1], pieces.parts[1:], strict=True):
        own = pieces.to[pieces.group == group] - pieces.groups
        assert own.tolist() == list(range(int(first), int(last)))
    return alone + pieces.long.tolist()


def test_triton_is_imported_at_the_first_call() -> None:
    run_python("-c", "import sys, licap.ops; assert 'triton' not in sys.modules")
