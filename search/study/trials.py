"""What became of each trial, derived from the events of the record and from nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from licap.fields import Scalar
from search.study.events import Decided, Ended, Event, Proposed, Reported

STATES = ("running", "complete", "pruned", "failed", "interrupted")


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial as the record tells it.

    `state` is one of `STATES`; a trial whose process was killed stays "running". `reports` are in order of budget, one
    for each budget. `failure` is the class of failure of a failed trial, `message` what it said.
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
    stopped_at: int | None = None

    @property
    def budget(self) -> int:
        """Epochs over both stages that the trial has reported; 0 before its first report."""
        return self.reports[-1].budget if self.reports else 0

    def metrics(self) -> Mapping[str, float]:
        """The metrics of the last report; empty before the first."""
        return self.reports[-1].metrics if self.reports else {}

    def final(self, metric: str) -> float | None:
        """`val.METRIC` of the last report, which is the best so far by construction; None if missing or not finite."""
        value = self.metrics().get(f"val.{metric}")
        return value if value is not None and math.isfinite(value) else None


def changed(trials: Mapping[int, TrialRecord], event: Event) -> TrialRecord | None:
    """The trial that an event changes, as it is after the event; None for events of the study.

    Raises: ValueError for an event that cannot follow the earlier ones: of a trial that was never proposed, or was
    proposed before.
    """
    if isinstance(event, Proposed):
        if event.trial in trials:
            raise ValueError(f"trial {event.trial} is proposed twice")
        return TrialRecord(number=event.trial, values=event.values, starting_point=event.starting_point)
    if not isinstance(event, (Reported, Decided, Ended)):
        return None
    if event.trial not in trials:
        raise ValueError(f"trial {event.trial} was never proposed")
    trial = trials[event.trial]
    if isinstance(event, Reported):
        return _with_report(trial, event)
    if isinstance(event, Decided):
        return replace(trial, stopped_at=event.budget)
    return _ended(trial, event)


def _with_report(trial: TrialRecord, report: Reported) -> TrialRecord:
    # A trial that goes on from a checkpoint reports some budgets again, with the same values: one of each stays.
    before = tuple(each for each in trial.reports if each.budget < report.budget)
    after = tuple(each for each in trial.reports if each.budget > report.budget)
    return replace(trial, state="running", reports=(*before, report, *after))


def _ended(trial: TrialRecord, event: Ended) -> TrialRecord:
    if event.state not in STATES[1:]:
        raise ValueError(f"a trial cannot end as {event.state!r} (states: {', '.join(STATES[1:])})")
    return replace(
        trial,
        state=event.state,
        failure=event.failure,
        message=event.message,
        notes=event.notes,
        seconds=event.seconds,
    )
