"""Adam, by torch's functional form of it.

The classes of `torch.optim` import torch's compiler when one is made, which costs each process 1.3 s and 140 MiB, and
nothing here is compiled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


class Adam:
    """Adam with an L2 penalty (Kingma and Ba 2015, algorithm 1); the steps have the bits of `torch.optim.Adam`.

    parameters: what it moves, by the gradients in `grad`; without one, a parameter stays as it is.
    """

    def __init__(self, parameters: Sequence[Tensor], *, lr: float, weight_decay: float) -> None:
        self._parameters = list(parameters)
        self._lr = lr
        self._weight_decay = weight_decay
        self._moments = [_no_moments(each) for each in self._parameters]

    @torch.no_grad()
    def step(self, rate: float = 1.0) -> None:
        """Moves the parameters by one step. rate: share of the learning rate."""
        moved = [
            (each, each.grad, state["exp_avg"], state["exp_avg_sq"], state["step"])
            for each, state in zip(self._parameters, self._moments, strict=True)
            if each.grad is not None
        ]
        parameters, gradients, means, squares, steps = (list(column) for column in zip(*moved, strict=True))
        adam(
            parameters,
            gradients,
            means,
            squares,
            [],
            steps,
            amsgrad=False,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            lr=self._lr * rate,
            weight_decay=self._weight_decay,
            eps=_EPSILON,
            maximize=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """Copies of the moments, by the parameter's position, under the names that `torch.optim.Adam` has for them."""
        return {
            "state": {
                position: {name: value.clone() for name, value in state.items()}
                for position, state in enumerate(self._moments)
            }
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copies what `state_dict` gave, or `torch.optim.Adam`'s (which has no entry for what never had a gradient)."""
        for position, (parameter, moments) in enumerate(zip(self._parameters, self._moments, strict=True)):
            saved = state["state"].get(position) or _no_moments(parameter)
            for name, value in moments.items():
                value.copy_(saved[name])


def _no_moments(parameter: Tensor) -> dict[str, Tensor]:
    return {
        "step": torch.tensor(0.0),
        "exp_avg": torch.zeros_like(parameter),
        "exp_avg_sq": torch.zeros_like(parameter),
    }
