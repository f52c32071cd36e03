"""A small space and trials of every kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from search.space import SearchSpace
from search.study import Reported, TrialRecord

SPACE = """
name: small
metric: spearman
search:
  pretrain.imp_ratio: {type: float, low: 0.02, high: 0.3, log: true}
  pretrain.lr: {type: float, low: 1e-4, high: 1e-1, log: true}
  downstream.lr: {type: float, low: 1e-4, high: 1e-1, log: true}
  pretrain.bins.kind: {type: categorical, choices: [length, quantile]}
  pretrain.bins.count: {type: int, low: 2, high: 8, when: {pretrain.bins.kind: quantile}}
resources: {cpus: 2}
"""


def make_trial(
    number: int, value: float | None, state: str = "complete", failure: str | None = None, *notes: str
) -> TrialRecord:
    """A trial with one report of a value."""
    metrics = {} if value is None else {"val.spearman": value, "val.rmse": 1.0 - value, "downstream.loss": 0.5}
    report = Reported(trial=number, stage="downstream", epoch=9, budget=160, metrics=metrics)
    return TrialRecord(
        number=number,
        values={
            "pretrain.imp_ratio": 0.1 + number / 1000,
            "pretrain.lr": 1 / 3000,
            "downstream.lr": 0.01,
            "pretrain.bins.kind": "length",
        },
        starting_point=number == 0,
        state=state,
        failure=failure,
        message="[Errno 28] not finite.\nsecond line" if failure else "",
        reports=() if value is None else (report,),
        notes=notes,
        seconds=None if state == "running" else 1.25,
    )


@pytest.fixture(scope="session")
def space() -> SearchSpace:
    """Five parameters, one of them conditional."""
    return SearchSpace.from_text(SPACE, source="small.yaml")


@pytest.fixture(scope="session")
def trial() -> Callable[..., TrialRecord]:
    """`make_trial`."""
    return make_trial
