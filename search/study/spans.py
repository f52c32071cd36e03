"""When trials began and ended, for people: no decision depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from search.study.events import Ended, Event, Proposed
from search.study.record import RECORD_FILE, read_record


@dataclass(frozen=True)
class Span:
    """Seconds since the epoch. end: None where the trial has not ended."""

    start: float
    end: float | None = None


def trial_spans(folder: Path) -> Mapping[int, Span]:
    """From a trial's proposal to its last end, by number. Raises: StoreError for a record that cannot be read."""
    spans: dict[int, Span] = {}

    def take(event: Event, time: float) -> None:
        if isinstance(event, Proposed):
            spans[event.trial] = Span(time)
        elif isinstance(event, Ended):
            spans[event.trial] = Span(spans[event.trial].start, time)

    read_record(folder / RECORD_FILE, take)
    return spans
