"""When a stage ends: the published early stopping rule, with one addition for values that are not finite.

Epochs before `min_epoch` are not watched. The first watched score is the best; a lower one counts up, an equal or
higher one is the new best and sets the counter to 0. The stage ends when the counter reaches `patience`.
Source: zhangtia16/LICAP, commit ad3ef2a. There NaN becomes the best, as no comparison with it holds; here NaN and
infinity never are an improvement and count up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(kw_only=True)
class EarlyStopping:
    """The rule's seven fields. Larger scores are better: hand a loss in with a minus sign.

    save_path: where the best parameters are kept; not touched here, the owner writes there when `update` says so.
    best_score, best_epoch: None until an epoch counted.
    """

    patience: int
    min_epoch: int
    save_path: str
    early_stop: bool = False
    counter: int = 0
    best_score: float | None = None
    best_epoch: int | None = None

    def update(self, score: float, epoch: int) -> bool:
        """Takes the score of an epoch. Returns: whether it is the new best, to be saved."""
        if epoch < self.min_epoch:
            return False
        if math.isfinite(score) and (self.best_score is None or score >= self.best_score):
            self.best_score, self.best_epoch, self.counter = float(score), epoch, 0
            return True
        self.counter += 1
        if self.counter >= self.patience:
            self.early_stop = True
        return False

    def state_dict(self) -> dict[str, Any]:
        """All fields, as plain values."""
        return asdict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over all fields. Raises: ValueError if they are not exactly these, and changes nothing then."""
        names = {item.name for item in fields(self)}
        if set(state) != names:
            raise ValueError(f"an early stopping state holds {sorted(names)} (got {sorted(state)})")
        for name in names:
            setattr(self, name, state[name])
