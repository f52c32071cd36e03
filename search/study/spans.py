"""When trials began and ended, for people: no decision depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from search.study.events import Ended, Proposed
from search.study.study import Study


@dataclass(frozen=True)
class Span:
    """Seconds since the epoch. end: None where the trial has not ended."""

    start: float
    end: float | None = None


def trial_spans(study: Study) -> Mapping[int, Span]:
    """From a trial's proposal to its last end, by number."""
    spans: dict[int, Span] = {}
    for event, time in zip(study.events, study.times, strict=True):
        if isinstance(event, Proposed):
            spans[event.trial] = Span(time)
        elif isinstance(event, Ended):
            spans[event.trial] = Span(spans[event.trial].start, time)
    return spans
