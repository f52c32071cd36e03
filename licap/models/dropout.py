"""Dropout whose mask costs little on the CPU, where torch draws every element by itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Values that a draw of 16 bits takes.
_VALUES = 1 << 16


class Dropout(nn.Module):
    """Zeroes elements with probability p in training, and scales the others so that the mean stays.

    Four elements share a draw of 64 bits from torch's generator, so p, below 1, is rounded to a multiple of 2**-16.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self._kept = max(1, _VALUES - round(p * _VALUES))

    def forward(self, x: Tensor) -> Tensor:
        """x: any shape, floating. Returns: the same shape."""
        if not self.training or self._kept == _VALUES:
            return x
        words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64, device=x.device)
        # From the smallest value on, without an end, is the only range that fills all 64 bits.
        bits = words.random_(torch.iinfo(torch.int64).min, None).view(torch.int16)[: x.numel()].view(x.shape)
        kept = bits < self._kept - _VALUES // 2
        return x * kept.to(x.dtype).mul_(_VALUES / self._kept)

    def __call__(self, x: Tensor) -> Tensor:
        """`forward`, typed."""
        out: Tensor = super().__call__(x)
        return out
