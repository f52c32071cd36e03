"""What both stages share: one clipped Adam step at a time, and values that must be finite.

The passes of an epoch are functions without arguments, so that a GPU may record them; see `licap.cuda_graphs`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from licap.adam import Adam
from licap.cuda_graphs import CudaGraph
from licap.errors import DivergedError

Pass = Callable[[], dict[str, Tensor]]


class Learner:
    """A module and its Adam, with the gradient norm clipped.

    forward: a pass in training, whose value `loss` is lowered; it should not hold what holds the learner.
    cuda_graph_on: where it is recorded, if it is.
    """

    def __init__(
        self,
        module: nn.Module,
        forward: Pass,
        *,
        lr: float,
        weight_decay: float,
        clip_norm: float | None,
        cuda_graph_on: torch.device | None = None,
    ) -> None:
        self.module = module
        self._parameters = [each for each in module.parameters() if each.requires_grad]
        # A function of its own: a method would tie the learner to itself, and keep its stage until Python looks for
        # such ties.
        self._pass = epoch_pass(partial(_forward_and_backward, forward, self._parameters), cuda_graph_on)
        self._adam = Adam(self._parameters, lr=lr, weight_decay=weight_decay)
        self._clip_norm = math.inf if clip_norm is None else clip_norm

    def gradients(self) -> tuple[dict[str, Tensor], float]:
        """Forward and backward pass and clipping. Returns: forward's values; the gradient's norm before clipping."""
        values = self._pass()
        return values, float(nn.utils.clip_grad_norm_(self._parameters, self._clip_norm))

    def update(self, rate: float = 1.0) -> None:
        """Moves the parameters by the gradients. rate: share of the learning rate."""
        self._adam.step(rate)

    def values(self) -> list[Tensor]:
        """A copy of what `update` moves, for `pull_back`."""
        return [each.detach().clone() for each in self._parameters]

    def pull_back(self, start: Sequence[Tensor], share: float) -> None:
        """Takes back all but a share of the way that the parameters have gone since `start`."""
        with torch.no_grad():
            for each, before in zip(self._parameters, start, strict=True):
                each.copy_(torch.lerp(before, each, share))

    def parameters(self) -> dict[str, Tensor]:
        """A copy of the module's parameters by name."""
        return {name: value.detach().clone() for name, value in self.module.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """Parameters and Adam's moments, copied."""
        return {"parameters": self.parameters(), "adam": self._adam.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave."""
        self.module.load_state_dict(state["parameters"])
        self._adam.load_state_dict(state["adam"])


def _forward_and_backward(forward: Pass, parameters: list[nn.Parameter]) -> dict[str, Tensor]:
    for each in parameters:
        each.grad = None
    values = forward()
    values["loss"].backward(inputs=parameters)  # type: ignore[no-untyped-call]
    return {name: value.detach() for name, value in values.items()}


def epoch_pass(function: Pass, cuda_graph_on: torch.device | None) -> Pass:
    """The function itself, or recorded on a CUDA device where one is given."""
    return function if cuda_graph_on is None else CudaGraph(function, cuda_graph_on)


def check_finite(stage: str, epoch: int, values: Mapping[str, float | Tensor]) -> None:
    """Raises: DivergedError for the first named value that is not finite, or a tensor with such an element."""
    for quantity, value in values.items():
        finite = bool(torch.isfinite(value).all()) if isinstance(value, Tensor) else math.isfinite(value)
        if not finite:
            raise DivergedError(stage, epoch, quantity)


def float64_array(values: Tensor) -> NDArray[np.float64]:
    """A tensor's values as metrics take them: float64, on the CPU, apart from the graph of gradients."""
    array: NDArray[np.float64] = values.detach().double().cpu().numpy()
    return array
