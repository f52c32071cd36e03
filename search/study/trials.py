"""What became of each trial, derived from the events of the record and from nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from licap.fields import Scalar
from search.study.events import FAILURES, Decided, Ended, Event, Proposed, Reported, Restarted

STATES = ("running", "complete", "pruned", "failed", "interrupted")
# Of a trial that has come to its own end; the others can go on.
FINAL = ("complete", "pruned", "failed")


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial as the record tells it.

    `state` is one of `STATES`; a trial whose process was killed stays "running". `reports` are in order of budget, one
    for each budget. `failure` is one of `FAILURES` for a trial that failed or was cut off, `message` what it said.
    `pretraining` is `trained` or `cached`; empty where there is none, or while the trial runs.
    """

    number: int
    values: Mapping[str, Scalar]
    starting_point: bool
    state: str = "running"
    failure: str | None = None
    message: str = ""
    reports: tuple[Reported, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float | None = None
    pretraining: str = ""

    @property
    def budget(self) -> int:
        """Epochs over both stages that the trial has reported; 0 before its first report."""
        return self.reports[-1].budget if self.reports else 0

    def metrics(self) -> Mapping[str, float]:
        """The metrics of the last report; empty before the first."""
        return self.reports[-1].metrics if self.reports else {}

    def final(self, metric: str) -> float | None:
        """`val.METRIC` of the last report: that of the best epoch. None if missing or not finite."""
        value = self.metrics().get(f"val.{metric}")
        return value if value is not None and math.isfinite(value) else None


class TrialHistory:
    """All trials of a record, taken event by event; a report costs the same however many there were."""

    def __init__(self) -> None:
        self._trials: dict[int, TrialRecord] = {}
        self._reports: dict[int, dict[int, Reported]] = {}

    def __iter__(self) -> Iterator[TrialRecord]:
        return (self[number] for number in sorted(self._trials))

    def __getitem__(self, number: int) -> TrialRecord:
        by_budget = self._reports[number]
        return replace(self._trials[number], reports=tuple(by_budget[budget] for budget in sorted(by_budget)))

    def check(self, event: Event) -> None:
        """Raises: ValueError for an event that cannot follow the earlier ones."""
        if isinstance(event, Proposed):
            if event.trial in self._trials:
                raise ValueError(f"trial {event.trial} is proposed twice")
        elif isinstance(event, (Reported, Decided, Restarted, Ended)) and event.trial not in self._trials:
            raise ValueError(f"trial {event.trial} was never proposed")
        if isinstance(event, Ended) and event.state not in STATES[1:]:
            raise ValueError(f"a trial cannot end as {event.state!r} (states: {', '.join(STATES[1:])})")
        if isinstance(event, Ended) and event.failure not in (None, *FAILURES):
            raise ValueError(f"unknown class of failure {event.failure!r} (classes: {', '.join(FAILURES)})")

    def take(self, event: Event) -> None:
        """Takes an event that `check` admits."""
        if isinstance(event, Proposed):
            self._trials[event.trial] = TrialRecord(
                number=event.trial, values=event.values, starting_point=event.starting_point
            )
            self._reports[event.trial] = {}
        elif isinstance(event, Reported):
            # A trial that goes on from a checkpoint reports some budgets again, with the same values.
            self._reports[event.trial][event.budget] = event
        elif isinstance(event, Restarted):
            self._trials[event.trial] = replace(self._trials[event.trial], state="running", failure=None, message="")
        elif isinstance(event, Ended):
            self._trials[event.trial] = _ended(self._trials[event.trial], event)


def _ended(trial: TrialRecord, event: Ended) -> TrialRecord:
    return replace(
        trial,
        state=event.state,
        failure=event.failure,
        message=event.message,
        notes=event.notes,
        seconds=event.seconds,
        pretraining=event.pretraining,
    )
