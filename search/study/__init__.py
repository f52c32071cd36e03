"""The study folder: the one primary record of a search, its lock, and what follows from the record."""

from __future__ import annotations

from search.study.events import FAILURES, Decided, Ended, Event, Opened, Proposed, Reported, Restarted, StudyEnded
from search.study.study import DEFAULT_ROOT, Study
from search.study.trials import FINAL, STATES, TrialRecord

__all__ = [
    "DEFAULT_ROOT",
    "FAILURES",
    "FINAL",
    "STATES",
    "Decided",
    "Ended",
    "Event",
    "Opened",
    "Proposed",
    "Reported",
    "Restarted",
    "Study",
    "StudyEnded",
    "TrialRecord",
]
