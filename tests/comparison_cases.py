"""Studies over a small grid, made without training."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path

from licap.config import TrialConfig
from licap.metrics import METRICS
from search.space import SearchSpace, grid_points
from search.study import Ended, Proposed, Reported, Study, TrialRecord

GRID = """
name: grid
sampler: grid
pruner: none
config: {pretrain.max_epochs: 10, downstream.max_epochs: 40}
search:
  data.features: {type: categorical, choices: [struct, semantic]}
  downstream.input: {type: categorical, choices: [features, embeddings, features+embeddings]}
  fold: {type: int, low: 0, high: 4}
"""
SEEDS = "  seed: {type: categorical, choices: [7, 3]}\n"
GAIN = {"features": 0.0, "embeddings": 0.04, "features+embeddings": 0.08}

Quality = Callable[[TrialConfig], float]


def grid(text: str = GRID) -> SearchSpace:
    """A space; the grid above unless given."""
    return SearchSpace.from_text(text, source="grid.yaml")


def quality(config: TrialConfig) -> float:
    """A clear win for embeddings on every fold and seed, by a little more on later ones."""
    later = config.fold + config.seed / 10
    return 0.5 + 0.1 * config.fold + GAIN[config.downstream.input] * (1 + later / 100)


def metrics_of(value: float) -> dict[str, float]:
    """All validation metrics that belong to a quality: errors fall as it rises."""
    return {f"val.{name}": 1.5 - value if metric.direction == "min" else value for name, metric in METRICS.items()} | {
        "downstream.loss": 0.25
    }


def trials_of(space: SearchSpace, measured: Quality = quality) -> list[TrialRecord]:
    """Every point of the grid, complete."""
    return [
        record(number, values, measured(space.config_for(values)))
        for number, values in enumerate(grid_points(space.parameters))
    ]


def record(number: int, values: dict[str, float | int | bool | str | None], value: float) -> TrialRecord:
    """A complete trial with one report."""
    report = Reported(trial=number, stage="downstream", epoch=39, budget=50, metrics=metrics_of(value))
    return TrialRecord(number=number, values=values, starting_point=False, state="complete", reports=(report,))


def shuffled(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The same trials in another order."""
    return random.Random(0).sample(found := list(trials), len(found))


def write_study(root: Path, name: str, space: SearchSpace, trials: Iterable[TrialRecord]) -> None:
    """The study folder that such trials leave behind."""
    with Study.create(root, name, space.to_yaml()) as study:
        append(study, trials)


def append(study: Study, trials: Iterable[TrialRecord]) -> None:
    """Writes trials into a study that is open."""
    for trial in trials:
        study.append(Proposed(trial=trial.number, values=trial.values, starting_point=trial.starting_point))
        for report in trial.reports:
            study.append(report)
        if trial.state != "running":
            study.append(
                Ended(
                    trial=trial.number,
                    state=trial.state,
                    failure=trial.failure,
                    message=trial.message,
                    budget=trial.budget,
                    seconds=1.0,
                    notes=trial.notes,
                )
            )
