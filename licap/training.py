"""What both stages share: one clipped Adam step at a time, and values that must be finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from licap.errors import DivergedError


class Learner:
    """A module and its Adam, with the gradient norm clipped."""

    def __init__(self, module: nn.Module, *, lr: float, weight_decay: float, clip_norm: float | None) -> None:
        self.module = module
        self._adam = torch.optim.Adam(module.parameters(), lr=lr, weight_decay=weight_decay)
        self._clip_norm = math.inf if clip_norm is None else clip_norm

    def gradients(self, loss: Tensor) -> float:
        """Backward pass and clipping. Returns: the norm of the gradient before clipping."""
        self._adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(nn.utils.clip_grad_norm_(self.module.parameters(), self._clip_norm))

    def update(self) -> None:
        """Moves the parameters by the gradients."""
        self._adam.step()

    def parameters(self) -> dict[str, Tensor]:
        """A copy of the module's parameters by name."""
        return {name: value.detach().clone() for name, value in self.module.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """Parameters and Adam's moments, copied."""
        return {"parameters": self.parameters(), "adam": _copied(self._adam.state_dict())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave."""
        self.module.load_state_dict(state["parameters"])
        self._adam.load_state_dict(_copied(state["adam"]))


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_copied(item) for item in value)
    return value


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
