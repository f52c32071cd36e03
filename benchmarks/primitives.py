"""The primitives as benchmarks call them: inputs of a size, and rivals that compute the same of them.

A rival is a backend of `licap.ops`, or `unfused`: plain torch with arrays of edges (`benchmarks.reference`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks import reference, roofline
from benchmarks.measuring import timed
from licap.graph import KnowledgeGraph
from licap.ops import BACKENDS

SLOPE = 0.01


@dataclass(frozen=True)
class Primitive:
    """One primitive.

    shapes: of its tensors, where N, R, H and D stand for themselves. call: a rival's function with those tensors and a
    graph. moved: the bytes it must move.
    """

    shapes: tuple[str, ...]
    call: Callable[..., Tensor]
    moved: Callable[[KnowledgeGraph, int, int], roofline.Moved]


PRIMITIVES: Mapping[str, Primitive] = {
    "relation_attention": Primitive(
        ("NHD", "NH", "NH", "RH"),
        lambda rival, tensors, graph: rival.relation_attention(*tensors, graph, slope=SLOPE),
        roofline.relation_attention,
    ),
    "dot_attention": Primitive(
        ("NHD", "NHD", "NHD", "RH", "RH"),
        lambda rival, tensors, graph: rival.dot_attention(*tensors, None, graph),
        roofline.dot_attention,
    ),
    "neighbour_sum": Primitive(
        ("NF",), lambda rival, tensors, graph: rival.neighbour_sum(*tensors, graph), roofline.neighbour_sum
    ),
}


@dataclass(frozen=True, eq=False)
class Case:
    """A primitive on a graph with so many heads of a width; a sum has rows of heads · width. device: of its tensors."""

    primitive: str
    graph: KnowledgeGraph
    heads: int
    width: int
    device: str

    def moved(self) -> roofline.Moved:
        """The bytes that the two passes must move."""
        return PRIMITIVES[self.primitive].moved(self.graph, self.heads, self.width)

    def inputs(self) -> list[Tensor]:
        """Random tensors that want gradients, the same ones each time."""
        generator = torch.Generator().manual_seed(0)
        sizes = {
            "N": self.graph.num_nodes,
            "R": self.graph.num_relations,
            "H": self.heads,
            "D": self.width,
            "F": self.heads * self.width,
        }
        shapes = [[sizes[letter] for letter in shape] for shape in PRIMITIVES[self.primitive].shapes]
        return [torch.randn(shape, generator=generator).to(self.device).requires_grad_() for shape in shapes]

    def passes(self, rival: str) -> Passes:
        """The two passes of a rival on inputs of their own."""
        inputs = self.inputs()
        whose: Any = reference if rival == reference.UNFUSED else BACKENDS[rival]
        return Passes(partial(PRIMITIVES[self.primitive].call, whose, inputs, self.graph), inputs)


class Passes:
    """Forward and backward, timed apart."""

    def __init__(self, forward: Callable[[], Tensor], inputs: list[Tensor]) -> None:
        self._forward, self._inputs = forward, inputs
        self._grad: Tensor | None = None

    def turn(self) -> dict[str, float]:
        """Seconds of `forward` and `backward`."""
        out, forward = timed(self._forward)
        if self._grad is None:
            self._grad = _gradient_of(out)
        grad = self._grad
        _, backward = timed(lambda: torch.autograd.grad(out, self._inputs, grad))
        return {"forward": forward, "backward": backward}

    def results(self) -> list[Tensor]:
        """The output and the gradients of all inputs."""
        out = self._forward()
        return [out.detach(), *torch.autograd.grad(out, self._inputs, _gradient_of(out))]


def _gradient_of(out: Tensor) -> Tensor:
    """A random gradient, the same each time."""
    return torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out.device)


def load_libraries(rival: str, primitive: str, device: str) -> None:
    """Lets a rival load what it needs, on a graph of two nodes: in a peak it would count as memory of the work."""
    graph = KnowledgeGraph.from_edges([0, 1], [1, 0], [0, 0], num_nodes=2, num_relations=1)
    Case(primitive, graph, 2, 2, device).passes(rival).turn()


def check_equal(case: Case, rivals: Sequence[str]) -> None:
    """Raises: RuntimeError where rivals do not compute the same."""
    first, *others = rivals
    expected = case.passes(first).results()
    for rival in others:
        for ours, theirs in zip(case.passes(rival).results(), expected, strict=True):
            off = ((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-6)).item()
            if not off < 1e-3:
                raise RuntimeError(f"{case.primitive}: {rival} is not {first} (off by {off:.3g} of the largest)")
