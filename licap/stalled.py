"""Whether training has got anywhere: its loss, epoch by epoch, against that of its first epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

# Epochs in a row with a loss above the first one, after which a training is called stalled.
STALLED_AFTER = 30


@dataclass
class LossHistory:
    """What must be kept of the losses. first, last: None before the first epoch. above: the latest epochs in a row."""

    first: float | None = None
    last: float | None = None
    above: int = 0

    def add(self, loss: float) -> None:
        """Takes the training loss of the next epoch."""
        self.first = loss if self.first is None else self.first
        self.last = loss
        self.above = self.above + 1 if loss > self.first else 0

    @property
    def notes(self) -> tuple[str, ...]:
        """The note of a stalled training; none where the loss came below its start in the latest epochs."""
        if self.above < STALLED_AFTER:
            return ()
        return (
            f"stalled: the training loss has been above its start ({self.first:.4g}) for {self.above} epochs "
            f"(last {self.last:.4g}). Lower downstream.lr, or set downstream.clip_norm or downstream.step_limit",
        )

    def state_dict(self) -> dict[str, Any]:
        """All fields, as plain values."""
        return asdict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave."""
        self.first, self.last, self.above = state["first"], state["last"], state["above"]
