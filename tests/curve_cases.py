"""Studies of whole learning curves, made without training."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from search.space import SearchSpace
from search.study import Reported, TrialRecord

PRETRAIN, DOWNSTREAM = 5, 40
SPACE = f"""
name: curves
pruner: none
config: {{pretrain.max_epochs: {PRETRAIN}, downstream.max_epochs: {DOWNSTREAM}}}
search:
  pretrain.lr: {{type: float, low: 1e-3, high: 1e-1, log: true}}
"""


def curve_space(*overrides: str) -> SearchSpace:
    """The space of the studies."""
    return SearchSpace.from_text(SPACE, source="curves.yaml", overrides=overrides)


def curve_trial(number: int, quality: float, *, epochs: int = DOWNSTREAM, state: str = "complete") -> TrialRecord:
    """A trial that rises towards a quality; the probe of pretraining says nothing of it, `probe.hint.spearman` all."""
    rng = random.Random(number)
    reports = [
        Reported(
            trial=number,
            stage="pretrain",
            epoch=epoch,
            budget=epoch + 1,
            metrics={
                "val.spearman": 0.9 + 0.1 * rng.random(),
                "probe.hint.spearman": quality / 2,
                "pretrain.loss": -quality,
                "signal.odd": rng.random() if epoch % 2 else math.nan,
            },
        )
        for epoch in range(PRETRAIN)
    ]
    reports += [
        Reported(
            trial=number,
            stage="downstream",
            epoch=epoch,
            budget=PRETRAIN + 1 + epoch,
            metrics={"val.spearman": quality * (1 - math.exp(-(epoch + 1) / 5)), "downstream.loss": 1 / (epoch + 1)},
        )
        for epoch in range(epochs)
    ]
    return TrialRecord(
        number=number,
        values={"pretrain.lr": 0.001 * (number + 1)},
        starting_point=False,
        state=state,
        failure="diverged" if state == "failed" else None,
        message="not finite" if state == "failed" else "",
        reports=tuple(reports),
        seconds=2.0,
    )


def curve_trials(qualities: Sequence[float]) -> list[TrialRecord]:
    """Complete trials."""
    return [curve_trial(number, quality) for number, quality in enumerate(qualities)]
