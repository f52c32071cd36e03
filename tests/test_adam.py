"""The optimiser: the steps of torch's class to the bit, without what that class imports."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from licap.adam import Adam

RATE = 0.03


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(3)
    return [nn.Parameter(torch.randn(*shape, generator=generator)) for shape in ((40, 3), (7,), (2, 5))]


def set_gradients(of: list[nn.Parameter], step: int) -> None:
    """The last parameter has its first gradient at the third step."""
    generator = torch.Generator().manual_seed(100 + step)
    for position, each in enumerate(of):
        gradient = torch.randn(each.shape, generator=generator) * 10.0**position
        each.grad = None if position == 2 and step < 2 else gradient


def same(ours: list[nn.Parameter], theirs: list[nn.Parameter]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("weight_decay", [0.0, 0.7])
def test_steps_have_the_bits_of_torchs_class(weight_decay: float) -> None:
    ours, theirs = parameters(), parameters()
    adam = Adam(ours, lr=RATE, weight_decay=weight_decay)
    reference = torch.optim.Adam(theirs, lr=RATE, weight_decay=weight_decay)
    for step in range(5):
        set_gradients(ours, step)
        set_gradients(theirs, step)
        adam.step()
        reference.step()
        assert same(ours, theirs)
    before = [each.detach().clone() for each in ours]
    adam.step(0.0)
    assert same(ours, before)  # the rate is a share of the learning rate


@pytest.mark.parametrize("source", ["ours", "torch"])
def test_steps_go_on_from_a_saved_state(source: str) -> None:
    through, cut = parameters(), parameters()
    adam = Adam(through, lr=RATE, weight_decay=0.1)
    first: Adam | torch.optim.Adam = (Adam if source == "ours" else torch.optim.Adam)(cut, lr=RATE, weight_decay=0.1)
    for step in range(2):
        set_gradients(through, step)
        set_gradients(cut, step)
        adam.step()
        first.step()
    state = copy.deepcopy(first.state_dict())
    resumed = Adam(cut, lr=RATE, weight_decay=0.1)
    resumed.load_state_dict(state)
    for step in range(2, 5):
        set_gradients(through, step)
        set_gradients(cut, step)
        adam.step()
        resumed.step()
        assert same(through, cut)


def test_a_saved_state_does_not_move_with_the_optimiser() -> None:
    moved = parameters()
    adam = Adam(moved, lr=RATE, weight_decay=0.0)
    set_gradients(moved, 0)
    adam.step()
    state = adam.state_dict()
    before: dict[int, dict[str, Tensor]] = copy.deepcopy(state["state"])
    adam.step()
    assert all(
        torch.equal(state["state"][at][name], value) for at, kept in before.items() for name, value in kept.items()
    )
